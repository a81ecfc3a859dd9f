package store

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/sallyport/sallyport/internal/fault"
	"github.com/sallyport/sallyport/internal/iam"
	"github.com/sallyport/sallyport/internal/trail"
)

// userID is the id of the user with the name; empty for the root user, whose name is.
func userID(conn *session, name string) (string, error) {
	if name == "" {
		return "", nil
	}
	u, err := findUser(conn, name)
	return u.ID, err
}

// CreateAccessKey implements iam.Store.
func (s *Store) CreateAccessKey(ctx context.Context, k iam.AccessKey, event trail.Event) error {
	return s.mutate(ctx, event, func(tx *session) error {
		owner, err := userID(tx, k.UserName)
		if err != nil {
			return err
		}
		var count int
		if err := tx.row(`SELECT COUNT(*) FROM iam_access_key WHERE user_id = $1`, owner).Scan(&count); err != nil {
			return err
		}
		if count >= iam.MaxAccessKeys {
			return fault.New(fault.Limit, "access-key", "Cannot exceed quota for AccessKeysPerUser: %d", iam.MaxAccessKeys)
		}
		created, err := tx.exec(`
			INSERT INTO iam_access_key (id, user_id, secret, active, created, used, used_service, used_region)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING`,
			k.ID, owner, blob(k.Secret), k.Active, micros(k.Created), micros(k.LastUsed.Time), k.LastUsed.Service, k.LastUsed.Region)
		if err == nil && created == 0 {
			err = fault.New(fault.Exists, "access-key", "The Access Key with id %s already exists.", k.ID)
		}
		return err
	})
}

// selectKeys reads access keys with the name their user has now.
const selectKeys = `
	SELECT k.id, k.secret, k.active, k.created, k.used, k.used_service, k.used_region, COALESCE(u.name, '')
	FROM iam_access_key k LEFT JOIN iam_user u ON u.id = k.user_id `

// AccessKeys implements iam.Store.
func (s *Store) AccessKeys(ctx context.Context, userName string) ([]iam.AccessKey, error) {
	if err := s.touches.flush(ctx, s); err != nil {
		return nil, err
	}
	return get(ctx, s, func(conn *session) ([]iam.AccessKey, error) {
		owner, err := userID(conn, userName)
		if err != nil {
			return nil, err
		}
		return collect(conn, scanKey, selectKeys+`WHERE k.user_id = $1 ORDER BY k.created, k.id`, owner)
	})
}

// AccessKey implements iam.Store.
func (s *Store) AccessKey(ctx context.Context, id string) (iam.AccessKey, error) {
	if err := s.touches.flush(ctx, s); err != nil {
		return iam.AccessKey{}, err
	}
	return get(ctx, s, func(conn *session) (iam.AccessKey, error) {
		k, err := scanKey(conn.row(selectKeys+`WHERE k.id = $1`, id))
		if errors.Is(err, sql.ErrNoRows) {
			err = noKey(id)
		}
		return k, err
	})
}

func noKey(id string) error {
	return fault.New(fault.NotFound, "access-key", "The Access Key with id %s cannot be found.", id)
}

// SetAccessKeyActive implements iam.Store.
func (s *Store) SetAccessKeyActive(ctx context.Context, userName, id string, active bool, event trail.Event) error {
	return s.mutate(ctx, event, func(tx *session) error {
		owner, err := userID(tx, userName)
		if err != nil {
			return err
		}
		return changeOne(noKey(id))(tx.exec(`UPDATE iam_access_key SET active = $3 WHERE id = $1 AND user_id = $2`, id, owner, active))
	})
}

// DeleteAccessKey implements iam.Store.
func (s *Store) DeleteAccessKey(ctx context.Context, userName, id string, event trail.Event) error {
	return s.mutate(ctx, event, func(tx *session) error {
		owner, err := userID(tx, userName)
		if err != nil {
			return err
		}
		return changeOne(noKey(id))(tx.exec(`DELETE FROM iam_access_key WHERE id = $1 AND user_id = $2`, id, owner))
	})
}

// CreateSession implements iam.Store.
func (s *Store) CreateSession(ctx context.Context, n iam.Session, event trail.Event) error {
	return s.mutate(ctx, event, func(tx *session) error {
		owner, err := userID(tx, n.UserName)
		if err != nil {
			return err
		}
		created, err := tx.exec(`INSERT INTO iam_session (id, user_id, secret, token, created, boot, uptime, expires)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING`,
			n.AccessKeyID, owner, blob(n.Secret), blob(n.Token), micros(n.Created.Time), n.Created.Boot, n.Created.Uptime.Microseconds(), micros(n.Expires))
		if err == nil && created == 0 {
			err = fault.New(fault.Exists, "access-key", "The Access Key with id %s already exists.", n.AccessKeyID)
		}
		return err
	})
}

// PruneSessions implements iam.Store.
func (s *Store) PruneSessions(ctx context.Context, before time.Time) error {
	return s.deleteInBatches(ctx, `
		DELETE FROM iam_session WHERE id IN (
			SELECT id FROM iam_session WHERE expires < $1 ORDER BY expires LIMIT $2)`, micros(before), pruneBatch)
}

func scanKey(row scanner) (iam.AccessKey, error) {
	var k iam.AccessKey
	var created, used int64
	err := row.Scan(&k.ID, &k.Secret, &k.Active, &created, &used, &k.LastUsed.Service, &k.LastUsed.Region, &k.UserName)
	k.Created, k.LastUsed.Time = timeOf(created), timeOf(used)
	return k, err
}
