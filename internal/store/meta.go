package store

import (
	"context"
	"database/sql"
	"errors"
)

// Meta returns a fact about the deployment; empty if it was never set.
func (s *Store) Meta(ctx context.Context, key string) (string, error) {
	return get(ctx, s, func(conn *session) (value string, err error) {
		err = conn.row(`SELECT value FROM meta WHERE key = $1`, key).Scan(&value)
		if errors.Is(err, sql.ErrNoRows) {
			return "", nil
		}
		return value, err
	})
}

// Prove writes something and returns when it is durable, or why nothing can be written.
func (s *Store) Prove(ctx context.Context) error {
	return s.insert(ctx, func(tx *session) error {
		// SQLite writes nothing where nothing changes.
		_, err := tx.exec(`INSERT INTO meta (key, value) VALUES ('proof', 'tick')
			ON CONFLICT (key) DO UPDATE SET value = CASE meta.value WHEN 'tick' THEN 'tock' ELSE 'tick' END`)
		return err
	})
}

// SetMeta sets a fact about the deployment.
func (s *Store) SetMeta(ctx context.Context, key, value string) error {
	return s.write(ctx, func(tx *session) error {
		_, err := tx.exec(`INSERT INTO meta (key, value) VALUES ($1, $2) ON CONFLICT (key) DO UPDATE SET value = excluded.value`, key, value)
		return err
	})
}
