package iam

import (
	"context"
	"fmt"
	"time"

	"github.com/sallyport/sallyport/internal/db"
	"github.com/sallyport/sallyport/internal/fault"
	"github.com/sallyport/sallyport/internal/gate"
)

// PolicyVersion is one version of a managed policy.
type PolicyVersion struct {
	Number   int64  // from 1; not used again after deletion
	Document string // as it was given
	Created  time.Time
	Default  bool // this version applies
}

// ID returns the version's name: "v1", "v2", …
func (v PolicyVersion) ID() string { return versionID(v.Number) }

func versionID(number int64) string { return fmt.Sprintf("v%d", number) }

func scanVersion(row db.Scanner) (v PolicyVersion, err error) {
	var created int64
	err = row.Scan(&v.Number, &v.Document, &created, &v.Default)
	v.Created = db.Time(created)
	return v, err
}

// findVersions returns the versions of the account's policy, newest first.
func findVersions(tx *db.Tx, p ManagedPolicy) ([]PolicyVersion, error) {
	return db.Collect(tx, scanVersion, `
		SELECT v.number, v.document, v.created, v.number = p.default_version
		FROM iam_policy_version v JOIN iam_policy p ON p.id = v.policy_id
		WHERE p.id = $1 ORDER BY v.number DESC`, p.ID)
}

func pick(versions []PolicyVersion, arn, id string) (PolicyVersion, error) {
	for _, v := range versions {
		if v.ID() == id {
			return v, nil
		}
	}
	return PolicyVersion{}, fault.New(fault.NotFound, fault.PolicyVersion,
		"Policy %s version %s does not exist or is not attachable.", arn, id)
}

func insertVersion(tx *gate.Tx, p ManagedPolicy, v PolicyVersion) error {
	_, err := tx.Exec(`INSERT INTO iam_policy_version (policy_id, number, document, created) VALUES ($1, $2, $3, $4)`,
		p.ID, v.Number, v.Document, db.Micros(v.Created))
	return err
}

// CreatePolicyVersion adds a version to a managed policy of the account, which can have five. If makeDefault is set,
// the version applies from now on.
func (s *Service) CreatePolicyVersion(
	tx *gate.Tx, arn, document string, makeDefault bool,
) (PolicyVersion, error) {
	p, err := s.changeable(tx, arn)
	if err != nil {
		return PolicyVersion{}, err
	}
	if err := checkManagedDocument(document); err != nil {
		return PolicyVersion{}, err
	}
	versions, err := findVersions(tx.Tx, p)
	if err != nil {
		return PolicyVersion{}, err
	}
	if len(versions) >= maxVersions {
		return PolicyVersion{}, fault.New(fault.Limit, fault.PolicyVersion, "A managed policy can have up to %d versions. "+
			"Before you create a new version, you must delete an existing version.", maxVersions)
	}
	created := PolicyVersion{Document: document, Created: moment(tx), Default: makeDefault}
	err = tx.Row(`UPDATE iam_policy SET last_version = last_version + 1, updated = $2 WHERE id = $1
		RETURNING last_version`, p.ID, db.Micros(created.Created)).Scan(&created.Number)
	if err != nil {
		return PolicyVersion{}, err
	}
	if err := insertVersion(tx, p, created); err != nil {
		return PolicyVersion{}, err
	}
	if makeDefault {
		err = setDefault(tx, p, created)
	}
	return created, err
}

func setDefault(tx *gate.Tx, p ManagedPolicy, v PolicyVersion) error {
	_, err := tx.Exec(`UPDATE iam_policy SET default_version = $2 WHERE id = $1`, p.ID, v.Number)
	return err
}

// PolicyVersion returns a version of a managed policy.
func (s *Service) PolicyVersion(ctx context.Context, pass gate.Pass, arn, version string) (PolicyVersion, error) {
	versions, err := s.PolicyVersions(ctx, pass, arn)
	if err != nil {
		return PolicyVersion{}, err
	}
	return pick(versions, arn, version)
}

// PolicyVersions returns the versions of a managed policy, newest first.
func (s *Service) PolicyVersions(ctx context.Context, pass gate.Pass, arn string) ([]PolicyVersion, error) {
	return read(ctx, s, pass, func(tx *db.Tx) ([]PolicyVersion, error) {
		p, err := s.attachable(tx, arn)
		if err != nil {
			return nil, err
		}
		if builtIn, ok := awsPolicy(arn); ok {
			return []PolicyVersion{builtIn.version()}, nil
		}
		return findVersions(tx, p)
	})
}

// SetDefaultPolicyVersion makes the version the one that applies, for all users and groups with the policy.
func (s *Service) SetDefaultPolicyVersion(tx *gate.Tx, arn, version string) error {
	p, v, err := s.changeableVersion(tx, arn, version)
	if err != nil {
		return err
	}
	return setDefault(tx, p, v)
}

// DeletePolicyVersion deletes a version that is not the default one.
func (s *Service) DeletePolicyVersion(tx *gate.Tx, arn, version string) error {
	p, v, err := s.changeableVersion(tx, arn, version)
	if err != nil {
		return err
	}
	if v.Default {
		return fault.New(fault.InUse, fault.PolicyVersion, "Cannot delete the default version of a policy.")
	}
	_, err = tx.Exec(`DELETE FROM iam_policy_version WHERE policy_id = $1 AND number = $2`, p.ID, v.Number)
	return err
}

// changeableVersion begins a write of a policy's version, and returns the policy and the version.
func (s *Service) changeableVersion(tx *gate.Tx, arn, version string) (ManagedPolicy, PolicyVersion, error) {
	p, err := s.changeable(tx, arn)
	if err != nil {
		return p, PolicyVersion{}, err
	}
	versions, err := findVersions(tx.Tx, p)
	if err != nil {
		return p, PolicyVersion{}, err
	}
	v, err := pick(versions, arn, version)
	return p, v, err
}
