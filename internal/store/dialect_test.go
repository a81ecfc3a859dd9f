package store_test

import (
	"database/sql"
	"strings"
	"testing"
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
