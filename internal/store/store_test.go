package store_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/internal/store/storetest"
	"github.com/sallyport/sallyport/internal/testkit/isolated"
	"github.com/sallyport/sallyport/internal/testkit/prerequisite"
	"github.com/sallyport/sallyport/internal/testkit/wait"
)

// cluster is this process's PostgreSQL, started for the first test that asks.
var cluster struct {
	sync.Mutex
	server *storetest.Postgres
	err    error
}

func TestMain(m *testing.M) {
	if path := os.Getenv(childVariable); path != "" {
		fmt.Fprintln(os.Stderr, writeUntilKilled(path))
		os.Exit(1)
	}
	code := isolated.Run(m)
	if cluster.server != nil {
		if err := cluster.server.Stop(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

func postgresURL(t testing.TB) string {
	t.Helper()
	cluster.Lock()
	defer cluster.Unlock()
	if cluster.server == nil && cluster.err == nil {
		ctx, cancel := context.WithTimeout(context.Background(), wait.Patience)
		defer cancel()
		cluster.server, cluster.err = storetest.StartPostgres(ctx)
	}
	if errors.Is(cluster.err, storetest.ErrNoPostgres) {
		prerequisite.Missing(t, cluster.err)
	}
	if cluster.err != nil {
		t.Fatal(cluster.err)
	}
	return cluster.server.Database(t)
}

func open(t testing.TB, url string) *store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), url, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func sqliteURL(t testing.TB) string { return "sqlite:" + filepath.Join(t.TempDir(), "sallyport.db") }

func TestSQLite(t *testing.T) {
	storetest.Run(t, func(t testing.TB) storetest.Store { return open(t, sqliteURL(t)) })
}

func TestPostgreSQL(t *testing.T) {
	storetest.Run(t, func(t testing.TB) storetest.Store { return open(t, postgresURL(t)) })
}

func TestOpenRefuses(t *testing.T) {
	for _, url := range []string{"mysql://x/y", "sqlite:", "postgres://%zz", "sqlite:" + t.TempDir() + "/no/such/directory/x.db"} {
		if s, err := store.Open(t.Context(), url, slog.New(slog.DiscardHandler)); err == nil {
			s.Close()
			t.Errorf("%s was opened", url)
		}
	}
}

// TestFiles: nobody but the owner reads the database, whatever characters its path has, and one process has it.
func TestFiles(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a %41?b#c d.db")
	s := open(t, path)
	if err := s.SetMeta(t.Context(), "k", "v"); err != nil {
		t.Fatal(err)
	}
	for _, suffix := range []string{"", "-wal", "-shm", ".lock"} {
		info, err := os.Stat(path + suffix)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v", info.Name(), info.Mode())
		}
	}
	if _, err := store.Open(t.Context(), path, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), "another process has the database open") {
		t.Errorf("a second opening: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	// Whoever copies the file of a control plane that was stopped has everything: it used to lack what stood in the -wal.
	if _, err := os.Stat(path + "-wal"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("something is left beside the database: %v", err)
	}
	again, err := store.Open(t.Context(), path, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if v, err := again.Meta(t.Context(), "k"); v != "v" || err != nil {
		t.Errorf("after reopening: %q, %v", v, err)
	}
}
