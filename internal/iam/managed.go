package iam

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/internal/fault"
	"github.com/sallyport/sallyport/internal/gate"
	"github.com/sallyport/sallyport/internal/policy"
)

// NewPolicy is a managed policy to be created. Path is "/" if empty.
type NewPolicy struct {
	Name, Path, Description string
	Document                string
	Tags                    map[string]string
}

// CreatePolicy creates a managed policy, attached to nobody, whose version v1 has the document.
func (s *Service) CreatePolicy(ctx context.Context, pass gate.Pass, in NewPolicy) (ManagedPolicy, error) {
	if err := pass.Check(); err != nil {
		return ManagedPolicy{}, err
	}
	path := cmp.Or(in.Path, rootPath)
	tags, err := mergeTags(nil, in.Tags)
	if err != nil {
		return ManagedPolicy{}, err
	}
	if err := checkManagedDocument(in.Document); err != nil {
		return ManagedPolicy{}, err
	}
	id, err := newID(s.random, policyPrefix)
	if err != nil {
		return ManagedPolicy{}, err
	}
	now := moment(pass)
	p := ManagedPolicy{
		ID: id, Name: in.Name, Path: path, ARN: s.NewARN("policy", path, in.Name), Description: in.Description,
		DefaultVersion: "v1", Created: now, Updated: now, Tags: tags,
	}
	first := PolicyVersion{ID: "v1", Document: in.Document, Created: now, Default: true}
	response := map[string]any{"policy": map[string]any{
		"policyName": p.Name, "policyId": p.ID, "arn": p.ARN, "path": p.Path, "defaultVersionId": p.DefaultVersion, "attachmentCount": 0,
		"isAttachable": true, "createDate": trailTime(now), "updateDate": trailTime(now),
	}}
	return p, s.commit(func() error { return s.store.CreatePolicy(ctx, p, first, pass.Event(response)) })
}

// Policy returns a managed policy, the account's or AWS's own.
func (s *Service) Policy(ctx context.Context, pass gate.Pass, arn string) (ManagedPolicy, error) {
	if err := pass.Check(); err != nil {
		return ManagedPolicy{}, err
	}
	return s.policy(ctx, arn)
}

func (s *Service) policy(ctx context.Context, arn string) (ManagedPolicy, error) {
	if err := s.CheckPolicyARN(arn); err != nil {
		return ManagedPolicy{}, err
	}
	if !ofAWS(arn) {
		return s.store.Policy(ctx, arn)
	}
	builtIn, ok := awsPolicy(arn)
	if !ok {
		return ManagedPolicy{}, fault.New(fault.NotFound, "policy", "Policy %s was not found.", arn)
	}
	owners, err := s.store.PolicyOwners(ctx, arn)
	builtIn.Attachments = len(owners)
	return builtIn.ManagedPolicy, err
}

// attachable is policy with the words that IAM has where a policy is to be used or changed, and not only looked at.
func (s *Service) attachable(ctx context.Context, arn string) (ManagedPolicy, error) {
	p, err := s.policy(ctx, arn)
	if fault.Is(err, fault.NotFound) {
		err = fault.New(fault.NotFound, "policy", "Policy %s does not exist or is not attachable.", arn)
	}
	return p, err
}

// ownPolicy refuses a policy that is AWS's own or does not exist.
func (s *Service) ownPolicy(ctx context.Context, arn string) error {
	if ofAWS(arn) {
		return fault.New(fault.Denied, "policy", "Policy %s is AWS's own and cannot be changed. Create a policy of your own with its document.", arn)
	}
	_, err := s.attachable(ctx, arn)
	return err
}

// PolicyScope says whose managed policies are meant.
type PolicyScope string

// The scopes, in IAM's words.
const (
	AllPolicies   PolicyScope = "All"
	AWSPolicies   PolicyScope = "AWS"
	LocalPolicies PolicyScope = "Local"
)

// PolicyFilter selects managed policies.
type PolicyFilter struct {
	Scope        PolicyScope // AllPolicies if empty
	OnlyAttached bool
	PathPrefix   string // "/" if empty
}

// Policies returns the managed policies that pass the filter, by name.
func (s *Service) Policies(ctx context.Context, pass gate.Pass, filter PolicyFilter) ([]ManagedPolicy, error) {
	if err := pass.Check(); err != nil {
		return nil, err
	}
	prefix := cmp.Or(filter.PathPrefix, rootPath)
	var found []ManagedPolicy
	var err error
	if filter.Scope != AWSPolicies {
		if found, err = s.store.Policies(ctx, prefix); err != nil {
			return nil, err
		}
	}
	if filter.Scope != LocalPolicies {
		for _, p := range awsPolicies() {
			if !strings.HasPrefix(p.Path, prefix) {
				continue
			}
			p, err := s.policy(ctx, p.ARN)
			if err != nil {
				return nil, err
			}
			found = append(found, p)
		}
	}
	if filter.OnlyAttached {
		found = slices.DeleteFunc(found, func(p ManagedPolicy) bool { return p.Attachments == 0 })
	}
	slices.SortFunc(found, comparePolicies)
	return found, nil
}

// comparePolicies orders by name; one of AWS's may have the same as one of the account's.
func comparePolicies(a, b ManagedPolicy) int {
	return cmp.Or(strings.Compare(policy.Fold(a.Name), policy.Fold(b.Name)), strings.Compare(a.ARN, b.ARN))
}

// DeletePolicy deletes a managed policy that is attached to nobody and has no versions but the default one; an
// InUse fault says what is left.
func (s *Service) DeletePolicy(ctx context.Context, pass gate.Pass, arn string) error {
	if err := pass.Check(); err != nil {
		return err
	}
	return s.commit(func() error {
		if err := s.ownPolicy(ctx, arn); err != nil {
			return err
		}
		return s.store.DeletePolicy(ctx, arn, pass.Event(nil))
	})
}
