package access

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/sallyport/sallyport/internal/clock"
	"github.com/sallyport/sallyport/internal/compute"
	"github.com/sallyport/sallyport/internal/db"
	"github.com/sallyport/sallyport/internal/fault"
	"github.com/sallyport/sallyport/internal/gate"
	"github.com/sallyport/sallyport/internal/keyblob"
	"github.com/sallyport/sallyport/internal/trail"
)

// GrantLifetime is how long a pushed key is accepted.
const GrantLifetime = keyblob.Lifetime

// Grant is one pushed public key.
type Grant struct {
	RequestID  string // names the grant: the id of the request that pushed it
	InstanceID string
	OSUser     string
	PublicKey  string // "TYPE BASE64"
	Caller     trail.Identity
	Issued     clock.Reading
	Expires    time.Time
	Blob       keyblob.Blob // the signed text the host verifies
}

// Left returns how much of the grant's lifetime is left, by the server's time of day or by its uptime, whichever says
// less, so that setting the clock keeps no grant alive. A grant that was issued before the server's machine was
// restarted has nothing left, since the length of the downtime is unknown.
func (g Grant) Left(now clock.Reading) time.Duration {
	if !now.SameBoot(g.Issued) {
		return 0
	}
	return now.Left(g.Issued, g.Expires)
}

// LiveGrants returns the grants that open the instance now, oldest first. The link sends them to the host's agent. It
// takes no pass, because a host may know its own grants. A terminated instance has none, even if a key was pushed while
// it was being terminated.
func (s *Service) LiveGrants(ctx context.Context, region, instanceID string) ([]Grant, error) {
	now := s.clock()
	grants, err := db.Get(ctx, s.db, func(tx *db.Tx) ([]Grant, error) {
		target, err := s.targets.Target(tx, region, instanceID)
		if fault.Is(err, fault.NotFound) || err == nil && target.State == compute.Terminated {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		return db.Collect(tx, scanGrant, selectGrants+`instance_id = $1 AND expires > $2 AND withdrawn = $3 AND boot = $4
			ORDER BY issued, expires`, instanceID, db.Micros(now.Time), false, now.Boot)
	})
	return slices.DeleteFunc(grants, func(g Grant) bool { return g.Left(now) == 0 }), err
}

const selectGrants = `
	SELECT request_id, instance_id, os_user, public_key, caller, issued, boot, uptime, expires,
		blob_text, blob_signature, blob_signer
	FROM access_grant WHERE `

func scanGrant(row db.Scanner) (Grant, error) {
	var g Grant
	var caller []byte
	var issued, uptime, expires int64
	var boot string
	err := row.Scan(&g.RequestID, &g.InstanceID, &g.OSUser, &g.PublicKey, &caller, &issued, &boot, &uptime, &expires,
		&g.Blob.Text, &g.Blob.Signature, &g.Blob.Signer)
	if err != nil {
		return g, err
	}
	g.Issued, g.Expires = db.Reading(issued, boot, uptime), db.Time(expires)
	g.Caller, err = db.Decode[trail.Identity](caller)
	return g, err
}

// findGrant returns the instance's grant with the request id, expired or not. The error is NotFound "grant" if there is
// none.
func findGrant(tx *db.Tx, instanceID, requestID string) (Grant, error) {
	absent := fault.New(fault.NotFound, fault.Grant, "There is no grant of the request %s.", requestID)
	return db.One(tx, absent, scanGrant, selectGrants+`request_id = $2 AND instance_id = $1`, instanceID, requestID)
}

func putGrant(tx *db.Tx, g Grant) error {
	caller, err := db.Encode(g.Caller)
	if err != nil {
		return err
	}
	_, err = tx.Exec(`
		INSERT INTO access_grant (request_id, instance_id, os_user, public_key, caller, issued, boot, uptime, expires,
			withdrawn, blob_text, blob_signature, blob_signer)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)`,
		g.RequestID, g.InstanceID, g.OSUser, g.PublicKey, caller,
		db.Micros(g.Issued.Time), g.Issued.Boot, g.Issued.Uptime.Microseconds(), db.Micros(g.Expires),
		false, g.Blob.Text, db.Blob(g.Blob.Signature), db.Blob(g.Blob.Signer))
	if err != nil {
		return fmt.Errorf("put the grant: %w", err)
	}
	return nil
}

// withdraw ends a grant that could not be delivered. It is no error if the grant was never committed.
func withdraw(tx *db.Tx, requestID string) error {
	_, err := tx.Exec(`UPDATE access_grant SET withdrawn = $2 WHERE request_id = $1`, requestID, true)
	return err
}

// pruneBatch is how many grants one transaction deletes, so that others do not wait long for it.
const pruneBatch = 1000

// Prune deletes up to pruneBatch grants that expired before the trail's retention, and returns how many it deleted. A
// host that was disconnected reports its releases when it is back, and each must find its grant for as long as its
// event would be kept. Call Prune at intervals of minutes, and each time until it returns 0.
func (s *Service) Prune(tx *gate.Tx, now time.Time) (int64, error) {
	if err := tx.Check(); err != nil {
		return 0, err
	}
	s.tallies.forget(now)
	return tx.Exec(`DELETE FROM access_grant WHERE request_id IN (
		SELECT request_id FROM access_grant WHERE expires < $1 ORDER BY expires LIMIT $2)`,
		db.Micros(now.Add(-trail.Retention)), pruneBatch)
}
