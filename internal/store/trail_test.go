package store

import (
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/trail"
)

// TestLookupsUseIndexes: a page of the trail costs what it holds, wherever in the trail it lies and however much
// that holds.
func TestLookupsUseIndexes(t *testing.T) {
	s := openTest(t)
	for _, attribute := range []string{"", "EventId", "EventName", "ReadOnly", "Username", "ResourceType", "ResourceName", "EventSource", "AccessKeyId"} {
		q := trail.Query{Attribute: attribute, Value: "true", Region: "r", From: time.Unix(1, 0), To: time.Unix(10, 0), Limit: 50,
			Before: trail.Position{Time: time.Unix(9, 0), Sequence: 9}}
		query, args, err := lookup(q)
		if err != nil {
			t.Fatal(err)
		}
		text := strings.Join(plan(t, s, query, args...), "\n")
		entersAtPosition := strings.Contains(text, "(time,sequence)<(?,?)") || strings.Contains(text, "(id=?)")
		if !entersAtPosition || strings.Contains(text, "SCAN t") || strings.Contains(text, "SCAN r") {
			t.Errorf("%s is not looked up by an index:\n%s\nin %s", attribute, text, query)
		}
	}
}

// plan is how SQLite would answer the query.
func plan(t *testing.T, s *Store, query string, args ...any) []string {
	t.Helper()
	steps, err := get(t.Context(), s, func(conn *session) ([]string, error) {
		return collect(conn, func(row scanner) (step string, err error) {
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
