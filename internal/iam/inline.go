package iam

import (
	"context"
	"slices"

	"github.com/sallyport/sallyport/internal/db"
	"github.com/sallyport/sallyport/internal/fault"
	"github.com/sallyport/sallyport/internal/gate"
	"github.com/sallyport/sallyport/internal/policy"
)

// InlinePolicy is a policy that belongs to one user or group and is deleted with it.
type InlinePolicy struct {
	Name     string
	Document string // as it was given
}

func scanInline(row db.Scanner) (p InlinePolicy, err error) {
	err = row.Scan(&p.Name, &p.Document)
	return p, err
}

func noInline(owner Owner, name string) error {
	return fault.New(fault.NotFound, fault.Policy, "The %s policy with name %s cannot be found.", owner.Kind, name)
}

// PutInlinePolicy adds an inline policy to the owner, or replaces the one of the same name. An invalid document is
// Invalid "policy-document".
func (s *Service) PutInlinePolicy(tx *gate.Tx, owner Owner, p InlinePolicy) error {
	if err := s.begin(tx); err != nil {
		return err
	}
	if err := policy.Validate(p.Document, false); err != nil {
		return err
	}
	i, err := find(tx.Tx, owner)
	if err != nil {
		return err
	}
	others, err := db.Collect(tx.Tx, scanInline,
		`SELECT name, document FROM iam_inline_policy WHERE owner_id = $1 AND folded <> $2`, i.ID, policy.Fold(p.Name))
	if err != nil {
		return err
	}
	if err := checkInlineSize(i, append(others, p)); err != nil {
		return err
	}
	_, err = tx.Exec(`
		INSERT INTO iam_inline_policy (owner_id, name, folded, document) VALUES ($1, $2, $3, $4)
		ON CONFLICT (owner_id, folded) DO UPDATE SET name = excluded.name, document = excluded.document`,
		i.ID, p.Name, policy.Fold(p.Name), p.Document)
	return err
}

// InlinePolicy returns the owner's inline policy with the name.
func (s *Service) InlinePolicy(ctx context.Context, pass gate.Pass, owner Owner, name string) (InlinePolicy, error) {
	return read(ctx, s, pass, func(tx *db.Tx) (InlinePolicy, error) {
		i, err := find(tx, owner)
		if err != nil {
			return InlinePolicy{}, err
		}
		return db.One(tx, noInline(owner, name), scanInline,
			`SELECT name, document FROM iam_inline_policy WHERE owner_id = $1 AND folded = $2`, i.ID, policy.Fold(name))
	})
}

// InlinePolicies returns the owner's inline policies, ordered by name.
func (s *Service) InlinePolicies(ctx context.Context, pass gate.Pass, owner Owner) ([]InlinePolicy, error) {
	return read(ctx, s, pass, func(tx *db.Tx) ([]InlinePolicy, error) {
		i, err := find(tx, owner)
		if err != nil {
			return nil, err
		}
		all, err := db.Collect(tx, scanInline, `SELECT name, document FROM iam_inline_policy WHERE owner_id = $1`, i.ID)
		slices.SortFunc(all, func(a, b InlinePolicy) int { return compareNames(a.Name, b.Name) })
		return all, err
	})
}

// DeleteInlinePolicy deletes an inline policy.
func (s *Service) DeleteInlinePolicy(tx *gate.Tx, owner Owner, name string) error {
	i, err := s.existing(tx, owner)
	if err != nil {
		return err
	}
	return tx.Change(noInline(owner, name),
		`DELETE FROM iam_inline_policy WHERE owner_id = $1 AND folded = $2`, i.ID, policy.Fold(name))
}
