package iam

import (
	"context"

	"github.com/sallyport/sallyport/internal/db"
	"github.com/sallyport/sallyport/internal/fault"
	"github.com/sallyport/sallyport/internal/gate"
)

// AddMember adds a user to a group. It does nothing if the user is a member. A user can be in ten groups.
func (s *Service) AddMember(tx *gate.Tx, group, user string) error {
	g, u, err := s.pair(tx, group, user)
	if err != nil {
		return err
	}
	var others int
	err = tx.Row(`SELECT COUNT(*) FROM iam_member WHERE user_id = $1 AND group_id <> $2`, u.ID, g.ID).Scan(&others)
	if err != nil {
		return err
	}
	if others >= maxGroupsOfUser {
		return fault.New(fault.Limit, fault.Membership,
			"Cannot exceed quota for GroupsPerUser: %d. Remove %s from another group first.", maxGroupsOfUser, u.Name)
	}
	_, err = tx.Exec(`INSERT INTO iam_member (user_id, group_id) VALUES ($1, $2) ON CONFLICT DO NOTHING`, u.ID, g.ID)
	return err
}

// RemoveMember removes a user from a group, and so from the group's policies.
func (s *Service) RemoveMember(tx *gate.Tx, group, user string) error {
	g, u, err := s.pair(tx, group, user)
	if err != nil {
		return err
	}
	absent := fault.New(fault.NotFound, fault.Membership,
		"The user with name %s is not in the group %s.", u.Name, g.Name)
	return tx.Change(absent, `DELETE FROM iam_member WHERE user_id = $1 AND group_id = $2`, u.ID, g.ID)
}

// pair begins a write of a membership. Policies were asked about the group alone.
func (s *Service) pair(tx *gate.Tx, group, user string) (g, u Identity, err error) {
	if err := s.begin(tx); err != nil {
		return g, u, err
	}
	if g, err = find(tx.Tx, Owner{OwnerGroup, group}); err != nil {
		return g, u, err
	}
	u, err = find(tx.Tx, Owner{OwnerUser, user})
	tx.Touch(u.resource())
	return g, u, err
}

// Group returns the group with the name and its members, ordered by name.
func (s *Service) Group(
	ctx context.Context, pass gate.Pass, name string,
) (group Identity, members []Identity, err error) {
	members, err = read(ctx, s, pass, func(tx *db.Tx) ([]Identity, error) {
		if group, err = find(tx, Owner{OwnerGroup, name}); err != nil {
			return nil, err
		}
		return byName(db.Collect(tx, scanIdentity, `SELECT `+identityColumns+`
			FROM iam_member m JOIN iam_identity i ON i.id = m.user_id WHERE m.group_id = $1`, group.ID))
	})
	return group, members, err
}

// GroupsOf returns the user's groups, ordered by name.
func (s *Service) GroupsOf(ctx context.Context, pass gate.Pass, user string) ([]Identity, error) {
	return read(ctx, s, pass, func(tx *db.Tx) ([]Identity, error) {
		u, err := find(tx, Owner{OwnerUser, user})
		if err != nil {
			return nil, err
		}
		return byName(db.Collect(tx, scanIdentity, `SELECT `+identityColumns+`
			FROM iam_member m JOIN iam_identity i ON i.id = m.group_id WHERE m.user_id = $1`, u.ID))
	})
}
