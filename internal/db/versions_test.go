package db_test

import (
	"database/sql"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/pressly/goose/v3"

	"github.com/sallyport/sallyport/internal/db"
	"github.com/sallyport/sallyport/internal/db/dbtest"
)

func TestNewerSchemaIsRefused(t *testing.T) {
	for _, url := range []string{dbtest.SQLiteURL(t), dbtest.PostgreSQLURL(t)} {
		w := dbtest.Open(t, url)
		ok(t, w.Update(t.Context(), func(tx *db.Tx) error {
			_, err := tx.Exec(`INSERT INTO goose_db_version (version_id, is_applied) VALUES ($1, $2)`, 99999, true)
			return err
		}))
		ok(t, w.Close())
		refuses(t, url, "schema version 99999", "newer version")
	}
}

// A database from before the first kept version is refused with what to do, and is not changed.
func TestUnreleasedSchemaIsRefused(t *testing.T) {
	sqlite, postgres := dbtest.SQLiteURL(t), dbtest.PostgreSQLURL(t)
	for _, old := range []struct {
		url, driver, source string
		dialect             goose.Dialect
	}{
		{sqlite, "sqlite", strings.TrimPrefix(sqlite, "sqlite:"), goose.DialectSQLite3},
		{postgres, "pgx", postgres, goose.DialectPostgres},
	} {
		conn, err := sql.Open(old.driver, old.source)
		ok(t, err)
		defer conn.Close()
		provider, err := goose.NewProvider(old.dialect, conn, fstest.MapFS{
			"00001_iam.sql":   {Data: []byte("-- +goose Up\nCREATE TABLE users AS SELECT 'mina' AS name;")},
			"00006_trail.sql": {Data: []byte("-- +goose Up\nCREATE TABLE events (sequence BIGINT NOT NULL);")},
		}, goose.WithDisableGlobalRegistry(true))
		ok(t, err)
		for _, version := range []int64{1, 6} {
			_, err = provider.UpTo(t.Context(), version)
			ok(t, err)
			refuses(t, old.url, "never released", "begin a new deployment", "enroll each machine anew")
			current, err := provider.GetDBVersion(t.Context())
			if err != nil || current != version {
				t.Errorf("it is of version %d now, %v", current, err)
			}
		}
		var name string
		if err := conn.QueryRowContext(t.Context(), `SELECT name FROM users`).Scan(&name); err != nil || name != "mina" {
			t.Errorf("it holds %q, %v", name, err)
		}
	}
}
