package store

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

// maxAttempts bounds how often a transaction that lost to others is run again.
const maxAttempts = 100

// postgres is a PostgreSQL database, which one process at a time has open. pgx prepares each statement once a
// connection.
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

func (b *postgres) write(ctx context.Context, fn func(*session) error) error {
	return b.transact(ctx, sql.LevelSerializable, fn)
}

func (b *postgres) insert(ctx context.Context, fn func(*session) error) error {
	return b.transact(ctx, sql.LevelReadCommitted, fn)
}

// transact runs fn until no other transaction is in its way.
func (b *postgres) transact(ctx context.Context, level sql.IsolationLevel, fn func(*session) error) error {
	for attempt := 1; ; attempt++ {
		err := b.once(ctx, level, fn)
		if err == nil || !lostToAnother(err) || attempt == maxAttempts {
			return explain(err)
		}
		select {
		case <-time.After(rand.N(time.Duration(min(attempt, 20)) * time.Millisecond)):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// once runs fn in one transaction. The context ends the wait for a connection; from then on the result is
// awaited.
func (b *postgres) once(ctx context.Context, level sql.IsolationLevel, fn func(*session) error) error {
	if err := b.lock.check(); err != nil {
		return err
	}
	conn, err := b.db.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	ctx = context.WithoutCancel(ctx)
	tx, err := conn.BeginTx(ctx, &sql.TxOptions{Isolation: level})
	if err != nil {
		return err
	}
	defer tx.Rollback()
	if err := fn(&session{ctx: ctx, run: tx}); err != nil {
		return err
	}
	if err := b.lock.check(); err != nil {
		return err
	}
	return tx.Commit()
}

func (b *postgres) read(ctx context.Context, fn func(*session) error) error {
	if err := b.lock.check(); err != nil {
		return err
	}
	return explain(fn(&session{ctx: ctx, run: b.db}))
}

// close lets others have the database when nothing of ours runs in it any more.
func (b *postgres) close() error { return errors.Join(b.db.Close(), b.lock.release()) }

// lostToAnother tells whether err is a serialization failure or a deadlock, after which the same transaction
// may well succeed. https://www.postgresql.org/docs/current/mvcc-serialization-failure-handling.html
func lostToAnother(err error) bool {
	var e *pgconn.PgError
	return errors.As(err, &e) && (e.Code == "40001" || e.Code == "40P01")
}

// explain makes a fault of what PostgreSQL refuses and SQLite would take: text with zero bytes or not UTF-8.
func explain(err error) error {
	var e *pgconn.PgError
	if errors.As(err, &e) && (e.Code == "22021" || e.Code == "22P05") {
		return fault.Wrap(err, fault.Invalid, "text", "A value holds characters that cannot be stored. Use UTF-8 without zero bytes.")
	}
	return err
}
