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

const userColumns = `u.id, u.name, u.path, u.arn, u.created, u.tags`

// CreateUser implements iam.Store.
func (s *Store) CreateUser(ctx context.Context, u iam.User, event trail.Event) error {
	tags, err := encodeTags(u.Tags)
	if err != nil {
		return err
	}
	return s.mutate(ctx, event, func(tx *session) error {
		created, err := tx.exec(`INSERT INTO iam_user (id, name, folded, path, arn, created, tags) VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING`,
			u.ID, u.Name, fold(u.Name), u.Path, u.ARN, micros(u.Created), tags)
		if err == nil && created == 0 {
			err = userExists(u.Name)
		}
		return err
	})
}

// User implements iam.Store.
func (s *Store) User(ctx context.Context, name string) (iam.User, error) {
	return get(ctx, s, func(conn *session) (iam.User, error) { return findUser(conn, name) })
}

func findUser(conn *session, name string) (iam.User, error) {
	u, err := scanUser(conn.row(`SELECT `+userColumns+` FROM iam_user u WHERE u.folded = $1`, fold(name)))
	if errors.Is(err, sql.ErrNoRows) {
		err = fault.New(fault.NotFound, "user", "The user with name %s cannot be found.", name)
	}
	return u, err
}

func userExists(name string) error {
	return fault.New(fault.Exists, "user", "User with name %s already exists.", name)
}

// Users implements iam.Store.
func (s *Store) Users(ctx context.Context, pathPrefix string) ([]iam.User, error) {
	return get(ctx, s, func(conn *session) ([]iam.User, error) {
		users, err := collect(conn, scanUser, `SELECT `+userColumns+` FROM iam_user u`)
		users = slices.DeleteFunc(users, func(u iam.User) bool { return !strings.HasPrefix(u.Path, pathPrefix) })
		return sortUsers(users), err
	})
}

// UpdateUser implements iam.Store. It changes name, path, ARN and tags.
func (s *Store) UpdateUser(ctx context.Context, name string, u iam.User, event trail.Event) error {
	tags, err := encodeTags(u.Tags)
	if err != nil {
		return err
	}
	return s.mutate(ctx, event, func(tx *session) error {
		old, err := findUser(tx, name)
		if err != nil {
			return err
		}
		taken, err := exists(tx, `SELECT 1 FROM iam_user WHERE folded = $1 AND id <> $2`, fold(u.Name), old.ID)
		if err != nil {
			return err
		}
		if taken {
			return userExists(u.Name)
		}
		_, err = tx.exec(`UPDATE iam_user SET name = $2, folded = $3, path = $4, arn = $5, tags = $6 WHERE id = $1`,
			old.ID, u.Name, fold(u.Name), u.Path, u.ARN, tags)
		return err
	})
}

// DeleteUser implements iam.Store. The user's sessions end with it.
func (s *Store) DeleteUser(ctx context.Context, name string, event trail.Event) error {
	return s.mutate(ctx, event, func(tx *session) error {
		u, err := findUser(tx, name)
		if err != nil {
			return err
		}
		for _, holds := range []struct{ query, first string }{
			{`SELECT 1 FROM iam_access_key WHERE user_id = $1 LIMIT 1`, "delete access keys"},
			{`SELECT 1 FROM iam_inline_policy WHERE owner_id = $1 LIMIT 1`, "delete policies"},
			{`SELECT 1 FROM iam_attachment WHERE owner_id = $1 LIMIT 1`, "detach all policies"},
			{`SELECT 1 FROM iam_member WHERE user_id = $1 LIMIT 1`, "remove users from group"},
		} {
			if err := refuseWhile(tx, "user", holds.first, holds.query, u.ID); err != nil {
				return err
			}
		}
		if _, err := tx.exec(`DELETE FROM iam_session WHERE user_id = $1`, u.ID); err != nil {
			return err
		}
		_, err = tx.exec(`DELETE FROM iam_user WHERE id = $1`, u.ID)
		return err
	})
}

// refuseWhile answers InUse, in IAM's words, if the query finds something that must be dealt with first.
func refuseWhile(tx *session, resource, first, query string, args ...any) error {
	found, err := exists(tx, query, args...)
	if err == nil && found {
		err = fault.New(fault.InUse, resource, "Cannot delete entity, must %s first.", first)
	}
	return err
}

// exists tells whether the query has a row.
func exists(tx *session, query string, args ...any) (bool, error) {
	var one int
	err := tx.row(query, args...).Scan(&one)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	return err == nil, err
}

func scanUser(row scanner) (iam.User, error) {
	var u iam.User
	var created int64
	var tags string
	if err := row.Scan(&u.ID, &u.Name, &u.Path, &u.ARN, &created, &tags); err != nil {
		return u, err
	}
	u.Created = timeOf(created)
	var err error
	u.Tags, err = decodeTags(tags)
	return u, err
}

func sortUsers(users []iam.User) []iam.User {
	slices.SortFunc(users, func(a, b iam.User) int { return byName(a.Name, b.Name) })
	return users
}

// byName orders names as they are compared, without regard to case.
func byName(a, b string) int { return strings.Compare(fold(a), fold(b)) }
