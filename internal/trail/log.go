package trail

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/sallyport/sallyport/internal/db"
	"github.com/sallyport/sallyport/internal/fault"
)

// Append writes the event in the transaction. It does nothing if the ID exists: appending is idempotent.
func Append(tx *db.Tx, e Event) error {
	_, err := insert(tx, e)
	return err
}

// Replace writes the event of a call that failed although its write was committed, in place of the event that was
// committed with the write. The event keeps its place in the trail. The first failure counts: Replace does nothing if
// the event in the trail has an ErrorCode. If the ID does not exist, Replace appends the event.
func Replace(tx *db.Tx, e Event) error {
	if inserted, err := insert(tx, e); err != nil || inserted {
		return err
	}
	return update(tx, e)
}

// insert reports whether it wrote the event: it does not if the ID exists.
func insert(tx *db.Tx, e Event) (bool, error) {
	record, err := e.Record()
	if err != nil {
		return false, fmt.Errorf("encode the event: %w", err)
	}
	at, id := db.Micros(e.Time), db.Text(e.ID)
	inserted, err := tx.Exec(`
		INSERT INTO trail (time, id, name, source, region, username, access_key_id, read_only, error_code, record)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
		ON CONFLICT (id) DO NOTHING`,
		at, id, db.Text(e.Name), db.Text(e.Source), db.Text(e.Region), db.Text(e.Identity.Username()),
		db.Text(e.Identity.AccessKeyID), e.ReadOnly, db.Text(e.ErrorCode), string(record))
	if err != nil {
		return false, fmt.Errorf("append the event: %w", err)
	}
	if inserted == 0 {
		return false, nil
	}
	return true, appendResources(tx, at, id, e.Resources)
}

func update(tx *db.Tx, e Event) error {
	record, err := e.Record()
	if err != nil {
		return fmt.Errorf("encode the event: %w", err)
	}
	id := db.Text(e.ID)
	replaced, err := tx.Exec(`
		UPDATE trail SET name = $2, source = $3, region = $4, username = $5, access_key_id = $6, read_only = $7,
			error_code = $8, record = $9
		WHERE id = $1 AND error_code = ''`,
		id, db.Text(e.Name), db.Text(e.Source), db.Text(e.Region), db.Text(e.Identity.Username()),
		db.Text(e.Identity.AccessKeyID), e.ReadOnly, db.Text(e.ErrorCode), string(record))
	if err != nil || replaced == 0 {
		return err
	}
	var at int64
	if err := tx.Row(`SELECT time FROM trail WHERE id = $1`, id).Scan(&at); err != nil {
		return err
	}
	if _, err := tx.Exec(`DELETE FROM trail_resource WHERE time = $1 AND id = $2`, at, id); err != nil {
		return err
	}
	return appendResources(tx, at, id, e.Resources)
}

func appendResources(tx *db.Tx, at int64, id string, resources []Resource) error {
	for _, r := range resources {
		_, err := tx.Exec(`INSERT INTO trail_resource (time, id, type, name) VALUES ($1, $2, $3, $4)
			ON CONFLICT DO NOTHING`, at, id, db.Text(r.Type), db.Text(r.Name()))
		if err != nil {
			return fmt.Errorf("append the event's resources: %w", err)
		}
	}
	return nil
}

// Settle reports whether the event was committed by a transaction whose outcome is unknown. If it reports false, that
// transaction never commits: to write the event waits for its end.
func Settle(tx *db.Tx, e Event) (committed bool, err error) {
	id := db.Text(e.ID)
	committed, err = tx.Exists(`SELECT 1 FROM trail WHERE id = $1`, id)
	if err != nil || committed {
		return committed, err
	}
	if err := Append(tx, e); err != nil {
		return false, err
	}
	if _, err := tx.Exec(`DELETE FROM trail_resource WHERE id = $1`, id); err != nil {
		return false, err
	}
	_, err = tx.Exec(`DELETE FROM trail WHERE id = $1`, id)
	return false, err
}

// Log is the trail, for reading. The gate's transactions write events to it, with Append.
type Log struct{ db *db.DB }

// NewLog returns the trail in the database.
func NewLog(database *db.DB) Log { return Log{database} }

