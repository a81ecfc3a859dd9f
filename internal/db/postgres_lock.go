package db

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

const (
	// lockKey is the key of the advisory lock of the control plane that has the database open. Advisory locks belong to
	// one database of a cluster.
	lockKey int64 = 0x73616c6c79706f72 // "sallypor"

	// lockPatience is how long opening waits for the lock: PostgreSQL needs a moment to notice that a process was
	// killed.
	lockPatience = 2 * time.Second
	// lockCheck is how often a silent connection is tested, and how long it may take to answer.
	lockCheck = 5 * time.Second
	// connectTime bounds one attempt to connect to a server, and connectRetry is the pause between two.
	connectTime  = 30 * time.Second
	connectRetry = time.Second
	// connectReport is how often the log says that the control plane still waits for the server.
	connectReport = 30 * time.Second
	// lockRetry is the pause between attempts to take the lock again.
	lockRetry = 100 * time.Millisecond
)

var (
	errInUse    = errors.New("another control plane has the database open: stop that one, or use another database")
	errLockLost = errors.New("the connection that keeps other control planes off the database is lost; " +
		"it is being made again")
)

// soleLock keeps a second control plane out of the database, since iam caches what it has read and would not see the
// other's changes. It is an advisory lock of PostgreSQL, which ends with the connection that took it, and a row that
// says who took it last: a holder that lost its connection continues only if nobody had the lock meanwhile.
//
// One window remains. The holder notices that its connection is lost when the network reports it, usually at once and
// after two lockChecks at the latest. Another control plane that starts in this time finds the lock free. What the
// first one still answers or commits then is based on what it had cached; once it has noticed, it does nothing more.
type soleLock struct {
	config *pgx.ConnConfig
	log    *slog.Logger
	owner  string // the row's value while this process holds the lock
	conn   *pgx.Conn
	closed atomic.Pointer[error] // why nothing may be read or written; nil while the lock is held

	stop    context.CancelFunc
	stopped sync.WaitGroup
}

// takeLock takes the lock, or returns an error if another process has it. Call claim once the schema exists.
func takeLock(ctx context.Context, url string, log *slog.Logger) (*soleLock, error) {
	config, err := pgx.ParseConfig(url)
	if err != nil {
		return nil, err
	}
	l := &soleLock{config: config, log: log}
	if err := l.reach(ctx); err != nil {
		return nil, err
	}
	for begun := time.Now(); ; {
		taken, err := l.try(ctx)
		switch {
		case err != nil:
			return nil, err
		case taken:
			return l, nil
		}
		l.conn.Close(ctx)
		if time.Since(begun) >= lockPatience {
			return nil, errInUse
		}
		if err := pause(ctx, lockRetry); err != nil {
			return nil, err
		}
	}
}

// reach waits until PostgreSQL accepts connections: after a boot, or during an upgrade, the control plane may be up
// first. It logs that it waits, and ends with the context, or with an error that waiting does not solve, such as a
// wrong password or no such database.
func (l *soleLock) reach(ctx context.Context) error {
	for said := (time.Time{}); ; {
		err := l.connect(ctx)
		switch {
		case err == nil && !said.IsZero():
			l.log.Info("PostgreSQL answers")
			return nil
		case ctx.Err() != nil && err != nil:
			return fmt.Errorf("interrupted while waiting for PostgreSQL: %w", err)
		case err == nil || !mayPass(err):
			return err
		}
		if time.Since(said) >= connectReport {
			said = time.Now()
			l.log.Warn("PostgreSQL does not take connections; waiting for it",
				"host", l.config.Host, "port", l.config.Port, "error", err)
		}
		if pause(ctx, connectRetry) != nil {
			return fmt.Errorf("interrupted while waiting for PostgreSQL: %w", err)
		}
	}
}

// connect opens a connection and closes it.
func (l *soleLock) connect(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, connectTime)
	defer cancel()
	conn, err := pgx.ConnectConfig(ctx, l.config)
	if err != nil {
		return err
	}
	return conn.Close(ctx)
}

// mayPass reports whether a connection failed for a temporary reason: the network, or a server that starts, stops or is
// full (PostgreSQL's error codes, classes 57P and 53).
func mayPass(err error) bool {
	var refused *pgconn.PgError
	if errors.As(err, &refused) {
		return strings.HasPrefix(refused.Code, "57P") || strings.HasPrefix(refused.Code, "53")
	}
	var network net.Error
	return errors.As(err, &network) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
}

