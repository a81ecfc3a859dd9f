package db_test

import (
	"bytes"
	"context"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/sallyport/sallyport/internal/db"
	"github.com/sallyport/sallyport/internal/db/dbtest"
	"github.com/sallyport/sallyport/internal/testkit/wait"
)

// said is a log that may be read while it is written.
type said struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (s *said) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}

func (s *said) has(words string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Contains(s.text.String(), words)
}

// at returns the database's URL with another directory of the server's socket.
func at(t *testing.T, database, directory string) string {
	t.Helper()
	u, err := url.Parse(database)
	if err != nil {
		t.Fatal(err)
	}
	query := u.Query()
	query.Set("host", directory)
	u.RawQuery = query.Encode()
	return u.String()
}

// After a power cut the control plane was up before PostgreSQL, and ended, so that somebody had to start it by hand.
func TestStartWaitsForPostgreSQL(t *testing.T) {
	database := dbtest.PostgreSQLURL(t)
	u, err := url.Parse(database)
	if err != nil {
		t.Fatal(err)
	}
	late := filepath.Join(t.TempDir(), "late") // where the server's socket will be
	var log said
	type opened struct {
		writer *db.Writer
		err    error
	}
	done := make(chan opened, 1)
	go func() {
		w, err := db.Open(t.Context(), at(t, database, late), slog.New(slog.NewTextHandler(&log, nil)))
		done <- opened{w, err}
	}()
	wait.For(t, "word that it waits", func() bool { return log.has("waiting for it") && log.has(late) })
	select {
	case o := <-done:
		t.Fatalf("it did not wait: %v", o.err)
	default:
	}
	if err := os.Symlink(u.Query().Get("host"), late); err != nil {
		t.Fatal(err)
	}
	o := <-done
	if o.err != nil {
		t.Fatal(o.err)
	}
	defer o.writer.Close()
	if !log.has("PostgreSQL answers") {
		t.Error("it does not say that the wait is over")
	}
}

func TestWaitForPostgreSQLEnds(t *testing.T) {
	database := dbtest.PostgreSQLURL(t)
	ctx, interrupt := context.WithCancel(t.Context())
	var log said
	done := make(chan error, 1)
	go func() {
		never := at(t, database, filepath.Join(t.TempDir(), "never"))
		_, err := db.Open(ctx, never, slog.New(slog.NewTextHandler(&log, nil)))
		done <- err
	}()
	wait.For(t, "word that it waits", func() bool { return log.has("waiting for it") })
	interrupt()
	if err := <-done; err == nil || !strings.Contains(err.Error(), "interrupted while waiting for PostgreSQL") {
		t.Errorf("interrupted: %v", err)
	}
	// An error that waiting does not solve is returned at once.
	missing := strings.Replace(database, "postgres:///", "postgres:///no_such_", 1)
	refuses(t, missing, "does not exist")
}
