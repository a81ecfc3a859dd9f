package db

import (
	"context"
	"errors"
)

// Meta returns a fact about the deployment; empty if it was never set.
func (d *DB) Meta(ctx context.Context, key string) (string, error) {
	return Get(ctx, d, func(tx *Tx) (value string, err error) {
		err = tx.Row(`SELECT value FROM meta WHERE key = $1`, key).Scan(&value)
		if errors.Is(err, ErrNoRows) {
			return "", nil
		}
		return value, err
	})
}

// SetMeta sets a fact about the deployment.
func (w *Writer) SetMeta(ctx context.Context, key, value string) error {
	return w.Update(ctx, func(tx *Tx) error {
		_, err := tx.Exec(`INSERT INTO meta (key, value) VALUES ($1, $2)
			ON CONFLICT (key) DO UPDATE SET value = excluded.value`, key, value)
		return err
	})
}

// Prove writes something and returns when it is durable, or why nothing can be written.
func (w *Writer) Prove(ctx context.Context) error {
	return w.Update(ctx, func(tx *Tx) error {
		// SQLite writes nothing where nothing changes.
		_, err := tx.Exec(`INSERT INTO meta (key, value) VALUES ('proof', 'tick')
			ON CONFLICT (key) DO UPDATE SET value = CASE meta.value WHEN 'tick' THEN 'tock' ELSE 'tick' END`)
		return err
	})
}
