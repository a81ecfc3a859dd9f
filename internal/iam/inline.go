package iam

import (
	"context"

	"github.com/sallyport/sallyport/internal/gate"
	"github.com/sallyport/sallyport/internal/policy"
)

// PutInlinePolicy gives the owner a policy of its own, in place of one of the same name. The document is kept
// as it was given. A bad one is an Invalid fault with Resource "policy-document".
func (s *Service) PutInlinePolicy(ctx context.Context, pass gate.Pass, owner Owner, p InlinePolicy) error {
	if err := pass.Check(); err != nil {
		return err
	}
	if err := policy.Validate(p.Document, false); err != nil {
		return err
	}
	return s.commit(func() error {
		others, err := s.inlinePolicies(ctx, owner)
		if err != nil {
			return err
		}
		if err := checkInlineSize(owner, others, p); err != nil {
			return err
		}
		return s.store.PutInlinePolicy(ctx, owner, p, pass.Event(nil))
	})
}

// InlinePolicy returns one inline policy of the owner.
func (s *Service) InlinePolicy(ctx context.Context, pass gate.Pass, owner Owner, name string) (InlinePolicy, error) {
	if err := pass.Check(); err != nil {
		return InlinePolicy{}, err
	}
	if _, err := s.owner(ctx, owner); err != nil {
		return InlinePolicy{}, err
	}
	return s.store.InlinePolicy(ctx, owner, name)
}

// InlinePolicies returns the owner's inline policies, by name.
func (s *Service) InlinePolicies(ctx context.Context, pass gate.Pass, owner Owner) ([]InlinePolicy, error) {
	if err := pass.Check(); err != nil {
		return nil, err
	}
	return s.inlinePolicies(ctx, owner)
}

func (s *Service) inlinePolicies(ctx context.Context, owner Owner) ([]InlinePolicy, error) {
	if _, err := s.owner(ctx, owner); err != nil {
		return nil, err
	}
	return s.store.InlinePolicies(ctx, owner)
}

// DeleteInlinePolicy deletes an inline policy.
func (s *Service) DeleteInlinePolicy(ctx context.Context, pass gate.Pass, owner Owner, name string) error {
	if err := pass.Check(); err != nil {
		return err
	}
	return s.commit(func() error {
		if _, err := s.owner(ctx, owner); err != nil {
			return err
		}
		return s.store.DeleteInlinePolicy(ctx, owner, name, pass.Event(nil))
	})
}

// owner returns the ARN of a user or group that exists, and its NotFound fault otherwise.
func (s *Service) owner(ctx context.Context, owner Owner) (arn string, err error) {
	if owner.Kind == OwnerGroup {
		group, err := s.store.Group(ctx, owner.Name)
		return group.ARN, err
	}
	user, err := s.store.User(ctx, owner.Name)
	return user.ARN, err
}
