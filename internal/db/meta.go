package db

import (
	"context"
	"errors"
)

// Meta returns a value that the database keeps about its deployment; empty if it was never set.
func (d *DB) Meta(ctx context.Context, key string) (string, error) {
	return Get(ctx, d, func(tx *Tx) (value string, err error) {
		err = tx.Row(`SELECT value FROM meta WHERE key = $1`, key).Scan(&value)
		if errors.Is(err, ErrNoRows) {
			return "", nil
		}
		return value, err
	})
}

// SetMeta sets a value that the database keeps about its deployment.
func (w *Writer) SetMeta(ctx context.Context, key, value string) error {
	return w.Update(ctx, func(tx *Tx) error {
		_, err := tx.Exec(`INSERT INTO meta (key, value) VALUES ($1, $2)
			ON CONFLICT (key) DO UPDATE SET value = excluded.value`, key, value)
		return err
	})
}

// Prove writes to the database and returns when the write is durable, or returns why the database cannot be written.
func (w *Writer) Prove(ctx context.Context) error {
	return w.Update(ctx, func(tx *Tx) error {
		// SQLite does not write if nothing changes.
		_, err := tx.Exec(`INSERT INTO meta (key, value) VALUES ('proof', 'tick')
			ON CONFLICT (key) DO UPDATE SET value = CASE meta.value WHEN 'tick' THEN 'tock' ELSE 'tick' END`)
		return err
	})
}
