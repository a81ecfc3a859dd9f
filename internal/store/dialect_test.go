package store_test

import (
	"database/sql"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/internal/trail"
)

// TestParametersAreNumbered proves what one SQL text for both databases stands on: $2 is the second argument
// wherever it stands, and may stand twice. Some SQLite drivers bind by order of appearance, silently.
func TestParametersAreNumbered(t *testing.T) {
	for _, database := range []struct {
		name, driver string
		source       func(testing.TB) string
	}{
		{"SQLite", "sqlite", func(t testing.TB) string { return strings.TrimPrefix(sqliteURL(t), "sqlite:") }},
		{"PostgreSQL", "pgx", postgresURL},
	} {
		t.Run(database.name, func(t *testing.T) {
			db, err := sql.Open(database.driver, database.source(t))
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			statement, err := db.PrepareContext(t.Context(), `SELECT CAST($3 AS TEXT), CAST($1 AS TEXT), CAST($2 AS TEXT), CAST($1 AS TEXT)`)
			if err != nil {
				t.Fatal(err)
			}
			defer statement.Close()
			var got [4]string
			if err := statement.QueryRowContext(t.Context(), "one", "two", "three").Scan(&got[0], &got[1], &got[2], &got[3]); err != nil {
				t.Fatal(err)
			}
			if want := [4]string{"three", "one", "two", "one"}; got != want {
				t.Errorf("got %v, want %v", got, want)
			}
		})
	}
}

// TestTwoServers: servers that share a PostgreSQL database may start at once, and their events do not clash.
func TestTwoServers(t *testing.T) {
	url := postgresURL(t)
	var servers [3]*store.Store
	var errs [3]error
	var all sync.WaitGroup
	for i := range servers {
		all.Go(func() { servers[i], errs[i] = store.Open(t.Context(), url, slog.New(slog.DiscardHandler)) })
	}
	all.Wait()
	for i, s := range servers {
		if errs[i] != nil {
			t.Fatal(errs[i])
		}
		defer s.Close()
	}
	for i, s := range servers {
		all.Go(func() {
			for n := range 20 {
				if err := s.AppendEvent(t.Context(), sampleEvent(fmt.Sprintf("%d-%d", i, n))); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	entries, err := servers[0].Events(t.Context(), trail.Query{})
	if err != nil || len(entries) != 60 {
		t.Fatalf("%d events, %v", len(entries), err)
	}
}
