package store

import (
	"context"
	"database/sql"
	"errors"
)

// session is a connection, within a transaction or not, on which statements run one after another.
type session struct {
	ctx context.Context // ends with the session's transaction, as that of a sql.Tx does
	run runner
}

// runner is what *sql.Tx, *sql.Conn, *sql.DB and prepared have in common.
type runner interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// exec runs a statement and returns how many rows it changed.
func (s *session) exec(query string, args ...any) (int64, error) {
	result, err := s.run.ExecContext(s.ctx, query, args...)
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

// row runs a query of which the first row is wanted; its Scan says sql.ErrNoRows if there is none.
func (s *session) row(query string, args ...any) *sql.Row {
	return s.run.QueryRowContext(s.ctx, query, args...)
}

// each runs a query and calls fn for every row.
func (s *session) each(fn func(scanner) error, query string, args ...any) error {
	rows, err := s.run.QueryContext(s.ctx, query, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := fn(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// scanner is a row: *sql.Row or *sql.Rows.
type scanner interface{ Scan(dest ...any) error }

// collect runs a query and returns what scan makes of its rows.
func collect[T any](s *session, scan func(scanner) (T, error), query string, args ...any) ([]T, error) {
	var all []T
	err := s.each(func(row scanner) error {
		one, err := scan(row)
		all = append(all, one)
		return err
	}, query, args...)
	return all, err
}

// get reads one thing outside a transaction. Statements of one fn may see the database before and after others' writes: what
// fn makes of two must be right all the same. To find a user, group or policy and then what hangs on it is, if it cannot be
// deleted before that is gone: nothing is then the truth of the moment between.
func get[T any](ctx context.Context, s *Store, fn func(*session) (T, error)) (T, error) {
	var found T
	err := s.read(ctx, func(conn *session) (err error) {
		found, err = fn(conn)
		return err
	})
	if err != nil {
		var zero T
		return zero, err
	}
	return found, nil
}

// prepared is a connection that prepares every statement once. The store's statements are constants, or
// composed from few parts, so their number is bounded. It belongs to one goroutine at a time.
type prepared struct {
	*sql.Conn
	statements map[string]*sql.Stmt
}

func newPrepared(conn *sql.Conn) *prepared {
	return &prepared{Conn: conn, statements: map[string]*sql.Stmt{}}
}

// close ends the connection: closing the database it is of would leave it open.
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
