package iam

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/sallyport/sallyport/internal/fault"
	"github.com/sallyport/sallyport/internal/gate"
	"github.com/sallyport/sallyport/internal/policy"
	"github.com/sallyport/sallyport/internal/trail"
)

// maxCached bounds the cache of principals. Beyond it a request pays for one read of the store.
const maxCached = 10_000

// Principal implements gate.Principals: it returns the owner of an active access key or session as of the last
// change that was committed, or a NotFound fault.
func (s *Service) Principal(ctx context.Context, accessKeyID string) (gate.Principal, error) {
	if cached, ok := s.principals.get(accessKeyID); ok {
		return cached, nil
	}
	if !keyIDForm.MatchString(accessKeyID) {
		return gate.Principal{}, noAccessKey(accessKeyID) // what we cannot have issued costs no read
	}
	before := s.principals.generation()
	principal, err := s.loadPrincipal(ctx, accessKeyID)
	if err != nil {
		return gate.Principal{}, err
	}
	s.principals.put(accessKeyID, principal, before)
	return principal, nil
}

func (s *Service) loadPrincipal(ctx context.Context, accessKeyID string) (gate.Principal, error) {
	credential, err := s.store.Credential(ctx, accessKeyID)
	if err != nil {
		return gate.Principal{}, err
	}
	p, err := s.unseal(credential, accessKeyID)
	if err != nil {
		return gate.Principal{}, err
	}
	p.Identity = trail.Identity{AccountID: s.account, AccessKeyID: accessKeyID}
	if credential.Session != nil {
		p.Identity.Session = trail.NewSession(credential.Session.Created.Time)
	}
	switch owner := ownerOf(credential); {
	case !credential.Key.Active:
		return gate.Principal{}, noAccessKey(accessKeyID)
	case credential.User == nil && owner == "":
		p.Root = true
		p.Identity.Type, p.Identity.PrincipalID, p.Identity.ARN = trail.Root, s.account, s.RootARN()
		return p, nil
	case credential.User == nil: // deleted: what is left must not pass for root's
		return gate.Principal{}, noAccessKey(accessKeyID)
	}
	user := credential.User
	p.Identity.Type, p.Identity.PrincipalID = trail.IAMUser, user.ID
	p.Identity.ARN, p.Identity.UserName = user.ARN, user.Name
	p.Tags = user.Tags
	p.Policies, err = parsePolicies(credential.Policies)
	return p, err
}

func noAccessKey(id string) error {
	return fault.New(fault.NotFound, "access-key", "The Access Key with id %s cannot be found.", id)
}

// ownerOf is the name of the user a credential was issued to; empty for root.
func ownerOf(c Credential) string {
	if c.Session != nil {
		return c.Session.UserName
	}
	return c.Key.UserName
}

func (s *Service) unseal(c Credential, accessKeyID string) (p gate.Principal, err error) {
	if c.Session == nil {
		p.Secret, err = s.seal.open(c.Key.Secret, accessKeyID, signingSecret)
		return p, err
	}
	p.Issued, p.Expires = c.Session.Created, c.Session.Expires
	if p.Secret, err = s.seal.open(c.Session.Secret, accessKeyID, signingSecret); err != nil {
		return p, err
	}
	p.SessionToken, err = s.seal.open(c.Session.Token, accessKeyID, sessionToken)
	if err == nil && p.SessionToken == "" {
		err = fmt.Errorf("the session %s has an empty token", accessKeyID)
	}
	return p, err
}

// parsePolicies parses what applies to a user. A document that does not parse any more fails them all: leaving
// it out could leave out a Deny. Root, whom no policy limits, can mend it.
func parsePolicies(owned []OwnedPolicy) ([]policy.Policy, error) {
	parsed := make([]policy.Policy, 0, len(owned))
	for _, o := range owned {
		name, text := o.ARN, o.Document
		if name == "" {
			name = fmt.Sprintf("%s (inline policy of %s %s)", o.Name, o.Owner.Kind, o.Owner.Name)
		}
		if ofAWS(o.ARN) {
			builtIn, ok := awsPolicy(o.ARN)
			if !ok {
				continue // of another release of ours: it allows nothing here, and none of AWS's denies
			}
			text = builtIn.document
		}
		document, err := policy.Parse(text)
		if err != nil {
			return nil, fmt.Errorf("the stored policy %s does not parse: %v", name, err) // %v: it is no fault of the caller
		}
		parsed = append(parsed, policy.Policy{Name: name, Document: document})
	}
	return parsed, nil
}

// Used implements gate.Uses: it remembers when and for what an access key was last used. A use that cannot be
// remembered is worth no request.
func (s *Service) Used(ctx context.Context, accessKeyID, source, region string) {
	if strings.HasPrefix(accessKeyID, accessKeyPrefix) {
		service, _, _ := strings.Cut(source, ".")
		_ = s.store.TouchAccessKey(ctx, accessKeyID, LastUse{Time: s.clock.Now().UTC().Truncate(time.Second), Service: service, Region: region})
	}
}

// principalCache keeps principals until the next change of any identity. Everything in it was read after the
// last change: put drops what was read before one.
type principalCache struct {
	mu      sync.RWMutex
	entries map[string]gate.Principal
	changes uint64 // how often drop was called
}

func (c *principalCache) get(accessKeyID string) (gate.Principal, bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	p, ok := c.entries[accessKeyID]
	return p, ok
}

// generation is to be read before what put is given is read.
func (c *principalCache) generation() uint64 {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.changes
}

func (c *principalCache) put(accessKeyID string, p gate.Principal, generation uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if generation != c.changes {
		return
	}
	if len(c.entries) >= maxCached {
		for any := range c.entries { // one at random makes room
			delete(c.entries, any)
			break
		}
	}
	if c.entries == nil {
		c.entries = map[string]gate.Principal{}
	}
	c.entries[accessKeyID] = p
}

func (c *principalCache) drop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.changes++
	c.entries = nil
}

var (
	_ gate.Principals = (*Service)(nil)
	_ gate.Uses       = (*Service)(nil)
)
