package db

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"runtime/debug"
)

// Tx is a transaction, in which statements run one after another. It belongs to the goroutine that its function runs
// on, and ends when that function returns. Every statement of an ended Tx, or of the zero Tx, fails.
type Tx struct {
	ctx     context.Context
	run     runner // nil when the transaction has ended
	reading bool   // rows of a query are being read
	failed  error  // of the first statement that failed; then nothing is committed
}

var (
	errOver    = errors.New("db: a statement after its transaction was over")
	errReading = errors.New("db: a statement while another one's rows are being read: collect them first")
	errNested  = errors.New("db: a transaction within another one would wait for itself: use the one that is there")
)

// within marks the context of a transaction, so that no other transaction begins in it.
type within struct{}

// inside returns the context of a transaction, which does not end before the transaction.
func inside(ctx context.Context) context.Context {
	return context.WithValue(context.WithoutCancel(ctx), within{}, true)
}

// begin returns an error if the context has ended, or is a transaction's.
func begin(ctx context.Context) error {
	if ctx.Value(within{}) != nil {
		return errNested
	}
	return ctx.Err()
}

// runner has the methods that *sql.Tx and prepared share.
type runner interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// ErrNoRows is returned by Row.Scan if there is no row.
var ErrNoRows = sql.ErrNoRows

// Context returns the transaction's context. It does not end before the transaction does, and no other transaction
// begins in it.
func (t *Tx) Context() context.Context { return t.ctx }

// ready returns why no statement can run now, or nil.
func (t *Tx) ready() error {
	switch {
	case t.run == nil:
		return errOver
	case t.reading:
		return t.note(errReading)
	}
	return nil
}

// note records the first failure, and returns err.
func (t *Tx) note(err error) error {
	if err != nil && t.failed == nil && !errors.Is(err, ErrNoRows) {
		t.failed = err
	}
	return err
}

// Exec runs a statement and returns how many rows it changed.
func (t *Tx) Exec(query string, args ...any) (int64, error) {
	if err := t.ready(); err != nil {
		return 0, err
	}
	result, err := t.run.ExecContext(t.ctx, query, args...)
	if err != nil {
		return 0, t.note(err)
	}
	changed, err := result.RowsAffected()
	return changed, t.note(err)
}

// Scanner is one row of a query.
type Scanner interface{ Scan(dest ...any) error }

// Row is a query of which only the first row is read. Scan runs it.
type Row struct {
	tx    *Tx
	query string
	args  []any
}

// Row returns the query as a Row.
func (t *Tx) Row(query string, args ...any) Row { return Row{t, query, args} }

// Scan implements Scanner. It returns ErrNoRows if the query has no row.
func (r Row) Scan(dest ...any) error {
	if err := r.tx.ready(); err != nil {
		return err
	}
	return r.tx.note(r.tx.run.QueryRowContext(r.tx.ctx, r.query, r.args...).Scan(dest...))
}

// current is the row that Each passes to its function.
type current struct {
	tx   *Tx
	rows *sql.Rows
}

// Scan implements Scanner.
func (c current) Scan(dest ...any) error { return c.tx.note(c.rows.Scan(dest...)) }

// Each runs a query and calls fn for every row. fn must not run statements, which PostgreSQL would refuse.
func (t *Tx) Each(fn func(Scanner) error, query string, args ...any) error {
	if err := t.ready(); err != nil {
		return err
	}
	rows, err := t.run.QueryContext(t.ctx, query, args...)
	if err != nil {
		return t.note(err)
	}
	t.reading = true
	defer func() {
		t.reading = false
		rows.Close()
	}()
	for rows.Next() {
		if err := fn(current{t, rows}); err != nil {
			return err
		}
	}
	return t.note(rows.Err())
}

// Collect runs a query and returns what scan returns for its rows.
func Collect[T any](t *Tx, scan func(Scanner) (T, error), query string, args ...any) ([]T, error) {
	var all []T
	err := t.Each(func(row Scanner) error {
		one, err := scan(row)
		all = append(all, one)
		return err
	}, query, args...)
	return all, err
}

// One runs a query and returns what scan returns for its first row. The error is absent if there is no row.
func One[T any](t *Tx, absent error, scan func(Scanner) (T, error), query string, args ...any) (T, error) {
	found, err := scan(t.Row(query, args...))
	if errors.Is(err, ErrNoRows) {
		err = absent
	}
	return found, err
}

// Exists reports whether the query has a row. The query must select a number.
func (t *Tx) Exists(query string, args ...any) (bool, error) {
	var one int
	err := t.Row(query, args...).Scan(&one)
	if errors.Is(err, ErrNoRows) {
		return false, nil
	}
	return err == nil, err
}

// Change runs a statement that changes one row. The error is absent if it changed none.
func (t *Tx) Change(absent error, query string, args ...any) error {
	changed, err := t.Exec(query, args...)
	if err == nil && changed == 0 {
		err = absent
	}
	return err
}

// attempt runs fn in the transaction. It turns a panic into an error: a mistake in one request must not end the
// goroutine through which all write.
func (t *Tx) attempt(fn func(*Tx) error) (err error) {
	defer func() {
		t.run = nil
		if p := recover(); p != nil {
			err = fmt.Errorf("db: panic in a transaction: %v\n%s", p, debug.Stack())
		}
	}()
	err = fn(t)
	if t.failed != nil && !errors.Is(err, t.failed) { // t.failed decides whether the transaction is run again
		return errors.Join(err, fmt.Errorf("db: a statement failed, and so the transaction: %w", t.failed))
	}
	return err
}

// prepared is a connection that prepares every statement once. Statements are constants, or composed of a few parts, so
// their number is bounded. It belongs to one goroutine at a time.
type prepared struct {
	*sql.Conn
	statements map[string]*sql.Stmt
}

func newPrepared(conn *sql.Conn) *prepared {
	return &prepared{Conn: conn, statements: map[string]*sql.Stmt{}}
}

// close closes the connection. Closing the database alone would leave it open.
func (p *prepared) close() error {
	var errs []error
	for _, statement := range p.statements {
		errs = append(errs, statement.Close())
	}
	return errors.Join(append(errs, p.Conn.Close())...)
}

func (p *prepared) statement(ctx context.Context, query string) (*sql.Stmt, error) {
	if statement, ok := p.statements[query]; ok {
		return statement, nil
	}
	statement, err := p.Conn.PrepareContext(ctx, query)
	if err == nil {
		p.statements[query] = statement
	}
	return statement, err
}

// exec runs a statement without parameters and without a result, such as BEGIN.
func (p *prepared) exec(query string) error {
	_, err := p.ExecContext(context.Background(), query)
	return err
}

// ExecContext implements runner.
func (p *prepared) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	statement, err := p.statement(ctx, query)
	if err != nil {
		return nil, err
	}
	return statement.ExecContext(ctx, args...)
}

// QueryContext implements runner.
func (p *prepared) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	statement, err := p.statement(ctx, query)
	if err != nil {
		return nil, err
	}
	return statement.QueryContext(ctx, args...)
}

// QueryRowContext implements runner.
func (p *prepared) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	statement, err := p.statement(ctx, query)
	if err != nil {
		return p.Conn.QueryRowContext(ctx, query, args...) // fails in the same way, and returns the error
	}
	return statement.QueryRowContext(ctx, args...)
}
