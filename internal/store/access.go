package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/sallyport/sallyport/internal/access"
	"github.com/sallyport/sallyport/internal/fault"
	"github.com/sallyport/sallyport/internal/trail"
)

// PutGrant implements access.Store.
func (s *Store) PutGrant(ctx context.Context, g access.Grant, event trail.Event) error {
	caller, err := encode(g.Caller)
	if err != nil {
		return err
	}
	row, err := s.eventRow(ctx, event)
	if err != nil {
		return err
	}
	return s.insert(ctx, func(tx *session) error {
		_, err := tx.exec(`
			INSERT INTO access_grant (request_id, instance_id, os_user, public_key, caller, issued, boot, uptime, expires, withdrawn,
				blob_text, blob_signature, blob_signer)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)`,
			g.RequestID, g.InstanceID, g.OSUser, g.PublicKey, caller, micros(g.Issued.Time), g.Issued.Boot, g.Issued.Uptime.Microseconds(), micros(g.Expires), false,
			g.Blob.Text, blob(g.Blob.Signature), blob(g.Blob.Signer))
		if err != nil {
			return fmt.Errorf("put the grant: %w", err)
		}
		return row.append(tx)
	})
}

// WithdrawGrant implements access.Store. It is idempotent; NotFound "grant" if there never was one.
func (s *Store) WithdrawGrant(ctx context.Context, requestID string) error {
	return s.insert(ctx, func(tx *session) error {
		found, err := tx.exec(`UPDATE access_grant SET withdrawn = $2 WHERE request_id = $1`, requestID, true)
		if err == nil && found == 0 {
			err = noGrant(requestID)
		}
		return err
	})
}

const grantColumns = `g.request_id, g.instance_id, g.os_user, g.public_key, g.caller, g.issued, g.boot, g.uptime, g.expires,
	g.blob_text, g.blob_signature, g.blob_signer`

// Grant implements access.Store.
func (s *Store) Grant(ctx context.Context, instanceID, requestID string) (access.Grant, error) {
	return get(ctx, s, func(conn *session) (access.Grant, error) {
		g, err := scanGrant(conn.row(`SELECT `+grantColumns+` FROM access_grant g WHERE g.request_id = $2 AND g.instance_id = $1`, instanceID, requestID))
		if errors.Is(err, sql.ErrNoRows) {
			err = noGrant(requestID)
		}
		return g, err
	})
}

// LiveGrants implements access.Store. They come oldest first. A terminated instance has none, whatever was
// pushed while it ended.
func (s *Store) LiveGrants(ctx context.Context, instanceID, boot string, now time.Time) ([]access.Grant, error) {
	return get(ctx, s, func(conn *session) ([]access.Grant, error) {
		return collect(conn, scanGrant, `
			SELECT `+grantColumns+` FROM access_grant g
			WHERE g.instance_id = $1 AND g.expires > $2 AND g.withdrawn = $3 AND g.boot = $4
				AND NOT EXISTS (SELECT 1 FROM instance i WHERE i.id = g.instance_id AND i.terminated <> 0)
			ORDER BY g.issued, g.expires`, instanceID, micros(now), false, boot)
	})
}

// PruneGrants implements access.Store. It deletes in small transactions, as PruneEvents does.
func (s *Store) PruneGrants(ctx context.Context, before time.Time) error {
	return s.deleteInBatches(ctx, `
		DELETE FROM access_grant WHERE request_id IN (
			SELECT request_id FROM access_grant WHERE expires < $1 ORDER BY expires LIMIT $2)`, micros(before), pruneBatch)
}

func scanGrant(row scanner) (access.Grant, error) {
	var g access.Grant
	var caller []byte
	var issued, uptime, expires int64
	var boot string
	err := row.Scan(&g.RequestID, &g.InstanceID, &g.OSUser, &g.PublicKey, &caller, &issued, &boot, &uptime, &expires,
		&g.Blob.Text, &g.Blob.Signature, &g.Blob.Signer)
	if err != nil {
		return g, err
	}
	g.Issued, g.Expires = readingOf(issued, boot, uptime), timeOf(expires)
	g.Caller, err = decode[trail.Identity](caller)
	return g, err
}

func noGrant(requestID string) error {
	return fault.New(fault.NotFound, "grant", "There is no grant of the request %s.", requestID)
}
