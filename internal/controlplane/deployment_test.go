package controlplane

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/clock"
)

// The database was on a disk that was not mounted. The control plane began a new account with a new root key beside the
// old authority, and every user and machine was unknown. When the disk was back, so was the old account.
func TestMissingDatabaseIsNotReplaced(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	server, err := startServer(t, Config{Data: data})
	if err != nil {
		t.Fatal(err)
	}
	stopServer(t, server)
	before := credentialsIn(t, data)
	database := filepath.Join(data, DatabaseFile)
	kept, err := os.ReadFile(database)
	if err != nil {
		t.Fatal(err)
	}
	remains := database + "-wal" // left by a control plane that was killed
	if err := errors.Join(os.Remove(database), os.WriteFile(remains, []byte("its last commits"), 0o600)); err != nil {
		t.Fatal(err)
	}
	refused := func(what string) {
		t.Helper()
		_, err := startServer(t, Config{Data: data})
		if err == nil || !strings.Contains(err.Error(), "from a backup") || !strings.Contains(err.Error(), database) {
			t.Errorf("%s: %v", what, err)
		}
		if left, err := os.ReadFile(remains); err != nil || string(left) != "its last commits" {
			t.Errorf("%s: what is beside the database is %q, %v", what, left, err)
		}
	}
	refused("gone")
	if _, err := os.Stat(database); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a database was made: %v", err)
	}
	if err := os.WriteFile(database, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	refused("empty")
	if err := errors.Join(os.Remove(remains), os.WriteFile(database, kept, 0o600)); err != nil {
		t.Fatal(err)
	}
	again, err := startServer(t, Config{Data: data})
	if err != nil || again.Account() != server.Account() || credentialsIn(t, data).Secret != before.Secret {
		t.Errorf("restored: %v", err)
	}
}

// The same with PostgreSQL: --db names another database, or an empty one.
func TestEmptyDatabaseOfAnotherName(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	server, err := startServer(t, Config{Data: data})
	if err != nil {
		t.Fatal(err)
	}
	stopServer(t, server)
	s := &Server{
		config: Config{Database: "postgres://sallyport:hunter2@db.example/wrong?password=hunter3"},
		log:    slog.New(slog.DiscardHandler),
	}
	if s.directory, err = openDirectory(data); err != nil {
		t.Fatal(err)
	}
	defer s.directory.close()
	err = s.directory.errDatabaseMissing(s.databaseName())
	if !strings.Contains(err.Error(), "postgres://db.example/wrong") || strings.Contains(err.Error(), "hunter") {
		t.Errorf("%v", err)
	}
}

// After twenty years the root certificate ends, and no machine trusts the control plane. The operator must be warned in
// time.
func TestRootNearItsEnd(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	made := time.Now()
	for _, c := range []struct {
		after    time.Duration
		says     string
		saysNone bool
	}{
		{after: 0, says: "root certificate", saysNone: true},
		{after: 18 * 365 * 24 * time.Hour, says: "root certificate", saysNone: true},
		{after: (20*365 - 30) * 24 * time.Hour, says: "near its end"},
		{after: 21 * 365 * 24 * time.Hour, says: "root certificate is over"},
	} {
		var log bytes.Buffer
		at := func() clock.Reading {
			return clock.Reading{Time: made.Add(c.after), Boot: "b", Uptime: c.after + time.Hour}
		}
		server, err := Start(t.Context(), Config{Data: data, Listen: "127.0.0.1:0"},
			slog.New(slog.NewTextHandler(&log, nil)), at, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
		metrics := fetch(t, client, server.Endpoint()+"/metrics")
		stopServer(t, server)
		if strings.Contains(log.String(), c.says) == c.saysNone {
			t.Errorf("after %v the log says\n%s", c.after, log.String())
		}
		if !strings.Contains(metrics, "\nsallyport_authority_expiry_timestamp_seconds 2.4") {
			t.Errorf("metrics: %s", metrics)
		}
	}
}
