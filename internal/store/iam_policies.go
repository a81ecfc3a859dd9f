package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/sallyport/sallyport/internal/fault"
	"github.com/sallyport/sallyport/internal/iam"
	"github.com/sallyport/sallyport/internal/trail"
)

// CreatePolicy implements iam.Store. The first version is v1, whatever its ID says.
func (s *Store) CreatePolicy(ctx context.Context, p iam.ManagedPolicy, first iam.PolicyVersion, event trail.Event) error {
	tags, err := encodeTags(p.Tags)
	if err != nil {
		return err
	}
	return s.mutate(ctx, event, func(tx *session) error {
		created, err := tx.exec(`
			INSERT INTO iam_policy (id, name, folded, path, arn, description, default_version, last_version, created, updated, tags)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) ON CONFLICT DO NOTHING`,
			p.ID, p.Name, fold(p.Name), p.Path, p.ARN, p.Description, 1, 1, micros(p.Created), micros(p.Updated), tags)
		if err != nil {
			return err
		}
		if created == 0 {
			return fault.New(fault.Exists, "policy", "A policy called %s already exists. Duplicate names are not allowed.", p.Name)
		}
		return insertVersion(tx, p.ID, 1, first)
	})
}

func insertVersion(tx *session, policyID string, number int64, v iam.PolicyVersion) error {
	_, err := tx.exec(`INSERT INTO iam_policy_version (policy_id, number, document, created) VALUES ($1, $2, $3, $4)`,
		policyID, number, v.Document, micros(v.Created))
	return err
}

const selectPolicies = `
	SELECT p.id, p.name, p.path, p.arn, p.description, p.default_version, p.created, p.updated, p.tags,
		(SELECT COUNT(*) FROM iam_attachment a WHERE a.policy_arn = p.arn)
	FROM iam_policy p `

// Policy implements iam.Store.
func (s *Store) Policy(ctx context.Context, arn string) (iam.ManagedPolicy, error) {
	return get(ctx, s, func(conn *session) (iam.ManagedPolicy, error) { return findPolicy(conn, arn) })
}

func findPolicy(conn *session, arn string) (iam.ManagedPolicy, error) {
	p, err := scanPolicy(conn.row(selectPolicies+`WHERE p.arn = $1`, arn))
	if errors.Is(err, sql.ErrNoRows) {
		err = noPolicy(arn)
	}
	return p, err
}

func noPolicy(arn string) error {
	return fault.New(fault.NotFound, "policy", "Policy %s was not found.", arn)
}

// Policies implements iam.Store.
func (s *Store) Policies(ctx context.Context, pathPrefix string) ([]iam.ManagedPolicy, error) {
	return get(ctx, s, func(conn *session) ([]iam.ManagedPolicy, error) {
		policies, err := collect(conn, scanPolicy, selectPolicies)
		policies = slices.DeleteFunc(policies, func(p iam.ManagedPolicy) bool { return !strings.HasPrefix(p.Path, pathPrefix) })
		return policies, err
	})
}

// DeletePolicy implements iam.Store.
func (s *Store) DeletePolicy(ctx context.Context, arn string, event trail.Event) error {
	return s.mutate(ctx, event, func(tx *session) error {
		p, err := findPolicy(tx, arn)
		if err != nil {
			return err
		}
		if p.Attachments > 0 {
			return fault.New(fault.InUse, "policy", "Cannot delete a policy attached to entities.")
		}
		versions, err := countVersions(tx, p.ID)
		if err != nil {
			return err
		}
		if versions > 1 {
			return fault.New(fault.InUse, "policy", "This policy has more than one version. Before you delete a policy, you must delete the policy's versions. The default version is deleted with the policy.")
		}
		if _, err := tx.exec(`DELETE FROM iam_policy_version WHERE policy_id = $1`, p.ID); err != nil {
			return err
		}
		_, err = tx.exec(`DELETE FROM iam_policy WHERE id = $1`, p.ID)
		return err
	})
}

// CreatePolicyVersion implements iam.Store. event may be called more than once, if the transaction must be run
// again; the last result counts.
func (s *Store) CreatePolicyVersion(ctx context.Context, arn string, v iam.PolicyVersion, makeDefault bool, event func(iam.PolicyVersion) trail.Event) (iam.PolicyVersion, error) {
	var made iam.PolicyVersion
	sequence, err := s.sequence.take(ctx, s.backend)
	if err != nil {
		return made, err
	}
	err = s.write(ctx, func(tx *session) error {
		p, err := findPolicy(tx, arn)
		if err != nil {
			return err
		}
		versions, err := countVersions(tx, p.ID)
		if err != nil {
			return err
		}
		if versions >= iam.MaxVersions {
			return fault.New(fault.Limit, "policy-version", "A managed policy can have up to %d versions. Before you create a new version, you must delete an existing version.", iam.MaxVersions)
		}
		var number int64
		err = tx.row(`UPDATE iam_policy SET last_version = last_version + 1, updated = $2 WHERE id = $1 RETURNING last_version`,
			p.ID, micros(v.Created)).Scan(&number)
		if err != nil {
			return err
		}
		if err := insertVersion(tx, p.ID, number, v); err != nil {
			return err
		}
		if makeDefault {
			if err := setDefault(tx, p.ID, number); err != nil {
				return err
			}
		}
		made = v
		made.ID, made.Default = versionID(number), makeDefault
		row, err := newEventRow(event(made), sequence)
		if err != nil {
			return err
		}
		return row.append(tx)
	})
	if err != nil {
		return iam.PolicyVersion{}, err
	}
	return made, nil
}

