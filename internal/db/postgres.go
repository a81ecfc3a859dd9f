package db

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
	"github.com/pressly/goose/v3"

	"github.com/sallyport/sallyport/internal/fault"
)

// The most runs of a transaction that lost to others.
const (
	maxAttempts = 100
	maxTaken    = 5 // if a value that must be unique is taken
)

// postgres is a PostgreSQL database, which only one process at a time has open. pgx prepares each statement once for
// each connection.
type postgres struct {
	db   *sql.DB
	lock *soleLock
}

func openPostgres(ctx context.Context, url string, log *slog.Logger) (*postgres, error) {
	lock, err := takeLock(ctx, url, log) // before the schema is touched
	if err != nil {
		return nil, err
	}
	db, err := sql.Open("pgx", url)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open the database: %w", err), lock.release())
	}
	db.SetMaxOpenConns(32)
	db.SetMaxIdleConns(32)
	b := &postgres{db: db, lock: lock}
	if err = migrate(ctx, goose.DialectPostgres, db, log); err == nil {
		err = lock.claim(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, b.close())
	}
	return b, nil
}

// update runs fn until no other transaction conflicts with it.
func (b *postgres) update(ctx context.Context, fn func(*Tx) error) error {
	for attempt := 1; ; attempt++ {
		err := b.once(ctx, &sql.TxOptions{Isolation: sql.LevelSerializable}, fn)
		if err == nil || attempt >= attempts(err) {
			return explain(err)
		}
		select {
		case <-time.After(rand.N(time.Duration(min(attempt, 20)) * time.Millisecond)):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (b *postgres) view(ctx context.Context, fn func(*Tx) error) error {
	return explain(b.once(ctx, &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true}, fn))
}

// once runs fn in one transaction. The context ends the wait for a connection; after that, once waits for the result.
func (b *postgres) once(ctx context.Context, options *sql.TxOptions, fn func(*Tx) error) error {
	if err := b.lock.check(); err != nil {
		return err
	}
	conn, err := b.db.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	ctx = inside(ctx)
	tx, err := conn.BeginTx(ctx, options)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	if err := (&Tx{ctx: ctx, run: tx}).attempt(fn); err != nil {
		return err
	}
	if err := b.lock.check(); err != nil {
		return err
	}
	return tx.Commit()
}

// close releases the database for other processes when no transaction runs any more.
func (b *postgres) close() error { return errors.Join(b.db.Close(), b.lock.release()) }

// attempts returns how often to run a transaction that fails with err. It may succeed the next time if it lost to
// another one by a serialization failure, a deadlock, or because the other has just taken a value that must be unique,
// which this one found free. See https://www.postgresql.org/docs/current/mvcc-serialization-failure-handling.html
func attempts(err error) int {
	var e *pgconn.PgError
	if !errors.As(err, &e) {
		return 1
	}
	switch e.Code {
	case "40001", "40P01":
		return maxAttempts
	case "23505":
		return maxTaken
	}
	return 1
}

// explain turns an error into a fault if PostgreSQL rejects what SQLite accepts: text with zero bytes or invalid UTF-8.
func explain(err error) error {
	var e *pgconn.PgError
	if errors.As(err, &e) && (e.Code == "22021" || e.Code == "22P05") {
		return fault.Wrap(err, fault.Invalid, fault.Text,
			"A value holds characters that cannot be stored. Use UTF-8 without zero bytes.")
	}
	return err
}
