// Package store keeps the deployment's state in SQL: embedded SQLite, or PostgreSQL. A *Store is the Store that
// iam, compute, access and trail declare, and keeps their promises: each in files of its domain's name.
//
// One SQL text serves both databases: parameters are $1, $2, …, which both drivers bind by number; columns are
// enumerated; times are integers; whatever the databases would order or compare differently (names, letter case)
// is folded or sorted here in Go. A write is a transaction that behaves as if it ran alone: SQLite runs them one
// by one, PostgreSQL at SERIALIZABLE with retries. So a write may check and then act, and may run more than once.
package store

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

	"github.com/sallyport/sallyport/internal/access"
	"github.com/sallyport/sallyport/internal/compute"
	"github.com/sallyport/sallyport/internal/iam"
	"github.com/sallyport/sallyport/internal/trail"
)

//go:embed migrations/*.sql
var migrations embed.FS

var (
	_ iam.Store     = (*Store)(nil)
	_ compute.Store = (*Store)(nil)
	_ access.Store  = (*Store)(nil)
	_ trail.Store   = (*Store)(nil)
)

// Store is a database of the deployment. It is safe for concurrent use.
type Store struct {
	backend
	sequence sequence
	touches  touches
}

// backend is a database that runs transactions. The functions handed to it run on another goroutine than the
// caller's, or more than once, and must confine their effects to the session and to variables they set anew.
type backend interface {
	// write runs fn in a transaction that behaves as if it ran alone, and returns when it is durable, or
	// fn's error when nothing was changed. A context that ends before the transaction began means that it
	// never will; after that the result is awaited, so that an answer is never ambiguous.
	write(ctx context.Context, fn func(*session) error) error
	// insert is write for a transaction that bases nothing it writes on what it reads, and so needs no
	// isolation from others.
	insert(ctx context.Context, fn func(*session) error) error
	// read runs fn outside a transaction: each statement sees what was committed when it began.
	read(ctx context.Context, fn func(*session) error) error
	// close waits for the writes in flight. Later calls of the others fail, and further closes do nothing.
	close() error
}

var errClosed = errors.New("store: the database is closed")

// Open opens the database, creating it if need be, and brings its schema up to date. url is "sqlite:PATH" or a
// plain path, or "postgres://…" in libpq's form. A database is open in one process at a time: a second one is
// refused.
func Open(ctx context.Context, url string, log *slog.Logger) (*Store, error) {
	var b backend
	var err error
	switch scheme, rest, found := strings.Cut(url, ":"); {
	case found && (scheme == "postgres" || scheme == "postgresql"):
		b, err = openPostgres(ctx, url, log)
	case found && scheme == "sqlite":
		b, err = openSQLite(ctx, strings.TrimPrefix(rest, "//"), log)
	case strings.Contains(url, "://"):
		return nil, fmt.Errorf("the database URL begins with %q: use sqlite:PATH or postgres://USER@HOST/DATABASE", scheme+"://")
	default:
		b, err = openSQLite(ctx, url, log)
	}
	if err != nil {
		return nil, err
	}
	s := &Store{backend: b}
	s.touches.start(s, log)
	return s, nil
}

// Close writes what is still to be written, waits for the writes in flight and closes the database. Closing again
// does nothing.
func (s *Store) Close() error {
	return errors.Join(s.touches.stop(s), s.backend.close())
}

// migrate brings the schema up to date.
func migrate(ctx context.Context, dialect goose.Dialect, db *sql.DB, log *slog.Logger, options ...goose.ProviderOption) error {
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
	if err != nil {
		return fmt.Errorf("read the schema's version: %w", err)
	}
	if current > latest {
		return fmt.Errorf("the database has schema version %d, this program knows %d: run a newer version of the program", current, latest)
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
