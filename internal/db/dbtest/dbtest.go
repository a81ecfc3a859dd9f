// Package dbtest gives tests databases of their own: SQLite, and a private PostgreSQL.
package dbtest

import (
	"log/slog"
	"path/filepath"
	"testing"

	"github.com/sallyport/sallyport/internal/db"
)

// Each runs the test on SQLite and on PostgreSQL, each time on an empty database. It skips PostgreSQL where it is not
// installed.
func Each(t *testing.T, test func(t *testing.T, w *db.Writer)) {
	t.Run("SQLite", func(t *testing.T) { test(t, SQLite(t)) })
	t.Run("PostgreSQL", func(t *testing.T) { test(t, PostgreSQL(t)) })
}

// SQLite opens an empty SQLite database until the test ends. It rehearses each write (see db.Writer.Rehearse), so that
// a write that cannot be run again fails its test.
func SQLite(t testing.TB) *db.Writer {
	t.Helper()
	w := Open(t, SQLiteURL(t))
	w.Rehearse()
	return w
}

// PostgreSQL opens an empty PostgreSQL database until the test ends.
func PostgreSQL(t testing.TB) *db.Writer {
	t.Helper()
	return Open(t, PostgreSQLURL(t))
}

// SQLiteURL returns the URL of an empty SQLite database.
func SQLiteURL(t testing.TB) string {
	t.Helper()
	return "sqlite:" + filepath.Join(t.TempDir(), "sallyport.db")
}

// Open opens the database until the test ends, and migrates its schema.
func Open(t testing.TB, url string) *db.Writer {
	t.Helper()
	w, err := db.Open(t.Context(), url, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	})
	return w
}
