package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/internal/fault"
	"github.com/sallyport/sallyport/internal/iam"
	"github.com/sallyport/sallyport/internal/trail"
)

// ownerID finds a user or a group.
func ownerID(conn *session, owner iam.Owner) (string, error) {
	switch owner.Kind {
	case iam.OwnerUser:
		u, err := findUser(conn, owner.Name)
		return u.ID, err
	case iam.OwnerGroup:
		g, err := findGroup(conn, owner.Name)
		return g.ID, err
	}
	return "", fmt.Errorf("store: %q owns no policies", owner.Kind)
}

// PutInlinePolicy implements iam.Store.
func (s *Store) PutInlinePolicy(ctx context.Context, owner iam.Owner, p iam.InlinePolicy, event trail.Event) error {
	return s.mutate(ctx, event, func(tx *session) error {
		id, err := ownerID(tx, owner)
		if err != nil {
			return err
		}
		_, err = tx.exec(`
			INSERT INTO iam_inline_policy (owner_id, name, folded, document) VALUES ($1, $2, $3, $4)
			ON CONFLICT (owner_id, folded) DO UPDATE SET name = excluded.name, document = excluded.document`,
			id, p.Name, fold(p.Name), p.Document)
		return err
	})
}

// InlinePolicy implements iam.Store.
func (s *Store) InlinePolicy(ctx context.Context, owner iam.Owner, name string) (iam.InlinePolicy, error) {
	return get(ctx, s, func(conn *session) (iam.InlinePolicy, error) {
		id, err := ownerID(conn, owner)
		if err != nil {
			return iam.InlinePolicy{}, err
		}
		p, err := scanInline(conn.row(`SELECT name, document FROM iam_inline_policy WHERE owner_id = $1 AND folded = $2`, id, fold(name)))
		if errors.Is(err, sql.ErrNoRows) {
			err = noInline(owner, name)
		}
		return p, err
	})
}

func noInline(owner iam.Owner, name string) error {
	return fault.New(fault.NotFound, "policy", "The %s policy with name %s cannot be found.", owner.Kind, name)
}

// InlinePolicies implements iam.Store.
func (s *Store) InlinePolicies(ctx context.Context, owner iam.Owner) ([]iam.InlinePolicy, error) {
	return get(ctx, s, func(conn *session) ([]iam.InlinePolicy, error) {
		id, err := ownerID(conn, owner)
		if err != nil {
			return nil, err
		}
		policies, err := collect(conn, scanInline, `SELECT name, document FROM iam_inline_policy WHERE owner_id = $1`, id)
		slices.SortFunc(policies, func(a, b iam.InlinePolicy) int { return byName(a.Name, b.Name) })
		return policies, err
	})
}

// DeleteInlinePolicy implements iam.Store.
func (s *Store) DeleteInlinePolicy(ctx context.Context, owner iam.Owner, name string, event trail.Event) error {
	return s.mutate(ctx, event, func(tx *session) error {
		id, err := ownerID(tx, owner)
		if err != nil {
			return err
		}
		return changeOne(noInline(owner, name))(tx.exec(`DELETE FROM iam_inline_policy WHERE owner_id = $1 AND folded = $2`, id, fold(name)))
	})
}

func scanInline(row scanner) (p iam.InlinePolicy, err error) {
	err = row.Scan(&p.Name, &p.Document)
	return p, err
}

// AttachPolicy implements iam.Store.
func (s *Store) AttachPolicy(ctx context.Context, owner iam.Owner, arn string, event trail.Event) error {
	return s.mutate(ctx, event, func(tx *session) error {
		id, err := ownerID(tx, owner)
		if err != nil {
			return err
		}
		if !strings.HasPrefix(arn, iam.AWSPolicyPrefix) {
			if _, err := findPolicy(tx, arn); err != nil {
				return err
			}
		}
		_, err = tx.exec(`INSERT INTO iam_attachment (owner_id, policy_arn) VALUES ($1, $2) ON CONFLICT DO NOTHING`, id, arn)
		return err
	})
}

// DetachPolicy implements iam.Store.
func (s *Store) DetachPolicy(ctx context.Context, owner iam.Owner, arn string, event trail.Event) error {
	return s.mutate(ctx, event, func(tx *session) error {
		id, err := ownerID(tx, owner)
		if err != nil {
			return err
		}
		absent := fault.New(fault.NotFound, "attachment", "Policy %s was not found.", arn)
		return changeOne(absent)(tx.exec(`DELETE FROM iam_attachment WHERE owner_id = $1 AND policy_arn = $2`, id, arn))
	})
}

// AttachedPolicies implements iam.Store.
func (s *Store) AttachedPolicies(ctx context.Context, owner iam.Owner) ([]string, error) {
	return get(ctx, s, func(conn *session) ([]string, error) {
		id, err := ownerID(conn, owner)
		if err != nil {
			return nil, err
		}
		return collect(conn, func(row scanner) (arn string, err error) {
			err = row.Scan(&arn)
			return arn, err
		}, `SELECT policy_arn FROM iam_attachment WHERE owner_id = $1`, id)
	})
}

// PolicyOwners implements iam.Store.
func (s *Store) PolicyOwners(ctx context.Context, arn string) ([]iam.Owner, error) {
	return get(ctx, s, func(conn *session) ([]iam.Owner, error) {
		if !strings.HasPrefix(arn, iam.AWSPolicyPrefix) {
			if _, err := findPolicy(conn, arn); err != nil {
				return nil, err
			}
		}
		owners, err := collect(conn, func(row scanner) (o iam.Owner, err error) {
			err = row.Scan(&o.Kind, &o.Name)
			return o, err
		}, `SELECT 'user', u.name FROM iam_attachment a JOIN iam_user u ON u.id = a.owner_id WHERE a.policy_arn = $1
			UNION ALL
			SELECT 'group', g.name FROM iam_attachment a JOIN iam_group g ON g.id = a.owner_id WHERE a.policy_arn = $1`, arn)
		slices.SortFunc(owners, compareOwners)
		return owners, err
	})
}

// compareOwners orders users before groups, and each by name.
func compareOwners(a, b iam.Owner) int {
	if a.Kind != b.Kind {
		return -strings.Compare(string(a.Kind), string(b.Kind))
	}
	return byName(a.Name, b.Name)
}
