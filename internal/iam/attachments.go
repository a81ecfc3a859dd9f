package iam

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/internal/fault"
	"github.com/sallyport/sallyport/internal/gate"
	"github.com/sallyport/sallyport/internal/trail"
)

// AttachPolicy attaches a managed policy to a user or group, which has at most ten; one that is attached
// already is no error.
func (s *Service) AttachPolicy(ctx context.Context, pass gate.Pass, owner Owner, arn string) error {
	if err := pass.Check(); err != nil {
		return err
	}
	return s.commit(func() error {
		if _, err := s.attachable(ctx, arn); err != nil {
			return err
		}
		if _, err := s.owner(ctx, owner); err != nil {
			return err
		}
		attached, err := s.store.AttachedPolicies(ctx, owner)
		if err != nil {
			return err
		}
		if len(attached) >= maxAttached && !slices.Contains(attached, arn) {
			return fault.New(fault.Limit, "attachment", "Cannot exceed quota for PoliciesPer%s: %d. Detach another policy from %s first.", title(owner.Kind), maxAttached, owner.Name)
		}
		return s.store.AttachPolicy(ctx, owner, arn, pass.Event(nil, trail.Resource{ARN: arn, Type: PolicyType}))
	})
}

// DetachPolicy detaches a managed policy from a user or group.
func (s *Service) DetachPolicy(ctx context.Context, pass gate.Pass, owner Owner, arn string) error {
	if err := pass.Check(); err != nil {
		return err
	}
	if err := s.CheckPolicyARN(arn); err != nil {
		return err
	}
	return s.commit(func() error {
		if _, err := s.owner(ctx, owner); err != nil {
			return err
		}
		return s.store.DetachPolicy(ctx, owner, arn, pass.Event(nil, trail.Resource{ARN: arn, Type: PolicyType}))
	})
}

// AttachedPolicies returns the managed policies attached to a user or group whose path has the prefix, by
// name.
func (s *Service) AttachedPolicies(ctx context.Context, pass gate.Pass, owner Owner, pathPrefix string) ([]ManagedPolicy, error) {
	if err := pass.Check(); err != nil {
		return nil, err
	}
	prefix := cmp.Or(pathPrefix, rootPath)
	if _, err := s.owner(ctx, owner); err != nil {
		return nil, err
	}
	arns, err := s.store.AttachedPolicies(ctx, owner)
	if err != nil {
		return nil, err
	}
	var attached []ManagedPolicy
	for _, arn := range arns {
		p, err := s.policy(ctx, arn)
		if fault.Is(err, fault.NotFound) {
			continue // deleted a moment ago, or AWS's own in another release of ours
		}
		if err != nil {
			return nil, err
		}
		if strings.HasPrefix(p.Path, prefix) {
			attached = append(attached, p)
		}
	}
	slices.SortFunc(attached, comparePolicies)
	return attached, nil
}

// PolicyOwners returns the users and groups a managed policy is attached to, each by name.
func (s *Service) PolicyOwners(ctx context.Context, pass gate.Pass, arn string) ([]User, []Group, error) {
	if err := pass.Check(); err != nil {
		return nil, nil, err
	}
	if _, err := s.attachable(ctx, arn); err != nil {
		return nil, nil, err
	}
	owners, err := s.store.PolicyOwners(ctx, arn)
	if err != nil {
		return nil, nil, err
	}
	var users []User
	var groups []Group
	for _, owner := range owners {
		switch owner.Kind {
		case OwnerUser:
			var user User
			if user, err = s.store.User(ctx, owner.Name); err == nil {
				users = append(users, user)
			}
		case OwnerGroup:
			var group Group
			if group, err = s.store.Group(ctx, owner.Name); err == nil {
				groups = append(groups, group)
			}
		}
		if err != nil && !fault.Is(err, fault.NotFound) { // NotFound: deleted a moment ago
			return nil, nil, err
		}
	}
	return users, groups, nil
}

func title(kind OwnerKind) string { return strings.ToUpper(string(kind[:1])) + string(kind[1:]) }
