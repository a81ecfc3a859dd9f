package db_test

import (
	"database/sql"
	"log/slog"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/db"
	"github.com/sallyport/sallyport/internal/db/dbtest"
	"github.com/sallyport/sallyport/internal/testkit/wait"
)

const inUse = "another control plane has the database open"

// admin returns a connection of the test's own, without a lock.
func admin(t *testing.T, database string) *sql.DB {
	t.Helper()
	conn, err := sql.Open("pgx", database)
	ok(t, err)
	t.Cleanup(func() { conn.Close() })
	return conn
}

// cutOff closes the connection that holds the lock, as a restart of PostgreSQL would.
func cutOff(t *testing.T, admin *sql.DB) {
	t.Helper()
	var ended bool
	err := admin.QueryRowContext(t.Context(), `SELECT bool_and(pg_terminate_backend(pid, 5000)) FROM pg_locks
		WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`).
		Scan(&ended)
	if err != nil || !ended {
		t.Fatalf("the lock's connection did not end: %v", err)
	}
}

// A user lost a permission on one control plane and could still use it on another one that shared the database and
// cached what it had read. So of several control planes that are started, at once or one after the other, only one can
// open the database.
func TestSecondServer(t *testing.T) {
	database := dbtest.PostgreSQLURL(t)
	var servers [3]*db.Writer
	errs := crowd(len(servers), func(i int) (err error) {
		servers[i], err = db.Open(t.Context(), database, slog.New(slog.DiscardHandler))
		return err
	})
	var first *db.Writer
	for i, w := range servers {
		switch {
		case errs[i] == nil && first == nil:
			first = w
			defer w.Close()
		case errs[i] == nil:
			w.Close()
			t.Error("two were let in")
		case !strings.Contains(errs[i].Error(), inUse):
			t.Error(errs[i])
		}
	}
	if first == nil {
		t.Fatal("none was let in")
	}
	ok(t, first.SetMeta(t.Context(), "k", "v"))
	refuses(t, database, inUse, "stop that one")
	dbtest.PostgreSQL(t) // another database of the same cluster
	ok(t, first.Close())
	wantMeta(t, dbtest.Open(t, database).DB, "k", "v")
	if err := first.SetMeta(t.Context(), "k", "w"); err == nil {
		t.Error("a closed database was written to")
	}
}

// A control plane whose lock ended with its connection, as when PostgreSQL restarts, takes it again and continues, if
// no other process had it meanwhile.
func TestLockLost(t *testing.T) {
	database := dbtest.PostgreSQLURL(t)
	w, admin := dbtest.Open(t, database), admin(t, database)
	for range 3 {
		cutOff(t, admin)
		wait.For(t, "the lock is taken again", func() bool {
			var held int
			err := admin.QueryRowContext(t.Context(), `SELECT COUNT(*) FROM pg_locks WHERE locktype = 'advisory' AND granted
				AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`).Scan(&held)
			return err == nil && held == 1
		})
		wait.For(t, "the database works again", func() bool { return w.SetMeta(t.Context(), "k", "v") == nil })
		wantMeta(t, w.DB, "k", "v")
	}
	refuses(t, database, inUse)
}

// A control plane was cut off, another took its place and revoked a key, and the first came back with its cache: it
// accepted the key for ever. While it has no lock it must not read or write, and never again once another process had
// the lock, even when that process has ended.
func TestLockTaken(t *testing.T) {
	database := dbtest.PostgreSQLURL(t)
	admin := admin(t, database)
	run := func(statement string) {
		t.Helper()
		_, err := admin.ExecContext(t.Context(), statement)
		ok(t, err)
	}
	of, err := url.Parse(database)
	ok(t, err)
	role := "first_of_" + strings.TrimPrefix(of.Path, "/")
	run(`CREATE ROLE ` + role + ` LOGIN SUPERUSER`)
	query := of.Query()
	query.Set("user", role)
	of.RawQuery = query.Encode()
	w := dbtest.Open(t, of.String())
	works := func() [2]error {
		_, err := w.Meta(t.Context(), "k")
		return [2]error{err, w.SetMeta(t.Context(), "k", "v")}
	}

	run(`ALTER ROLE ` + role + ` NOLOGIN`) // its connections stay: only the lock is lost
	err = w.Update(t.Context(), func(tx *db.Tx) error {
		cutOff(t, admin)
		wait.For(t, "the loss to be noticed", func() bool { _, err := w.Meta(t.Context(), "k"); return err != nil })
		return put("under way")(tx)
	})
	if err == nil || !strings.Contains(err.Error(), "is lost") {
		t.Errorf("a write that was under way: %v", err)
	}
	for _, err := range works() {
		if err == nil || !strings.Contains(err.Error(), "is lost") {
			t.Errorf("without the lock: %v", err)
		}
	}
	second := dbtest.Open(t, database)
	run(`ALTER ROLE ` + role + ` LOGIN`)
	taken := func() {
		t.Helper()
		for _, err := range works() {
			if err == nil || !strings.Contains(err.Error(), inUse) {
				t.Errorf("another has the database: %v", err)
			}
		}
	}
	wait.For(t, "the first to see who has the lock", func() bool {
		_, err := w.Meta(t.Context(), "k")
		return err != nil && strings.Contains(err.Error(), inUse)
	})
	taken()
	ok(t, second.Close())
	time.Sleep(300 * time.Millisecond) // time in which it could take the lock
	taken()
	wantMeta(t, dbtest.Open(t, database).DB, "under way", "")
}
