package trail

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/internal/db"
	"github.com/sallyport/sallyport/internal/db/dbtest"
	"github.com/sallyport/sallyport/internal/fault"
)

// epoch is the time of the first event. The trail keeps microseconds.
var epoch = time.Date(2026, 11, 22, 2, 2, 10, 7000, time.UTC)

// book is a trail in a database of the test's own.
type book struct {
	*testing.T
	Log
	writer *db.Writer
}

func each(t *testing.T, test func(b book)) {
	dbtest.Each(t, func(t *testing.T, w *db.Writer) { test(book{t, NewLog(w.DB), w}) })
}

func (b book) append(events ...Event) {
	b.Helper()
	b.write(Append, events...)
}

func (b book) write(write func(*db.Tx, Event) error, events ...Event) {
	b.Helper()
	err := b.writer.Update(b.Context(), func(tx *db.Tx) error {
		for _, e := range events {
			if err := write(tx, e); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
}

func (b book) find(q Query) []Entry {
	b.Helper()
	entries, err := b.Events(b.Context(), q)
	if err != nil {
		b.Fatal(err)
	}
	return entries
}

// only returns the one entry that the query finds.
func (b book) only(q Query) Entry {
	b.Helper()
	entries := b.find(q)
	if len(entries) != 1 {
		b.Fatalf("%+v finds %d events", q, len(entries))
	}
	return entries[0]
}

func (b book) same(got, want any) {
	b.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		b.Errorf("not what was stored (-want +got):\n%s", diff)
	}
}

func sample(n int) Event {
	return Event{
		Version: "1.11", Name: "RunInstances", Source: "ec2.amazonaws.com", Region: "on-prem-1", SourceIP: "192.0.2.7",
		UserAgent: "test", Type: AwsAPICall, Management: true, Category: "Management",
		ID: fmt.Sprint("event-", n), RequestID: fmt.Sprint("request-", n), Time: epoch.Add(time.Duration(n) * time.Second),
		Identity: Identity{
			Type: IAMUser, PrincipalID: "AIDAX", ARN: "arn:aws:iam::123456789012:user/mina", AccessKeyID: "AKIAX",
			UserName: "mina",
		},
		Parameters:     map[string]any{"number": float64(n), "text": "한국어 <&> \u2028"},
		Response:       map[string]any{"nested": map[string]any{"list": []any{"a", float64(1), true, nil}}},
		ServiceDetails: map[string]any{"bytes": float64(7)},
		Resources:      []Resource{{ARN: "arn:aws:ec2:on-prem-1:1:instance/i-1", AccountID: "1", Type: "AWS::EC2::Instance"}},
	}
}

func TestAppend(t *testing.T) {
	each(t, func(b book) {
		e := sample(1)
		b.append(e)
		stored := b.only(Query{})
		record, err := e.Record()
		if err != nil {
			b.Fatal(err)
		}
		b.same(stored.Record, string(record))
		b.same(stored.Position, Position{e.Time, e.ID})
		read := e
		read.Time = e.Time.Truncate(time.Second)
		b.same(stored.Event, read)

		// Appending again changes nothing.
		again := e
		again.Name, again.ErrorCode = "Other", "Unavailable"
		b.append(again)
		b.same(b.only(Query{}).Event, read)
	})
}

// A call failed after its write was committed. Only its first failure counts.
func TestReplace(t *testing.T) {
	each(t, func(b book) {
		e := sample(1)
		b.append(e)
		failed := e
		failed.Time = e.Time.Add(time.Hour)
		failed.ErrorCode, failed.ErrorMessage, failed.Response = "Unavailable", "gone", nil
		failed.Resources = []Resource{{ARN: "arn:aws:ec2:on-prem-1:1:instance/i-2", Type: "AWS::EC2::Instance"}}
		worse := failed
		worse.ErrorCode = "Worse"
		b.write(Replace, failed, worse)
		b.append(e)
		stored := b.only(Query{Attribute: "ResourceName", Value: "i-2"})
		b.same(stored.Event.ErrorCode, "Unavailable")
		b.same(stored.Position, Position{e.Time, e.ID})
		b.same(len(b.find(Query{})), 1)
		b.same(len(b.find(Query{Attribute: "ResourceName", Value: "i-1"})), 0)
	})
}

// Events are ordered by their exact time, though their records have whole seconds. Events of the same time are ordered
// by their ids, whichever was written first.
func TestOrder(t *testing.T) {
	each(t, func(b book) {
		var want []string
		for n, after := range []time.Duration{5, 2, 2, 0, 1_000_000} {
			e := sample(n)
			e.Time = epoch.Add(after * time.Microsecond)
			b.append(e)
		}
		for _, n := range []int{4, 0, 2, 1, 3} {
			want = append(want, fmt.Sprint("event-", n))
		}
		var got []string
		for q := (Query{Limit: 2}); ; {
			page := b.find(q)
			for _, e := range page {
				got = append(got, e.Event.ID)
			}
			if len(page) < q.Limit {
				break
			}
			q.Before = page[len(page)-1].Position
		}
		b.same(got, want)
	})
}

// An event can always be written, whatever an unauthenticated caller puts into a request.
func TestHostileText(t *testing.T) {
	each(t, func(b book) {
		e := sample(1)
		e.Name = "Bad\x00Name\xff"
		e.Identity = Identity{Type: Unknown, AccessKeyID: "AKIA\x00\xc3\x28", PrincipalID: "'; DROP TABLE trail; --"}
		e.Source, e.Region, e.ErrorCode = "\x00", "\xff", "\x00"
		e.Resources = []Resource{{ARN: "arn:\x00/\xfe", Type: "\x00"}, {}, {}}
		e.Parameters = map[string]any{"k\x00": "v\x00\xff"}
		b.append(e)
		for attribute, value := range map[string]string{
			"Username": e.Identity.PrincipalID, "EventName": e.Name, "AccessKeyId": e.Identity.AccessKeyID,
		} {
			b.only(Query{Attribute: attribute, Value: value})
		}
	})
}

func TestUnknownAttribute(t *testing.T) {
	each(t, func(b book) {
		for _, q := range []Query{{Attribute: "Colour", Value: "red"}, {Attribute: "ReadOnly", Value: "maybe"}} {
			_, err := b.Events(b.Context(), q)
			if f := fault.Of(err); err == nil || f.Kind != fault.Invalid || f.Subject.String() != "lookup-attribute" {
				b.Errorf("%+v: %v", q, err)
			}
		}
	})
}

// prune deletes all events from before the time, as the control plane does.
func (b book) prune(before time.Time) (transactions int) {
	b.Helper()
	for deleted := int64(1); deleted > 0; transactions++ {
		err := b.writer.Update(b.Context(), func(tx *db.Tx) (err error) {
			deleted, err = Prune(tx, before)
			return err
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	return transactions
}

func TestPrune(t *testing.T) {
	each(t, func(b book) {
		var many []Event
		for n := range 2 * pruneBatch {
			e := sample(n)
			e.Time = epoch
			e.Resources = append(e.Resources, Resource{ARN: "arn:x/other", Type: "T"})
			many = append(many, e)
		}
		b.append(many...)
		late := sample(len(many))
		late.Resources = append(late.Resources, Resource{ARN: "arn:x/other", Type: "T"})
		b.append(late)
		if n := b.prune(late.Time); n < 6 {
			b.Errorf("%d events and twice as many resources were deleted in %d transactions", len(many), n)
		}
		b.same(b.only(Query{}).Event.ID, late.ID)
		b.same(b.only(Query{Attribute: "ResourceType", Value: "T"}).Event.ID, late.ID)
		b.same(b.prune(late.Time), 1)
		b.only(Query{})
	})
}

// TestLookupsUseIndexes checks that reading a page takes no longer for where it is in the trail or for how much the
// trail holds.
func TestLookupsUseIndexes(t *testing.T) {
	w := dbtest.SQLite(t)
	for _, attribute := range []string{
		"", "EventId", "EventName", "ReadOnly", "Username", "ResourceType", "ResourceName", "EventSource", "AccessKeyId",
	} {
		query, args, err := lookup(Query{
			Attribute: attribute, Value: "true", Region: "r", From: time.Unix(1, 0), To: time.Unix(10, 0), Limit: 50,
			Before: Position{Time: time.Unix(9, 0), ID: "x"},
		})
		if err != nil {
			t.Fatal(err)
		}
		text := strings.Join(plan(t, w, query, args...), "\n")
		entersAtPosition := strings.Contains(text, "(time,id)<(?,?)") || strings.Contains(text, "(id=?)")
		if !entersAtPosition || strings.Contains(text, "SCAN t") || strings.Contains(text, "SCAN r") {
			t.Errorf("%s is not looked up by an index:\n%s\nin %s", attribute, text, query)
		}
	}
}

// plan returns SQLite's plan of the query.
func plan(t *testing.T, w *db.Writer, query string, args ...any) []string {
	t.Helper()
	steps, err := db.Get(t.Context(), w.DB, func(tx *db.Tx) ([]string, error) {
		return db.Collect(tx, func(row db.Scanner) (step string, err error) {
			var id, parent, unused int
			err = row.Scan(&id, &parent, &unused, &step)
			return step, err
		}, "EXPLAIN QUERY PLAN "+query, args...)
	})
	if err != nil {
		t.Fatal(err)
	}
	return steps
}

// An event that cannot be encoded fails, and what was written with it is not kept.
func TestUnencodableEvent(t *testing.T) {
	each(t, func(b book) {
		bad := sample(2)
		bad.Parameters = map[string]any{"of": func() {}}
		err := b.writer.Update(b.Context(), func(tx *db.Tx) error {
			return errors.Join(Append(tx, sample(1)), Append(tx, bad))
		})
		if err == nil || len(b.find(Query{})) != 0 {
			b.Errorf("%v, %d events", err, len(b.find(Query{})))
		}
	})
}
