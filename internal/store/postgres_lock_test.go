package store_test

import (
	"database/sql"
	"log/slog"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/iam"
	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/internal/testkit/wait"
	"github.com/sallyport/sallyport/internal/trail"
)

const inUse = "another control plane has the database open"

// refused fails the test unless the database is not opened, because another process has it.
func refused(t *testing.T, database string) {
	t.Helper()
	s, err := store.Open(t.Context(), database, slog.New(slog.DiscardHandler))
	if err == nil {
		s.Close()
	}
	if err == nil || !strings.Contains(err.Error(), inUse) || !strings.Contains(err.Error(), "stop that one") {
		t.Errorf("a second opening: %v", err)
	}
}

// admin is a connection of the test's own, past the store.
func admin(t *testing.T, database string) *sql.DB {
	t.Helper()
	db, err := sql.Open("pgx", database)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

// cutOff ends the connection that holds the lock, as a restart of PostgreSQL would.
func cutOff(t *testing.T, db *sql.DB) {
	t.Helper()
	var ended bool
	err := db.QueryRowContext(t.Context(), `SELECT bool_and(pg_terminate_backend(pid, 5000)) FROM pg_locks
		WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`).Scan(&ended)
	if err != nil || !ended {
		t.Fatalf("the lock's connection did not end: %v", err)
	}
}

// TestSecondServer: a user whom one control plane took a right away could go on using it at another one that
// shares the database and remembers what it has read. So of several that are started, at once or one after the
// other, one has the database.
func TestSecondServer(t *testing.T) {
	database := postgresURL(t)
	var servers [3]*store.Store
	var errs [3]error
	var all sync.WaitGroup
	for i := range servers {
		all.Go(func() { servers[i], errs[i] = store.Open(t.Context(), database, slog.New(slog.DiscardHandler)) })
	}
	all.Wait()
	var first *store.Store
	for i, s := range servers {
		switch {
		case errs[i] == nil && first == nil:
			first = s
			defer s.Close()
		case errs[i] == nil:
			s.Close()
			t.Error("two were let in")
		case !strings.Contains(errs[i].Error(), inUse):
			t.Error(errs[i])
		}
	}
	if first == nil {
		t.Fatal("none was let in")
	}
	if err := first.SetMeta(t.Context(), "k", "v"); err != nil {
		t.Error(err)
	}
	refused(t, database)
	open(t, postgresURL(t)) // another database of the same cluster
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	second := open(t, database)
	if v, err := second.Meta(t.Context(), "k"); v != "v" || err != nil {
		t.Errorf("%q, %v", v, err)
	}
	if err := first.SetMeta(t.Context(), "k", "w"); err == nil {
		t.Error("a closed store wrote")
	}
}

// TestEventNumbersOfProcesses: those that have the database one after the other give no number twice.
func TestEventNumbersOfProcesses(t *testing.T) {
	database := postgresURL(t)
	for _, id := range []string{"1", "2"} {
		s, err := store.Open(t.Context(), database, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		event := sampleEvent(id)
		event.Time = time.Unix(1_800_000_000, 0).UTC()
		if err := s.AppendEvent(t.Context(), event); err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	entries, err := open(t, database).Events(t.Context(), trail.Query{})
	if err != nil || len(entries) != 2 || entries[0].Event.ID != "event-2" || entries[0].Position == entries[1].Position {
		t.Errorf("%v, %v", entries, err)
	}
}

// TestLockLost: a store whose lock ended with its connection, as when PostgreSQL restarts, takes it again and goes on,
// since nobody else had it meanwhile.
func TestLockLost(t *testing.T) {
	database := postgresURL(t)
	s := open(t, database)
	db := admin(t, database)
	for range 3 {
		cutOff(t, db)
		wait.For(t, "the lock is taken again", func() bool {
			var held int
			err := db.QueryRowContext(t.Context(), `SELECT COUNT(*) FROM pg_locks WHERE locktype = 'advisory' AND granted`+
				` AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`).Scan(&held)
			return err == nil && held == 1
		})
		wait.For(t, "the store works again", func() bool { return s.SetMeta(t.Context(), "k", "v") == nil })
		if v, err := s.Meta(t.Context(), "k"); v != "v" || err != nil {
			t.Errorf("%q, %v", v, err)
		}
	}
	refused(t, database)
}

// TestLockTaken: a control plane was cut off, another took its place and revoked a key, and the first came back with
// what it remembered: the key opened doors there for ever. While it has no lock it reads and writes nothing, and
// it never does again once another had it, not even when that one has gone.
func TestLockTaken(t *testing.T) {
	database := postgresURL(t)
	db := admin(t, database)
	run := func(statement string) {
		t.Helper()
		if _, err := db.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	of, err := url.Parse(database)
	if err != nil {
		t.Fatal(err)
	}
	role := "first_of_" + strings.TrimPrefix(of.Path, "/")
	run(`CREATE ROLE ` + role + ` LOGIN SUPERUSER`)
	query := of.Query()
	query.Set("user", role)
	of.RawQuery = query.Encode()
	s, err := store.Open(t.Context(), of.String(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.CreatePolicy(t.Context(), iam.ManagedPolicy{ID: "ANPA", Name: "p", ARN: "arn:p", Path: "/"}, iam.PolicyVersion{Document: "1"}, sampleEvent("1")); err != nil {
		t.Fatal(err)
	}
	works := func() (all [3]error) {
		_, all[0] = s.Meta(t.Context(), "k")
		all[1] = s.SetMeta(t.Context(), "k", "v")
		all[2] = s.AppendEvent(t.Context(), sampleEvent("2"))
		return all
	}

	run(`ALTER ROLE ` + role + ` NOLOGIN`) // the connections it has stay: only the lock is lost
	_, err = s.CreatePolicyVersion(t.Context(), "arn:p", iam.PolicyVersion{Document: "2"}, true, func(iam.PolicyVersion) trail.Event {
		cutOff(t, db)
		wait.For(t, "the store notices", func() bool { _, err := s.Meta(t.Context(), "k"); return err != nil })
		return sampleEvent("under way")
	})
	if err == nil || !strings.Contains(err.Error(), "is lost") {
		t.Errorf("a write that was under way: %v", err)
	}
	for _, err := range works() {
		if err == nil || !strings.Contains(err.Error(), "is lost") {
			t.Errorf("without the lock: %v", err)
		}
	}
	second, err := store.Open(t.Context(), database, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	run(`ALTER ROLE ` + role + ` LOGIN`)
	taken := func() {
		t.Helper()
		for _, err := range works() {
			if err == nil || !strings.Contains(err.Error(), inUse) {
				t.Errorf("another has the database: %v", err)
			}
		}
	}
	wait.For(t, "the store sees who has the lock", func() bool {
		_, err := s.Meta(t.Context(), "k")
		return err != nil && strings.Contains(err.Error(), inUse)
	})
	taken()
	if err := second.Close(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(300 * time.Millisecond) // in which it could take the lock
	taken()
	if versions, err := open(t, database).PolicyVersions(t.Context(), "arn:p"); len(versions) != 1 || err != nil {
		t.Errorf("versions %v, %v", versions, err)
	}
}
