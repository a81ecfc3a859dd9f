package store

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/sallyport/sallyport/internal/fault"
	"github.com/sallyport/sallyport/internal/trail"
)

// pruneBatch bounds how many rows one transaction deletes, so that nobody waits long behind it.
const pruneBatch = 1000

// eventRow is an event ready to be inserted. It is made before its transaction begins.
type eventRow struct {
	event    trail.Event
	record   string
	sequence int64
}

func (s *Store) eventRow(ctx context.Context, event trail.Event) (eventRow, error) {
	sequence, err := s.sequence.take(ctx, s.backend)
	if err != nil {
		return eventRow{}, err
	}
	return newEventRow(event, sequence)
}

func newEventRow(event trail.Event, sequence int64) (eventRow, error) {
	record, err := event.Record()
	if err != nil {
		return eventRow{}, fmt.Errorf("encode the event: %w", err)
	}
	return eventRow{event: event, record: string(record), sequence: sequence}, nil
}

// mutate runs fn and appends the event in one transaction.
func (s *Store) mutate(ctx context.Context, event trail.Event, fn func(*session) error) error {
	row, err := s.eventRow(ctx, event)
	if err != nil {
		return err
	}
	return s.write(ctx, func(tx *session) error {
		if err := fn(tx); err != nil {
			return err
		}
		return row.append(tx)
	})
}

// AppendEvent implements trail.Store. An event that replaces another keeps the other's place in the trail.
func (s *Store) AppendEvent(ctx context.Context, event trail.Event) error {
	row, err := s.eventRow(ctx, event)
	if err != nil {
		return err
	}
	return s.insert(ctx, row.append)
}

// append inserts the event, or replaces the one of the same ID if that one succeeded and this one failed.
func (r eventRow) append(tx *session) error {
	e, at := r.event, micros(r.event.Time)
	inserted, err := tx.exec(`
		INSERT INTO trail (time, sequence, id, name, source, region, username, access_key_id, read_only, error_code, record)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
		ON CONFLICT (id) DO NOTHING`,
		at, r.sequence, cleanText(e.ID), cleanText(e.Name), cleanText(e.Source), cleanText(e.Region), cleanText(e.Identity.Username()),
		cleanText(e.Identity.AccessKeyID), e.ReadOnly, cleanText(e.ErrorCode), r.record)
	if err != nil {
		return fmt.Errorf("append the event: %w", err)
	}
	if inserted == 0 {
		if e.ErrorCode == "" {
			return nil
		}
		return r.replace(tx)
	}
	return appendResources(tx, at, r.sequence, e.Resources)
}

func (r eventRow) replace(tx *session) error {
	e := r.event
	replaced, err := tx.exec(`
		UPDATE trail SET name = $2, source = $3, region = $4, username = $5, access_key_id = $6, read_only = $7, error_code = $8, record = $9
		WHERE id = $1 AND error_code = ''`,
		cleanText(e.ID), cleanText(e.Name), cleanText(e.Source), cleanText(e.Region), cleanText(e.Identity.Username()),
		cleanText(e.Identity.AccessKeyID), e.ReadOnly, cleanText(e.ErrorCode), r.record)
	if err != nil || replaced == 0 {
		return err
	}
	var at, sequence int64
	if err := tx.row(`SELECT time, sequence FROM trail WHERE id = $1`, cleanText(e.ID)).Scan(&at, &sequence); err != nil {
		return err
	}
	if _, err := tx.exec(`DELETE FROM trail_resource WHERE time = $1 AND sequence = $2`, at, sequence); err != nil {
		return err
	}
	return appendResources(tx, at, sequence, e.Resources)
}

func appendResources(tx *session, at, sequence int64, resources []trail.Resource) error {
	for _, r := range resources {
		_, err := tx.exec(`INSERT INTO trail_resource (time, sequence, type, name) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING`,
			at, sequence, cleanText(r.Type), cleanText(r.Name()))
		if err != nil {
			return fmt.Errorf("append the event's resources: %w", err)
		}
	}
	return nil
}

// Events implements trail.Store. A Limit of zero or less means none.
func (s *Store) Events(ctx context.Context, q trail.Query) ([]trail.Entry, error) {
	query, args, err := lookup(q)
	if err != nil {
		return nil, err
	}
	return get(ctx, s, func(conn *session) ([]trail.Entry, error) {
		return collect(conn, scanEntry, query, args...)
	})
}