const versionColumns = `v.number, v.document, v.created, v.number = p.default_version`

func findVersion(tx *session, p iam.ManagedPolicy, version string) (iam.PolicyVersion, error) {
	v, err := scanVersion(tx.row(`SELECT `+versionColumns+` FROM iam_policy_version v JOIN iam_policy p ON p.id = v.policy_id
		WHERE v.policy_id = $1 AND v.number = $2`, p.ID, versionNumber(version)))
	if errors.Is(err, sql.ErrNoRows) {
		err = fault.New(fault.NotFound, "policy-version", "Policy %s version %s does not exist or is not attachable.", p.ARN, version)
	}
	return v, err
}

// PolicyVersions implements iam.Store.
func (s *Store) PolicyVersions(ctx context.Context, arn string) ([]iam.PolicyVersion, error) {
	return get(ctx, s, func(conn *session) ([]iam.PolicyVersion, error) {
		versions, err := collect(conn, scanVersion, `SELECT `+versionColumns+` FROM iam_policy_version v JOIN iam_policy p ON p.id = v.policy_id
			WHERE p.arn = $1 ORDER BY v.number DESC`, arn)
		if err == nil && len(versions) == 0 { // every policy has one
			err = noPolicy(arn)
		}
		return versions, err
	})
}

// SetDefaultPolicyVersion implements iam.Store.
func (s *Store) SetDefaultPolicyVersion(ctx context.Context, arn, version string, event trail.Event) error {
	return s.mutate(ctx, event, func(tx *session) error {
		p, err := findPolicy(tx, arn)
		if err != nil {
			return err
		}
		if _, err := findVersion(tx, p, version); err != nil {
			return err
		}
		return setDefault(tx, p.ID, versionNumber(version))
	})
}

func setDefault(tx *session, policyID string, number int64) error {
	_, err := tx.exec(`UPDATE iam_policy SET default_version = $2 WHERE id = $1`, policyID, number)
	return err
}

// DeletePolicyVersion implements iam.Store.
func (s *Store) DeletePolicyVersion(ctx context.Context, arn, version string, event trail.Event) error {
	return s.mutate(ctx, event, func(tx *session) error {
		p, err := findPolicy(tx, arn)
		if err != nil {
			return err
		}
		v, err := findVersion(tx, p, version)
		if err != nil {
			return err
		}
		if v.Default {
			return fault.New(fault.InUse, "policy-version", "Cannot delete the default version of a policy.")
		}
		_, err = tx.exec(`DELETE FROM iam_policy_version WHERE policy_id = $1 AND number = $2`, p.ID, versionNumber(version))
		return err
	})
}

func countVersions(tx *session, policyID string) (int, error) {
	var count int
	err := tx.row(`SELECT COUNT(*) FROM iam_policy_version WHERE policy_id = $1`, policyID).Scan(&count)
	return count, err
}

func versionID(number int64) string { return fmt.Sprintf("v%d", number) }

// versionNumber is the inverse of versionID; 0, which no version has, for anything else.
func versionNumber(id string) int64 {
	number, err := strconv.ParseInt(strings.TrimPrefix(id, "v"), 10, 64)
	if err != nil || versionID(number) != id {
		return 0
	}
	return number
}

func scanPolicy(row scanner) (iam.ManagedPolicy, error) {
	var p iam.ManagedPolicy
	var number, created, updated int64
	var tags string
	err := row.Scan(&p.ID, &p.Name, &p.Path, &p.ARN, &p.Description, &number, &created, &updated, &tags, &p.Attachments)
	if err != nil {
		return p, err
	}
	p.DefaultVersion, p.Created, p.Updated = versionID(number), timeOf(created), timeOf(updated)
	p.Tags, err = decodeTags(tags)
	return p, err
}

func scanVersion(row scanner) (iam.PolicyVersion, error) {
	var v iam.PolicyVersion
	var number, created int64
	err := row.Scan(&number, &v.Document, &created, &v.Default)
	v.ID, v.Created = versionID(number), timeOf(created)
	return v, err
}