// Events returns the entries that the query selects, newest first, at most q.Limit. A Limit of zero or less selects
// none.
func (l Log) Events(ctx context.Context, q Query) ([]Entry, error) {
	query, args, err := lookup(q)
	if err != nil {
		return nil, err
	}
	return db.Get(ctx, l.db, func(tx *db.Tx) ([]Entry, error) { return db.Collect(tx, scanEntry, query, args...) })
}

// lookup composes the statement of a query. Resource attributes are looked up in trail_resource, which also has the
// events of a type or name in the trail's order.
func lookup(q Query) (query string, args []any, err error) {
	var conditions []string
	where := func(condition string, values ...any) {
		for _, v := range values {
			args = append(args, v)
			condition = strings.Replace(condition, "?", fmt.Sprintf("$%d", len(args)), 1)
		}
		conditions = append(conditions, condition)
	}
	value := db.Text(q.Value) // as it is stored
	from := "trail t"
	place := "t" // the table whose (time, id) orders and bounds the entries
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
			return "", nil, fault.New(fault.Invalid, fault.LookupAttribute,
				"The value of the lookup attribute ReadOnly must be true or false, not %q.", q.Value)
		}
		where("t.read_only = ?", q.Value == "true")
	case "ResourceType", "ResourceName":
		column := map[string]string{"ResourceType": "type", "ResourceName": "name"}[q.Attribute]
		from, place = "trail_resource r JOIN trail t ON t.time = r.time AND t.id = r.id", "r"
		where("r."+column+" = ?", value)
	default:
		return "", nil, fault.New(fault.Invalid, fault.LookupAttribute, "%q is no lookup attribute. Use EventId, EventName, "+
			"ReadOnly, Username, ResourceType, ResourceName, EventSource or AccessKeyId.", q.Attribute)
	}
	if q.Region != "" {
		where("t.region = ?", db.Text(q.Region))
	}
	if !q.From.IsZero() {
		where(place+".time >= ?", db.Micros(q.From))
	}
	// Only the lower of the two upper bounds: given both, SQLite may enter the index at the wrong one and walk over all
	// the pages that were read before.
	if q.Before != (Position{}) && (q.To.IsZero() || q.Before.Time.Before(q.To)) {
		where("("+place+".time, "+place+".id) < (?, ?)", db.Micros(q.Before.Time), q.Before.ID)
	} else if !q.To.IsZero() {
		where(place+".time < ?", db.Micros(q.To))
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
	if place == "r" { // an event with two resources of the type is one entry
		return "SELECT t.time, t.id, t.record FROM (SELECT DISTINCT r.time, r.id FROM " + from + filter +
			" ORDER BY r.time DESC, r.id DESC" + limit +
			") p JOIN trail t ON t.time = p.time AND t.id = p.id ORDER BY t.time DESC, t.id DESC", args, nil
	}
	return "SELECT t.time, t.id, t.record FROM " + from + filter + " ORDER BY t.time DESC, t.id DESC" + limit, args, nil
}

func scanEntry(row db.Scanner) (Entry, error) {
	var e Entry
	var at int64
	if err := row.Scan(&at, &e.Position.ID, &e.Record); err != nil {
		return e, err
	}
	e.Position.Time = db.Time(at)
	var err error
	e.Event, err = db.Decode[Event]([]byte(e.Record))
	return e, err
}

// pruneBatch is how many events one transaction deletes, so that others do not wait long for it.
const pruneBatch = 1000

// Prune deletes up to pruneBatch events from before the time, and returns how many rows it deleted. Call it, each time
// in a transaction of its own, until it returns 0.
func Prune(tx *db.Tx, before time.Time) (int64, error) {
	resources, err := tx.Exec(`
		DELETE FROM trail_resource WHERE (time, id, type, name) IN (
			SELECT time, id, type, name FROM trail_resource WHERE time < $1 ORDER BY time LIMIT $2)`,
		db.Micros(before), pruneBatch)
	if err != nil || resources > 0 {
		return resources, err
	}
	return tx.Exec(`DELETE FROM trail WHERE (time, id) IN (
		SELECT time, id FROM trail WHERE time < $1 ORDER BY time LIMIT $2)`, db.Micros(before), pruneBatch)
}
