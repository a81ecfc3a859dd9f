package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sallyport/sallyport/internal/compute"
	"github.com/sallyport/sallyport/internal/fault"
	"github.com/sallyport/sallyport/internal/trail"
)

// CreateHostToken implements compute.Store.
func (s *Store) CreateHostToken(ctx context.Context, t compute.HostToken, event trail.Event) error {
	tags, err := encodeTags(t.Tags)
	if err != nil {
		return err
	}
	return s.mutate(ctx, event, func(tx *session) error {
		created, err := tx.exec(`
			INSERT INTO host_token (id, hash, region, zone, tags, created, boot, uptime, expires, creator)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT DO NOTHING`,
			t.ID, blob(t.Hash), t.Region, t.Zone, tags, micros(t.Created.Time), t.Created.Boot, t.Created.Uptime.Microseconds(), micros(t.Expires), t.Creator)
		if err == nil && created == 0 {
			err = fault.New(fault.Exists, "host-token", "The enrollment token %s exists already.", t.ID)
		}
		return err
	})
}

// HostToken implements compute.Store.
func (s *Store) HostToken(ctx context.Context, id string) (compute.HostToken, error) {
	return get(ctx, s, func(conn *session) (compute.HostToken, error) {
		var t compute.HostToken
		var created, uptime, expires int64
		var boot, tags string
		err := conn.row(`SELECT id, hash, region, zone, tags, created, boot, uptime, expires, creator FROM host_token WHERE id = $1`, id).
			Scan(&t.ID, &t.Hash, &t.Region, &t.Zone, &tags, &created, &boot, &uptime, &expires, &t.Creator)
		if errors.Is(err, sql.ErrNoRows) {
			return t, noHostToken(id)
		}
		if err != nil {
			return t, err
		}
		t.Created, t.Expires = readingOf(created, boot, uptime), timeOf(expires)
		t.Tags, err = decodeTags(tags)
		return t, err
	})
}

// PruneHostTokens implements compute.Store.
func (s *Store) PruneHostTokens(ctx context.Context, before time.Time) error {
	return s.deleteInBatches(ctx, `
		DELETE FROM host_token WHERE id IN (
			SELECT id FROM host_token WHERE expires < $1 ORDER BY expires LIMIT $2)`, micros(before), pruneBatch)
}

func noHostToken(id string) error {
	return fault.New(fault.NotFound, "host-token", "The enrollment token %s does not exist or was used already. Make a new one with 'sallyport host-token'.", id)
}

// EnrollHost implements compute.Store. Exists "instance" if an enrolled machine has the same agent key.
func (s *Store) EnrollHost(ctx context.Context, tokenID string, i compute.Instance, event trail.Event) error {
	report, err := encode(i.Report)
	if err != nil {
		return err
	}
	return s.mutate(ctx, event, func(tx *session) error {
		redeemed, err := tx.exec(`DELETE FROM host_token WHERE id = $1`, tokenID)
		if err != nil {
			return err
		}
		if redeemed == 0 {
			return noHostToken(tokenID)
		}
		created, err := tx.exec(`
			INSERT INTO instance (id, reservation, region, zone, public_key, report, enrolled, last_seen, terminated)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT DO NOTHING`,
			i.ID, i.Reservation, i.Region, i.Zone, blob(i.PublicKey), report, micros(i.Enrolled), micros(i.LastSeen), micros(i.Terminated))
		if err != nil {
			return err
		}
		if created == 0 {
			return fault.New(fault.Exists, "instance", "A machine with this agent's key, or the instance %s, is enrolled already. Un-enroll it first.", i.ID)
		}
		for key, value := range i.Tags {
			if err := putTag(tx, compute.Tag{ResourceID: i.ID, ResourceType: "instance", Key: key, Value: value}); err != nil {
				return err
			}
		}
		return nil
	})
}

// ReportHost implements compute.Store. NotFound if there is no such instance or it is terminated.
func (s *Store) ReportHost(ctx context.Context, id string, report compute.Report, event trail.Event) error {
	text, err := encode(report)
	if err != nil {
		return err
	}
	return s.mutate(ctx, event, func(tx *session) error {
		return changeOne(noInstances(id))(tx.exec(`UPDATE instance SET report = $2 WHERE id = $1 AND terminated = 0`, id, text))
	})
}

// SeeHost implements compute.Store. NotFound as for ReportHost.
func (s *Store) SeeHost(ctx context.Context, id string, at time.Time) error {
	return s.insert(ctx, func(tx *session) error {
		return changeOne(noInstances(id))(tx.exec(`UPDATE instance SET last_seen = $2 WHERE id = $1 AND terminated = 0`, id, micros(at)))
	})
}

// changeOne returns a function that takes what exec returned and answers absent if no row was there to change.
func changeOne(absent error) func(int64, error) error {
	return func(changed int64, err error) error {
		if err == nil && changed == 0 {
			return absent
		}
		return err
	}
}

