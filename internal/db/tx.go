package db

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"runtime/debug"
)

// Tx is a transaction, in which statements run one after another. It belongs to the goroutine that its function
// runs on, and is over when that function returns: then, as in the zero Tx, every statement fails.
type Tx struct {
	ctx     context.Context
	run     runner // nil when it is over
	reading bool   // rows of a query are being read
	failed  error  // of the first statement that failed: nothing is committed any more
}

var (
	errOver    = errors.New("db: a statement after its transaction was over")
	errReading = errors.New("db: a statement while another one's rows are being read: collect them first")
	errNested  = errors.New("db: a transaction within another one would wait for itself: use the one that is there")
)

// within marks the context of a transaction, so that no other one begins in it.
type within struct{}

// inside returns the transaction's own context, which does not end before it.
func inside(ctx context.Context) context.Context {
	return context.WithValue(context.WithoutCancel(ctx), within{}, true)
}

// begin refuses a transaction for a caller who has gone, and one within another.
func begin(ctx context.Context) error {
	if ctx.Value(within{}) != nil {
		return errNested
	}
	return ctx.Err()
}

// runner is what *sql.Tx and prepared have in common.
type runner interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// ErrNoRows is the error of a Row's Scan if there is no row.
var ErrNoRows = sql.ErrNoRows

// Context is the transaction's. It does not end before the transaction does, and no other transaction begins in it.
func (t *Tx) Context() context.Context { return t.ctx }

// ready tells why no statement can run now.
func (t *Tx) ready() error {
	switch {
	case t.run == nil:
		return errOver
	case t.reading:
		return t.note(errReading)
	}
	return nil
}

// note remembers the first failure.
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

// Scanner is a row of a query.
type Scanner interface{ Scan(dest ...any) error }

// Row is a query of which the first row is wanted. It runs when it is scanned.
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

// current is the row that Each is at.
type current struct {
	tx   *Tx
	rows *sql.Rows
}

// Scan implements Scanner.
func (c current) Scan(dest ...any) error { return c.tx.note(c.rows.Scan(dest...)) }

// Each runs a query and calls fn for every row. fn runs no statement: PostgreSQL would refuse it.
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

// Collect runs a query and returns what scan makes of its rows.
func Collect[T any](t *Tx, scan func(Scanner) (T, error), query string, args ...any) ([]T, error) {
	var all []T
	err := t.Each(func(row Scanner) error {
		one, err := scan(row)
		all = append(all, one)
		return err
	}, query, args...)
	return all, err
}

// One runs a query and returns what scan makes of its first row, or absent if there is none.
func One[T any](t *Tx, absent error, scan func(Scanner) (T, error), query string, args ...any) (T, error) {
	found, err := scan(t.Row(query, args...))
	if errors.Is(err, ErrNoRows) {
		err = absent
	}
	return found, err
}

// Exists reports whether the query has a row. It selects a number.
func (t *Tx) Exists(query string, args ...any) (bool, error) {
	var one int
	err := t.Row(query, args...).Scan(&one)
	if errors.Is(err, ErrNoRows) {
		return false, nil
	}
	return err == nil, err
}

// Change runs a statement that changes one row, or returns absent if there was none to change.
func (t *Tx) Change(absent error, query string, args ...any) error {
	changed, err := t.Exec(query, args...)
	if err == nil && changed == 0 {
		err = absent
	}
	return err
}

// attempt runs fn in the transaction. A panic becomes an error: one request's mistake must not end the goroutine
// that everybody writes through.
func (t *Tx) attempt(fn func(*Tx) error) (err error) {
	defer func() {
		t.run = nil
		if p := recover(); p != nil {
			err = fmt.Errorf("db: panic in a transaction: %v\n%s", p, debug.Stack())
		}
	}()
	err = fn(t)
	if t.failed != nil && !errors.Is(err, t.failed) { // it decides whether the transaction is run again
		return errors.Join(err, fmt.Errorf("db: a statement failed, and so the transaction: %w", t.failed))
	}
	return err
}

// prepared is a connection that prepares every statement once. Statements are constants, or composed of few parts,
// so that their number is bounded. It belongs to one goroutine at a time.
type prepared struct {
	*sql.Conn
	statements map[string]*sql.Stmt
}

func newPrepared(conn *sql.Conn) *prepared {
	return &prepared{Conn: conn, statements: map[string]*sql.Stmt{}}
}

// close ends the connection. Closing the database alone would leave it open.
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

// exec runs a statement without parameters and without a result: BEGIN and the like.
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
		return p.Conn.QueryRowContext(ctx, query, args...) // fails in the same way, and says so
	}
	return statement.QueryRowContext(ctx, args...)
}
