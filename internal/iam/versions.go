package iam

import (
	"context"

	"github.com/sallyport/sallyport/internal/fault"
	"github.com/sallyport/sallyport/internal/gate"
	"github.com/sallyport/sallyport/internal/trail"
)

// CreatePolicyVersion adds a version to a managed policy of the account, which has at most five, and makes it
// the one that applies if makeDefault is set.
func (s *Service) CreatePolicyVersion(ctx context.Context, pass gate.Pass, arn, document string, makeDefault bool) (PolicyVersion, error) {
	if err := pass.Check(); err != nil {
		return PolicyVersion{}, err
	}
	if err := checkManagedDocument(document); err != nil {
		return PolicyVersion{}, err
	}
	var created PolicyVersion
	err := s.commit(func() error {
		if err := s.ownPolicy(ctx, arn); err != nil {
			return err
		}
		version := PolicyVersion{Document: document, Created: moment(pass), Default: makeDefault}
		var err error
		created, err = s.store.CreatePolicyVersion(ctx, arn, version, makeDefault, func(v PolicyVersion) trail.Event {
			return pass.Event(map[string]any{"policyVersion": map[string]any{
				"versionId": v.ID, "isDefaultVersion": makeDefault, "createDate": trailTime(v.Created),
			}})
		})
		return err
	})
	return created, err
}

// PolicyVersion returns one version of a managed policy with its document.
func (s *Service) PolicyVersion(ctx context.Context, pass gate.Pass, arn, version string) (PolicyVersion, error) {
	versions, err := s.PolicyVersions(ctx, pass, arn)
	if err != nil {
		return PolicyVersion{}, err
	}
	for _, v := range versions {
		if v.ID == version {
			return v, nil
		}
	}
	return PolicyVersion{}, noVersion(arn, version)
}

func noVersion(arn, version string) error {
	return fault.New(fault.NotFound, "policy-version", "Policy %s version %s does not exist or is not attachable.", arn, version)
}

// PolicyVersions returns the versions of a managed policy, newest first.
func (s *Service) PolicyVersions(ctx context.Context, pass gate.Pass, arn string) ([]PolicyVersion, error) {
	if err := pass.Check(); err != nil {
		return nil, err
	}
	if _, err := s.attachable(ctx, arn); err != nil {
		return nil, err
	}
	if builtIn, ok := awsPolicy(arn); ok {
		return []PolicyVersion{builtIn.version()}, nil
	}
	return s.store.PolicyVersions(ctx, arn)
}

// SetDefaultPolicyVersion makes a version the one that applies, for everybody the policy is attached to.
func (s *Service) SetDefaultPolicyVersion(ctx context.Context, pass gate.Pass, arn, version string) error {
	return s.changeVersion(ctx, pass, arn, version, s.store.SetDefaultPolicyVersion)
}

// DeletePolicyVersion deletes a version that is not the default one.
func (s *Service) DeletePolicyVersion(ctx context.Context, pass gate.Pass, arn, version string) error {
	return s.changeVersion(ctx, pass, arn, version, s.store.DeletePolicyVersion)
}

func (s *Service) changeVersion(ctx context.Context, pass gate.Pass, arn, version string, change func(ctx context.Context, arn, version string, event trail.Event) error) error {
	if err := pass.Check(); err != nil {
		return err
	}
	return s.commit(func() error {
		if err := s.ownPolicy(ctx, arn); err != nil {
			return err
		}
		return change(ctx, arn, version, pass.Event(nil))
	})
}
