// Package db is the deployment's database: embedded SQLite, or PostgreSQL. It runs transactions and knows no table but
// its own (meta.go). Each room has its statements beside its rules. The schema of all rooms is in migrations/.
//
// One SQL text serves both databases. Parameters are $1, $2, …, which both drivers bind by number. Columns are
// enumerated, and times are integers. Names that are compared without regard to case are also stored folded, and what
// the databases would order differently is sorted in Go.
//
// A write behaves as if it ran alone: SQLite runs writes one by one, PostgreSQL at SERIALIZABLE. So it may check and
// then act. It may be run more than once, so it may affect only the transaction and variables that it sets anew.
package db

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"strings"

	"github.com/pressly/goose/v3"
)

//go:embed migrations/*.sql
var migrations embed.FS

// DB is the deployment's database, for reading. It is safe for concurrent use.
type DB struct {
	backend backend
}

// Writer is the database for writing. Only the gate, which records what it writes, and the control plane's start have
// it.
type Writer struct {
	*DB
	rehearse bool
}

// backend is a database that runs transactions. It may run the functions that it is given on another goroutine than the
// caller's, and more than once.
type backend interface {
	update(ctx context.Context, fn func(*Tx) error) error
	view(ctx context.Context, fn func(*Tx) error) error
	// close waits for the transactions in progress. Later calls of the other methods fail; closing again does nothing.
	close() error
}

var errClosed = errors.New("db: the database is closed")

// Open opens the database, which it creates if necessary, and migrates its schema. url is "sqlite:PATH", a plain path,
// or "postgres://…" in libpq's form. Only one process at a time can open a database.
func Open(ctx context.Context, url string, log *slog.Logger) (*Writer, error) {
	var b backend
	var err error
	switch scheme, rest, found := strings.Cut(url, ":"); {
	case found && (scheme == "postgres" || scheme == "postgresql"):
		b, err = openPostgres(ctx, url, log)
	case found && scheme == "sqlite":
		b, err = openSQLite(ctx, strings.TrimPrefix(rest, "//"), log)
	case strings.Contains(url, "://"):
		return nil, fmt.Errorf("the database URL begins with %q: "+
			"use sqlite:PATH or postgres://USER@HOST/DATABASE", scheme+"://")
	default:
		b, err = openSQLite(ctx, url, log)
	}
	if err != nil {
		return nil, err
	}
	return &Writer{DB: &DB{backend: b}}, nil
}

// View runs fn in a transaction that reads one snapshot of the database. It fails within another transaction, for which
// it would wait forever.
func (d *DB) View(ctx context.Context, fn func(*Tx) error) error {
	if err := begin(ctx); err != nil {
		return err
	}
	return d.backend.view(ctx, fn)
}

// Get is View for a function with a result.
func Get[T any](ctx context.Context, d *DB, fn func(*Tx) (T, error)) (T, error) {
	var found T
	err := d.View(ctx, func(tx *Tx) (err error) {
		found, err = fn(tx)
		return err
	})
	if err != nil {
		var zero T
		return zero, err
	}
	return found, nil
}

// Update runs fn in a transaction and returns when it is durable, or returns fn's error if nothing was changed. A
// transaction in which a statement failed is not committed, whatever fn returns. If the context ends before the
// transaction began, it is not run; once it has begun, Update waits for its result, so that the outcome is known. It
// fails within another transaction.
func (w *Writer) Update(ctx context.Context, fn func(*Tx) error) error {
	if err := begin(ctx); err != nil {
		return err
	}
	if w.rehearse {
		err := w.backend.update(ctx, func(tx *Tx) error {
			if err := fn(tx); err != nil {
				return err
			}
			return errRehearsed
		})
		if !errors.Is(err, errRehearsed) {
			return err
		}
	}
	return w.backend.update(ctx, fn)
}

var errRehearsed = errors.New("db: the rehearsal is over")

// Rehearse makes every Update run its function once and roll it back before the run that counts, as PostgreSQL does
// with a transaction that lost to another. It is for tests, and must be called before the Writer is used.
func (w *Writer) Rehearse() { w.rehearse = true }

// Close waits for the transactions in progress and closes the database. Closing again does nothing.
func (w *Writer) Close() error { return w.backend.close() }

// firstVersion is the number of the first migration. Earlier versions of the schema were never released.
const firstVersion = 7

// migrate migrates the schema to the newest version.
func migrate(
	ctx context.Context, dialect goose.Dialect, db *sql.DB, log *slog.Logger, options ...goose.ProviderOption,
) error {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	options = append(options, goose.WithDisableGlobalRegistry(true), goose.WithLogger(goose.NopLogger()))
	provider, err := goose.NewProvider(dialect, db, files, options...)
	if err != nil {
		return fmt.Errorf("read the migrations: %w", err)
	}
	current, latest, err := provider.GetVersions(ctx)
	switch {
	case err != nil:
		return fmt.Errorf("read the schema's version: %w", err)
	case current > latest:
		return fmt.Errorf("the database has schema version %d, this program knows %d: run a newer version of the program",
			current, latest)
	case current > 0 && current < firstVersion:
		return errors.New("the database was made by a version of Sallyport that was never released, and cannot be read " +
			"any more: begin a new deployment, with another data directory or database, and enroll each machine anew")
	}
	done, err := provider.Up(ctx)
	if err != nil {
		return fmt.Errorf("migrate the database: %w", err)
	}
	for _, m := range done {
		log.Info("database migrated", "version", m.Source.Version, "duration", m.Duration)
	}
	return nil
}