// TerminateInstances implements compute.Store.
func (s *Store) TerminateInstances(ctx context.Context, ids []string, at time.Time, event trail.Event) error {
	return s.mutate(ctx, event, func(tx *session) error {
		if err := requireInstances(tx, ids); err != nil {
			return err
		}
		for _, id := range ids {
			if _, err := tx.exec(`UPDATE instance SET terminated = $2 WHERE id = $1 AND terminated = 0`, id, micros(at)); err != nil {
				return err
			}
			if _, err := tx.exec(`UPDATE access_grant SET withdrawn = $3 WHERE instance_id = $1 AND expires > $2`, id, micros(at), true); err != nil {
				return err
			}
		}
		return nil
	})
}

// requireInstances answers NotFound if any of the ids names no instance.
func requireInstances(tx *session, ids []string) error {
	var missing []string
	for _, id := range ids {
		var one int
		err := tx.row(`SELECT 1 FROM instance WHERE id = $1`, id).Scan(&one)
		if errors.Is(err, sql.ErrNoRows) {
			if !slices.Contains(missing, id) {
				missing = append(missing, id)
			}
		} else if err != nil {
			return err
		}
	}
	if len(missing) > 0 {
		return noInstances(missing...)
	}
	return nil
}

// noInstances says it in EC2's words.
func noInstances(ids ...string) error {
	if len(ids) == 1 {
		return fault.New(fault.NotFound, "instance", "The instance ID '%s' does not exist", ids[0])
	}
	return fault.New(fault.NotFound, "instance", "The instance IDs '%s' do not exist", strings.Join(ids, ", "))
}

// selectInstances reads instances and their tags in one view: a row for each tag, or one without.
const selectInstances = `
	SELECT i.id, i.reservation, i.region, i.zone, i.public_key, i.report, i.enrolled, i.last_seen, i.terminated, t.key, t.value
	FROM instance i LEFT JOIN tag t ON t.resource_id = i.id `

// Instance implements compute.Store.
func (s *Store) Instance(ctx context.Context, id string) (compute.Instance, error) {
	return get(ctx, s, func(conn *session) (compute.Instance, error) {
		return onlyInstance(noInstances(id))(readInstances(conn, selectInstances+`WHERE i.id = $1`, id))
	})
}

// InstanceByKey implements compute.Store.
func (s *Store) InstanceByKey(ctx context.Context, publicKey []byte) (compute.Instance, error) {
	absent := fault.New(fault.NotFound, "instance", "No enrolled machine has this agent's key.")
	if len(publicKey) == 0 {
		return compute.Instance{}, absent
	}
	return get(ctx, s, func(conn *session) (compute.Instance, error) {
		return onlyInstance(absent)(readInstances(conn, selectInstances+`WHERE i.public_key = $1 AND i.terminated = 0`, publicKey))
	})
}

func onlyInstance(absent error) func([]compute.Instance, error) (compute.Instance, error) {
	return func(found []compute.Instance, err error) (compute.Instance, error) {
		if err == nil && len(found) == 0 {
			err = absent
		}
		if err != nil {
			return compute.Instance{}, err
		}
		return found[0], nil
	}
}

// Instances implements compute.Store.
func (s *Store) Instances(ctx context.Context, region string, terminatedAfter time.Time) ([]compute.Instance, error) {
	return get(ctx, s, func(conn *session) ([]compute.Instance, error) {
		found, err := readInstances(conn, selectInstances+`WHERE i.region = $1 AND (i.terminated = 0 OR i.terminated >= $2) ORDER BY i.id`,
			region, micros(terminatedAfter))
		// The statement's order keeps an instance's rows together; it may be another than ours, by the collation.
		slices.SortFunc(found, func(a, b compute.Instance) int { return strings.Compare(a.ID, b.ID) })
		return found, err
	})
}

// readInstances runs a query of selectInstances whose rows of one instance follow each other.
func readInstances(conn *session, query string, args ...any) ([]compute.Instance, error) {
	var found []compute.Instance
	err := conn.each(func(row scanner) error {
		var i compute.Instance
		var report sql.RawBytes // is read once an instance only
		var enrolled, lastSeen, terminated int64
		var key, value sql.NullString
		err := row.Scan(&i.ID, &i.Reservation, &i.Region, &i.Zone, &i.PublicKey, &report, &enrolled, &lastSeen, &terminated, &key, &value)
		if err != nil {
			return err
		}
		if len(found) == 0 || found[len(found)-1].ID != i.ID {
			i.Enrolled, i.LastSeen, i.Terminated = timeOf(enrolled), timeOf(lastSeen), timeOf(terminated)
			if i.Report, err = decode[compute.Report](report); err != nil {
				return fmt.Errorf("instance %s: %w", i.ID, err)
			}
			found = append(found, i)
		}
		if last := &found[len(found)-1]; key.Valid {
			if last.Tags == nil {
				last.Tags = map[string]string{}
			}
			last.Tags[key.String] = value.String
		}
		return nil
	}, query, args...)
	return found, err
}
