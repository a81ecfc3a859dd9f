package db_test

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/internal/db"
	"github.com/sallyport/sallyport/internal/db/dbtest"
	"github.com/sallyport/sallyport/internal/testkit/isolated"
)

func TestMain(m *testing.M) {
	if path := os.Getenv(childVariable); path != "" {
		fmt.Fprintln(os.Stderr, writeUntilKilled(path))
		os.Exit(1)
	}
	os.Exit(isolated.Run(m))
}

// put sets a value that does not exist yet.
func put(key string) func(*db.Tx) error {
	return func(tx *db.Tx) error {
		_, err := tx.Exec(`INSERT INTO meta (key, value) VALUES ($1, $2)`, key, "set")
		return err
	}
}

// wantMeta fails the test unless the value is as wanted; empty for one that was never set.
func wantMeta(t *testing.T, d *db.DB, key, want string) {
	t.Helper()
	if got, err := d.Meta(t.Context(), key); got != want || err != nil {
		t.Errorf("%s is %q, want %q (%v)", key, got, want, err)
	}
}

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// refuses fails the test unless opening the database fails with an error that contains the words.
func refuses(t *testing.T, url string, words ...string) {
	t.Helper()
	w, err := db.Open(t.Context(), url, slog.New(slog.DiscardHandler))
	if err == nil {
		w.Close()
		t.Fatalf("%s was opened", url)
	}
	for _, text := range words {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("%s: %v, which does not say %q", url, err, text)
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	nowhere := "sqlite:" + t.TempDir() + "/no/such/directory/x.db"
	for _, url := range []string{"mysql://x/y", "sqlite:", "postgres://%zz", nowhere} {
		refuses(t, url)
	}
}

// TestFiles checks that only the owner can read the database, whatever characters its path has, and that only one
// process can open it.
func TestFiles(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a %41?b#c d.db")
	w := dbtest.Open(t, path)
	ok(t, w.SetMeta(t.Context(), "k", "v"))
	for _, suffix := range []string{"", "-wal", "-shm", ".lock"} {
		info, err := os.Stat(path + suffix)
		ok(t, err)
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v", info.Name(), info.Mode())
		}
	}
	refuses(t, path, "another process has the database open")
	ok(t, w.Close())
	// A copy of the file of a stopped control plane is complete. It used to lack what was still in the -wal.
	if _, err := os.Stat(path + "-wal"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("something is left beside the database: %v", err)
	}
	wantMeta(t, dbtest.Open(t, path).DB, "k", "v")
}

func TestMeta(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, w *db.Writer) {
		wantMeta(t, w.DB, "account", "")
		ok(t, w.SetMeta(t.Context(), "account", "123456789012"))
		ok(t, w.SetMeta(t.Context(), "account", "210987654321"))
		ok(t, w.SetMeta(t.Context(), "other", "x"))
		wantMeta(t, w.DB, "account", "210987654321")
		for range 3 {
			ok(t, w.Prove(t.Context()))
		}
	})
}
