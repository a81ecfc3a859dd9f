package store

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/internal/fault"
	"github.com/sallyport/sallyport/internal/iam"
	"github.com/sallyport/sallyport/internal/trail"
)

const groupColumns = `g.id, g.name, g.path, g.arn, g.created`

// CreateGroup implements iam.Store.
func (s *Store) CreateGroup(ctx context.Context, g iam.Group, event trail.Event) error {
	return s.mutate(ctx, event, func(tx *session) error {
		created, err := tx.exec(`INSERT INTO iam_group (id, name, folded, path, arn, created) VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING`,
			g.ID, g.Name, fold(g.Name), g.Path, g.ARN, micros(g.Created))
		if err == nil && created == 0 {
			err = groupExists(g.Name)
		}
		return err
	})
}

// Group implements iam.Store.
func (s *Store) Group(ctx context.Context, name string) (iam.Group, error) {
	return get(ctx, s, func(conn *session) (iam.Group, error) { return findGroup(conn, name) })
}

func findGroup(conn *session, name string) (iam.Group, error) {
	g, err := scanGroup(conn.row(`SELECT `+groupColumns+` FROM iam_group g WHERE g.folded = $1`, fold(name)))
	if errors.Is(err, sql.ErrNoRows) {
		err = fault.New(fault.NotFound, "group", "The group with name %s cannot be found.", name)
	}
	return g, err
}

func groupExists(name string) error {
	return fault.New(fault.Exists, "group", "Group with name %s already exists.", name)
}

// Groups implements iam.Store.
func (s *Store) Groups(ctx context.Context, pathPrefix string) ([]iam.Group, error) {
	return get(ctx, s, func(conn *session) ([]iam.Group, error) {
		groups, err := collect(conn, scanGroup, `SELECT `+groupColumns+` FROM iam_group g`)
		groups = slices.DeleteFunc(groups, func(g iam.Group) bool { return !strings.HasPrefix(g.Path, pathPrefix) })
		return sortGroups(groups), err
	})
}

// UpdateGroup implements iam.Store. It changes name, path and ARN.
func (s *Store) UpdateGroup(ctx context.Context, name string, g iam.Group, event trail.Event) error {
	return s.mutate(ctx, event, func(tx *session) error {
		old, err := findGroup(tx, name)
		if err != nil {
			return err
		}
		taken, err := exists(tx, `SELECT 1 FROM iam_group WHERE folded = $1 AND id <> $2`, fold(g.Name), old.ID)
		if err != nil {
			return err
		}
		if taken {
			return groupExists(g.Name)
		}
		_, err = tx.exec(`UPDATE iam_group SET name = $2, folded = $3, path = $4, arn = $5 WHERE id = $1`,
			old.ID, g.Name, fold(g.Name), g.Path, g.ARN)
		return err
	})
}

// DeleteGroup implements iam.Store.
func (s *Store) DeleteGroup(ctx context.Context, name string, event trail.Event) error {
	return s.mutate(ctx, event, func(tx *session) error {
		g, err := findGroup(tx, name)
		if err != nil {
			return err
		}
		for _, holds := range []struct{ query, first string }{
			{`SELECT 1 FROM iam_member WHERE group_id = $1 LIMIT 1`, "remove users from group"},
			{`SELECT 1 FROM iam_inline_policy WHERE owner_id = $1 LIMIT 1`, "delete policies"},
			{`SELECT 1 FROM iam_attachment WHERE owner_id = $1 LIMIT 1`, "detach all policies"},
		} {
			if err := refuseWhile(tx, "group", holds.first, holds.query, g.ID); err != nil {
				return err
			}
		}
		_, err = tx.exec(`DELETE FROM iam_group WHERE id = $1`, g.ID)
		return err
	})
}

// AddMember implements iam.Store.
func (s *Store) AddMember(ctx context.Context, group, user string, event trail.Event) error {
	return s.mutate(ctx, event, func(tx *session) error {
		g, u, err := findPair(tx, group, user)
		if err != nil {
			return err
		}
		_, err = tx.exec(`INSERT INTO iam_member (user_id, group_id) VALUES ($1, $2) ON CONFLICT DO NOTHING`, u.ID, g.ID)
		return err
	})
}

// RemoveMember implements iam.Store.
func (s *Store) RemoveMember(ctx context.Context, group, user string, event trail.Event) error {
	return s.mutate(ctx, event, func(tx *session) error {
		g, u, err := findPair(tx, group, user)
		if err != nil {
			return err
		}
		absent := fault.New(fault.NotFound, "membership", "The user with name %s is not in the group %s.", u.Name, g.Name)
		return changeOne(absent)(tx.exec(`DELETE FROM iam_member WHERE user_id = $1 AND group_id = $2`, u.ID, g.ID))
	})
}

func findPair(tx *session, group, user string) (iam.Group, iam.User, error) {
	g, err := findGroup(tx, group)
	if err != nil {
		return g, iam.User{}, err
	}
	u, err := findUser(tx, user)
	return g, u, err
}

// Members implements iam.Store.
func (s *Store) Members(ctx context.Context, group string) ([]iam.User, error) {
	return get(ctx, s, func(conn *session) ([]iam.User, error) {
		g, err := findGroup(conn, group)
		if err != nil {
			return nil, err
		}
		users, err := collect(conn, scanUser, `SELECT `+userColumns+` FROM iam_member m JOIN iam_user u ON u.id = m.user_id WHERE m.group_id = $1`, g.ID)
		return sortUsers(users), err
	})
}

// GroupsOf implements iam.Store.
func (s *Store) GroupsOf(ctx context.Context, user string) ([]iam.Group, error) {
	return get(ctx, s, func(conn *session) ([]iam.Group, error) {
		u, err := findUser(conn, user)
		if err != nil {
			return nil, err
		}
		groups, err := collect(conn, scanGroup, `SELECT `+groupColumns+` FROM iam_member m JOIN iam_group g ON g.id = m.group_id WHERE m.user_id = $1`, u.ID)
		return sortGroups(groups), err
	})
}

func scanGroup(row scanner) (iam.Group, error) {
	var g iam.Group
	var created int64
	err := row.Scan(&g.ID, &g.Name, &g.Path, &g.ARN, &created)
	g.Created = timeOf(created)
	return g, err
}

func sortGroups(groups []iam.Group) []iam.Group {
	slices.SortFunc(groups, func(a, b iam.Group) int { return byName(a.Name, b.Name) })
	return groups
}
