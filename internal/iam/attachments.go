package iam

import (
	"context"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/internal/db"
	"github.com/sallyport/sallyport/internal/fault"
	"github.com/sallyport/sallyport/internal/gate"
)

// AttachPolicy attaches a managed policy to a user or group, which can have ten. It does nothing if the policy is
// already attached.
func (s *Service) AttachPolicy(tx *gate.Tx, owner Owner, arn string) error {
	if err := s.begin(tx); err != nil {
		return err
	}
	tx.Touch(policyResource(arn))
	if _, err := s.attachable(tx.Tx, arn); err != nil {
		return err
	}
	i, err := find(tx.Tx, owner)
	if err != nil {
		return err
	}
	kind, err := kindOf(i.Kind)
	if err != nil {
		return err
	}
	var others int
	err = tx.Row(`SELECT COUNT(*) FROM iam_attachment WHERE owner_id = $1 AND policy_arn <> $2`, i.ID, arn).Scan(&others)
	if err != nil {
		return err
	}
	if others >= maxAttached {
		return fault.New(fault.Limit, fault.Attachment, "Cannot exceed quota for PoliciesPer%s: %d. "+
			"Detach another policy from %s first.", kind.title, maxAttached, i.Name)
	}
	_, err = tx.Exec(`INSERT INTO iam_attachment (owner_id, policy_arn) VALUES ($1, $2) ON CONFLICT DO NOTHING`, i.ID, arn)
	return err
}

// DetachPolicy detaches a managed policy from a user or group.
func (s *Service) DetachPolicy(tx *gate.Tx, owner Owner, arn string) error {
	if err := s.begin(tx); err != nil {
		return err
	}
	tx.Touch(policyResource(arn))
	if err := s.CheckPolicyARN(arn); err != nil {
		return err
	}
	i, err := find(tx.Tx, owner)
	if err != nil {
		return err
	}
	absent := fault.New(fault.NotFound, fault.Attachment, "Policy %s was not found.", arn)
	return tx.Change(absent, `DELETE FROM iam_attachment WHERE owner_id = $1 AND policy_arn = $2`, i.ID, arn)
}

// AttachedPolicies returns the managed policies attached to a user or group whose path has the prefix, by name. The
// prefix is "/" if empty.
func (s *Service) AttachedPolicies(
	ctx context.Context, pass gate.Pass, owner Owner, pathPrefix string,
) ([]ManagedPolicy, error) {
	return read(ctx, s, pass, func(tx *db.Tx) (attached []ManagedPolicy, err error) {
		i, err := find(tx, owner)
		if err != nil {
			return nil, err
		}
		arns, err := db.Collect(tx, scanText, `SELECT policy_arn FROM iam_attachment WHERE owner_id = $1`, i.ID)
		if err != nil {
			return nil, err
		}
		for _, arn := range arns {
			p, err := s.policy(tx, arn)
			if fault.Is(err, fault.NotFound) {
				continue // AWS's own, of another release of Sallyport
			}
			if err != nil {
				return nil, err
			}
			if strings.HasPrefix(p.Path, pathPrefix) {
				attached = append(attached, p)
			}
		}
		slices.SortFunc(attached, comparePolicies)
		return attached, nil
	})
}

func scanText(row db.Scanner) (text string, err error) {
	err = row.Scan(&text)
	return text, err
}

// PolicyOwners returns the groups and users that a managed policy is attached to, each by name.
func (s *Service) PolicyOwners(ctx context.Context, pass gate.Pass, arn string) ([]Identity, error) {
	return read(ctx, s, pass, func(tx *db.Tx) ([]Identity, error) {
		if _, err := s.attachable(tx, arn); err != nil {
			return nil, err
		}
		return byName(db.Collect(tx, scanIdentity, `SELECT `+identityColumns+`
			FROM iam_attachment a JOIN iam_identity i ON i.id = a.owner_id WHERE a.policy_arn = $1`, arn))
	})
}