// lookup composes the statement for a query. The resource attributes are looked up in trail_resource, which
// has the events of a type or name in the trail's order too.
func lookup(q trail.Query) (query string, args []any, err error) {
	var conditions []string
	where := func(condition string, values ...any) {
		for _, v := range values {
			args = append(args, v)
			condition = strings.Replace(condition, "?", fmt.Sprintf("$%d", len(args)), 1)
		}
		conditions = append(conditions, condition)
	}
	value := cleanText(q.Value) // as it is stored
	from := "trail t"
	place := "t" // which table's (time, sequence) orders and bounds
	switch q.Attribute {
	case "":
	case "EventId":
		where("t.id = ?", value)
	case "EventName":
		where("t.name = ?", value)
	case "EventSource":
		where("t.source = ?", value)
	case "Username":
		where("t.username = ?", value)
	case "AccessKeyId":
		where("t.access_key_id = ?", value)
	case "ReadOnly":
		if q.Value != "true" && q.Value != "false" {
			return "", nil, fault.New(fault.Invalid, "lookup-attribute", "The value of the lookup attribute ReadOnly must be true or false, not %q.", q.Value)
		}
		where("t.read_only = ?", q.Value == "true")
	case "ResourceType", "ResourceName":
		column := map[string]string{"ResourceType": "type", "ResourceName": "name"}[q.Attribute]
		from, place = "trail_resource r JOIN trail t ON t.time = r.time AND t.sequence = r.sequence", "r"
		where("r."+column+" = ?", value)
	default:
		return "", nil, fault.New(fault.Invalid, "lookup-attribute", "%q is no lookup attribute. Use EventId, EventName, ReadOnly, Username, ResourceType, ResourceName, EventSource or AccessKeyId.", q.Attribute)
	}
	if q.Region != "" {
		where("t.region = ?", cleanText(q.Region))
	}
	if !q.From.IsZero() {
		where(place+".time >= ?", micros(q.From))
	}
	// One upper bound, the lower of the two: given both, SQLite may enter the index at the wrong one and walk
	// over all the pages that were read before.
	if q.Before != (trail.Position{}) && (q.To.IsZero() || q.Before.Time.Before(q.To)) {
		where("("+place+".time, "+place+".sequence) < (?, ?)", micros(q.Before.Time), q.Before.Sequence)
	} else if !q.To.IsZero() {
		where(place+".time < ?", micros(q.To))
	}
	filter := ""
	if len(conditions) > 0 {
		filter = " WHERE " + strings.Join(conditions, " AND ")
	}
	limit := ""
	if q.Limit > 0 {
		args = append(args, q.Limit)
		limit = fmt.Sprintf(" LIMIT $%d", len(args))
	}
	if place == "r" { // an event with two resources of a type is one entry
		return "SELECT t.time, t.sequence, t.record FROM (SELECT DISTINCT r.time, r.sequence FROM " + from + filter +
			" ORDER BY r.time DESC, r.sequence DESC" + limit +
			") p JOIN trail t ON t.time = p.time AND t.sequence = p.sequence ORDER BY t.time DESC, t.sequence DESC", args, nil
	}
	return "SELECT t.time, t.sequence, t.record FROM " + from + filter + " ORDER BY t.time DESC, t.sequence DESC" + limit, args, nil
}

func scanEntry(row scanner) (trail.Entry, error) {
	var e trail.Entry
	var at int64
	if err := row.Scan(&at, &e.Position.Sequence, &e.Record); err != nil {
		return e, err
	}
	e.Position.Time = timeOf(at)
	var err error
	e.Event, err = decode[trail.Event]([]byte(e.Record))
	return e, err
}

// PruneEvents forgets the events of before the time. It deletes in small transactions, others' writes between
// them; an error or a cancelled context leaves it half done, and the next run goes on.
func (s *Store) PruneEvents(ctx context.Context, before time.Time) error {
	err := s.deleteInBatches(ctx, `
		DELETE FROM trail_resource WHERE (time, sequence, type, name) IN (
			SELECT time, sequence, type, name FROM trail_resource WHERE time < $1 ORDER BY time LIMIT $2)`, micros(before), pruneBatch)
	if err != nil {
		return err
	}
	return s.deleteInBatches(ctx, `
		DELETE FROM trail WHERE (time, sequence) IN (
			SELECT time, sequence FROM trail WHERE time < $1 ORDER BY time LIMIT $2)`, micros(before), pruneBatch)
}

// deleteInBatches runs the statement until it deletes nothing more.
func (s *Store) deleteInBatches(ctx context.Context, statement string, args ...any) error {
	for {
		var deleted int64
		err := s.insert(ctx, func(tx *session) (err error) {
			deleted, err = tx.exec(statement, args...)
			return err
		})
		if err != nil {
			return fmt.Errorf("prune: %w", err)
		}
		if deleted == 0 {
			return nil
		}
	}
}
