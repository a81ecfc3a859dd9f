package iam

import (
	"context"
	"fmt"
	"strings"

	"github.com/sallyport/sallyport/internal/db"
	"github.com/sallyport/sallyport/internal/gate"
	"github.com/sallyport/sallyport/internal/policy"
	"github.com/sallyport/sallyport/internal/trail"
)

// Principal implements gate.Principals: it returns the owner of an active access key or session as of the last
// committed change. The error is NotFound if there is none.
func (s *Service) Principal(ctx context.Context, accessKeyID string) (gate.Principal, error) {
	return s.principals.get(accessKeyID, func() (gate.Principal, error) {
		if !keyIDForm.MatchString(accessKeyID) {
			return gate.Principal{}, noAccessKey(accessKeyID) // an id that was never issued costs no read
		}
		c, err := db.Get(ctx, s.db, func(tx *db.Tx) (credential, error) { return findCredential(tx, accessKeyID) })
		if err != nil {
			return gate.Principal{}, err
		}
		return s.principal(accessKeyID, c)
	})
}

func (s *Service) principal(accessKeyID string, c credential) (p gate.Principal, err error) {
	p.Identity = trail.Identity{AccountID: s.account, AccessKeyID: accessKeyID}
	if p.Secret, err = s.seal.open(c.secret, accessKeyID, signingSecret); err != nil {
		return gate.Principal{}, err
	}
	if strings.HasPrefix(accessKeyID, sessionPrefix) {
		p.Issued, p.Expires = c.issued, c.expires
		p.Identity.Session = trail.NewSession(c.issued.Time)
		p.SessionToken, err = s.seal.open(c.token, accessKeyID, sessionToken)
		if err == nil && p.SessionToken == "" {
			err = fmt.Errorf("the session %s has an empty token", accessKeyID)
		}
		if err != nil {
			return gate.Principal{}, err
		}
	}
	if c.userID == "" {
		p.Root = true
		p.Identity.Type, p.Identity.PrincipalID, p.Identity.ARN = trail.Root, s.account, s.RootARN()
		return p, nil
	}
	p.Identity.Type, p.Identity.PrincipalID = trail.IAMUser, c.user.ID
	p.Identity.ARN, p.Identity.UserName = c.user.ARN, c.user.Name
	p.Tags = c.user.Tags
	owned, err := parsePolicies(c.policies)
	p.Policies = []policy.Set{{Sort: policy.IdentityBased, Policies: owned}}
	return p, err
}

// parsePolicies parses the policies that apply to a user. If one does not parse, it fails: leaving the policy out could
// leave out a Deny. The root user, whom no policy limits, can repair it.
func parsePolicies(owned []ownedPolicy) ([]policy.Policy, error) {
	parsed := make([]policy.Policy, 0, len(owned))
	for _, o := range owned {
		name, text := o.arn, o.document
		if name == "" {
			name = fmt.Sprintf("%s (inline policy of %s %s)", o.name, o.owner.Kind, o.owner.Name)
		}
		if ofAWS(o.arn) {
			builtIn, ok := awsPolicy(o.arn)
			if !ok {
				continue // of another release of Sallyport; it allows nothing here, and no AWS managed policy denies
			}
			text = builtIn.document
		}
		document, err := policy.Parse(text)
		if err != nil {
			return nil, fmt.Errorf("the stored policy %s does not parse: %v", name, err) // %v: not the caller's fault
		}
		parsed = append(parsed, policy.Policy{Name: name, Document: document})
	}
	return parsed, nil
}