// try opens a new connection and takes the lock on it, unless another process has it. The caller closes the connection
// if it does not need it.
func (l *soleLock) try(ctx context.Context) (taken bool, err error) {
	conn, err := pgx.ConnectConfig(ctx, l.config)
	if err != nil {
		return false, err
	}
	l.conn = conn
	// A machine that vanished must not hold the lock for the two hours that are TCP's default.
	_, err = conn.Exec(ctx, `SET tcp_keepalives_idle = 10; SET tcp_keepalives_interval = 5; SET tcp_keepalives_count = 3`)
	if err == nil {
		err = conn.QueryRow(ctx, `SELECT pg_try_advisory_lock($1)`, lockKey).Scan(&taken)
	}
	if err != nil {
		conn.Close(ctx)
	}
	return taken, err
}

// claim records on the lock's connection that this process has the lock, and starts watching the connection.
func (l *soleLock) claim(ctx context.Context) error {
	err := l.conn.QueryRow(ctx, `
		INSERT INTO meta (key, value) VALUES ('server', gen_random_uuid()::text)
		ON CONFLICT (key) DO UPDATE SET value = excluded.value RETURNING value`).Scan(&l.owner)
	if err != nil {
		return fmt.Errorf("claim the database: %w", err)
	}
	ctx, l.stop = context.WithCancel(context.WithoutCancel(ctx))
	l.stopped.Go(func() { l.keep(ctx) })
	return nil
}

// check returns why the database may not be read or written; nil while the lock is held, as far as is known.
func (l *soleLock) check() error {
	if reason := l.closed.Load(); reason != nil {
		return *reason
	}
	return nil
}

// keep holds the lock until the context ends, or until another process has had it.
func (l *soleLock) keep(ctx context.Context) {
	for {
		lost := l.watch(ctx)
		if ctx.Err() != nil {
			return
		}
		l.closed.Store(&errLockLost)
		l.log.Error("the connection that keeps other control planes off the database is lost; "+
			"nothing is read or written until it is made again", "error", lost)
		if err := l.again(ctx); err != nil {
			if ctx.Err() == nil {
				l.closed.Store(&err)
				l.log.Error("the database is closed", "error", err)
			}
			return
		}
		l.closed.Store(nil)
		l.log.Info("no other control plane had the database meanwhile; it is open again")
	}
}

// watch returns when the connection is lost or the context has ended.
func (l *soleLock) watch(ctx context.Context) error {
	for {
		waiting, cancel := context.WithTimeout(ctx, lockCheck)
		_, err := l.conn.WaitForNotification(waiting) // there are no notifications: this waits for the connection's end
		timeout := waiting.Err() != nil
		cancel()
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if timeout {
			waiting, cancel = context.WithTimeout(ctx, lockCheck)
			err = l.conn.Ping(waiting)
			cancel()
		}
		if err != nil {
			return err
		}
	}
}

// again takes the lock again. It fails if the context ends or another process had the lock meanwhile. It keeps trying
// until PostgreSQL answers and no longer takes this process's lost connection for alive.
func (l *soleLock) again(ctx context.Context) error {
	l.conn.Close(ctx)
	for {
		taken, owner, err := l.retry(ctx)
		switch {
		case err == nil && owner != l.owner:
			return fmt.Errorf("the connection to the database was lost for a while, and %w; then start this one again", errInUse)
		case err == nil && taken:
			return nil
		}
		if err := pause(ctx, lockRetry); err != nil {
			return err
		}
	}
}

// retry tries to take the lock and returns who claimed the database last.
func (l *soleLock) retry(ctx context.Context) (taken bool, owner string, err error) {
	ctx, cancel := context.WithTimeout(ctx, 2*lockCheck)
	defer cancel()
	if taken, err = l.try(ctx); err != nil {
		return false, "", err
	}
	// FOR UPDATE fails on a standby, which has locks of its own.
	err = l.conn.QueryRow(ctx, `SELECT value FROM meta WHERE key = 'server' FOR UPDATE`).Scan(&owner)
	if err != nil || !taken || owner != l.owner {
		l.conn.Close(ctx)
	}
	return taken, owner, err
}

// release releases the database for other processes.
func (l *soleLock) release() error {
	if l.stop != nil {
		l.stop()
		l.stopped.Wait()
	}
	return l.conn.Close(context.Background())
}

// pause waits for the duration.
func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
