package db

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"syscall"

	"github.com/pressly/goose/v3"
	_ "modernc.org/sqlite" // the driver "sqlite"
)

// readers is how many connections read at the same time. SQLite runs in the process, so more than there are processors
// gain nothing.
const readers = 4

// sqlite is an embedded database in WAL mode: one connection writes, others read what was committed.
type sqlite struct {
	writeDB, readDB *sql.DB
	lock            *os.File
	group           *group
	writing         *prepared      // the group's connection
	readers         chan *prepared // the free ones
	closed          chan struct{}
	closeOnce       sync.Once
}

// openSQLite opens the file, which only its owner may read.
func openSQLite(ctx context.Context, path string, log *slog.Logger) (_ *sqlite, err error) {
	if path == "" {
		return nil, errors.New("the database URL names no file: use sqlite:PATH")
	}
	if path, err = filepath.Abs(path); err != nil {
		return nil, err
	}
	b := &sqlite{readers: make(chan *prepared, readers), closed: make(chan struct{})}
	defer func() {
		if err != nil {
			b.release()
		}
	}()
	if b.lock, err = lockFile(path + ".lock"); err != nil {
		return nil, err
	}
	// SQLite gives the files that it makes beside the database the database's mode.
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the database: %w", err)
	}
	if err := errors.Join(file.Chmod(0o600), file.Close()); err != nil {
		return nil, fmt.Errorf("open the database: %w", err)
	}

	// FULL makes every commit durable. Temporary structures stay in memory, also those of savepoints.
	name := (&url.URL{Scheme: "file", Path: path}).String() +
		"?_busy_timeout=10000&_journal_mode=WAL&_synchronous=FULL&_foreign_keys=1&_dqs=0" +
		"&_pragma=temp_store(MEMORY)&_pragma=cache_size(-32768)&_pragma=wal_autocheckpoint(4000)"
	if b.writeDB, err = sql.Open("sqlite", name); err != nil {
		return nil, err
	}
	b.writeDB.SetMaxOpenConns(1)
	if err := migrate(ctx, goose.DialectSQLite3, b.writeDB, log); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if b.readDB, err = sql.Open("sqlite", name+"&_query_only=1"); err != nil {
		return nil, err
	}
	for range readers {
		conn, err := b.readDB.Conn(ctx)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		b.readers <- newPrepared(conn)
	}
	conn, err := b.writeDB.Conn(ctx)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	b.writing = newPrepared(conn)
	b.group = newGroup(b.writing)
	return b, nil
}

// lockFile takes the lock that keeps a second process out. The lock ends with the process.
func lockFile(path string) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the database's lock: %w", err)
	}
	err = syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		err = fmt.Errorf("another process has the database open (it holds %s): "+
			"stop that one, or use another data directory", path)
	}
	if err != nil {
		file.Close()
		return nil, err
	}
	return file, nil
}

func (b *sqlite) update(ctx context.Context, fn func(*Tx) error) error { return b.group.do(ctx, fn) }

func (b *sqlite) view(ctx context.Context, fn func(*Tx) error) (err error) {
	select {
	case conn := <-b.readers:
		defer func() { b.readers <- conn }()
		if err := conn.exec("BEGIN"); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, conn.exec("ROLLBACK")) }()
		// A query takes microseconds. Watching the context meanwhile would cost more than it saves, and interrupting a
		// connection would lose all that it has prepared.
		return (&Tx{ctx: inside(ctx), run: conn}).attempt(fn)
	case <-b.closed:
		return errClosed
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (b *sqlite) close() (err error) {
	b.closeOnce.Do(func() {
		close(b.closed)
		b.group.close()
		for range readers {
			err = errors.Join(err, (<-b.readers).close()) // waits for the reading transactions
		}
		err = errors.Join(err, b.release())
	})
	return err
}

// release closes whatever is open, the writing connection last. When it closes, SQLite moves the contents of the
// write-ahead log (-wal) into the database's file, so that a copy of that file is complete.
func (b *sqlite) release() error {
	var errs []error
	if b.readDB != nil {
		errs = append(errs, b.readDB.Close())
	}
	if b.writing != nil {
		errs = append(errs, b.writing.close())
	}
	if b.writeDB != nil {
		errs = append(errs, b.writeDB.Close())
	}
	if b.lock != nil {
		errs = append(errs, b.lock.Close())
	}
	return errors.Join(errs...)
}
