package store

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
)

// maxGroup bounds how many transactions share one commit.
const maxGroup = 256

// writer owns the connection that writes to a SQLite database. It runs transactions one at a time and commits
// in groups: while one group is being made durable the next gathers, so that many clients share the cost of
// one flush to the disk and a single client waits for nobody.
type writer struct {
	queue chan *job
	done  chan struct{} // closed when the goroutine has ended

	mu     sync.RWMutex // held for reading while a job is put in the queue
	closed bool
}

// job is one transaction that waits its turn.
type job struct {
	fn     func(*session) error
	state  atomic.Int32 // waiting, or what became of it
	result chan error   // receives once, after the commit
}

// The states of a job. Whoever moves it out of waiting decides its fate.
const (
	waiting int32 = iota
	taken         // the writer runs it
	given         // its caller has gone; it will not run
)

func newWriter(conn *prepared) *writer {
	w := &writer{queue: make(chan *job, maxGroup), done: make(chan struct{})}
	go w.loop(conn)
	return w
}

// do runs fn in a transaction and returns when it is durable.
func (w *writer) do(ctx context.Context, fn func(*session) error) error {
	j := &job{fn: fn, result: make(chan error, 1)}
	if err := w.enqueue(ctx, j); err != nil {
		return err
	}
	select {
	case err := <-j.result:
		return err
	case <-ctx.Done():
		if j.state.CompareAndSwap(waiting, given) {
			return ctx.Err()
		}
		return <-j.result
	}
}

func (w *writer) enqueue(ctx context.Context, j *job) error {
	w.mu.RLock()
	defer w.mu.RUnlock()
	if w.closed {
		return errClosed
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case w.queue <- j:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// close lets what is queued finish.
func (w *writer) close() {
	w.mu.Lock()
	if !w.closed {
		w.closed = true
		close(w.queue)
	}
	w.mu.Unlock()
	<-w.done
}

func (w *writer) loop(conn *prepared) {
	defer close(w.done)
	s := &session{ctx: context.Background(), run: conn}
	for first := range w.queue {
		group := []*job{first}
		for len(group) < maxGroup && len(w.queue) > 0 {
			if next, ok := <-w.queue; ok {
				group = append(group, next)
			}
		}
		commit(s, group)
	}
}

// commit runs a group and answers each of its jobs.
func commit(s *session, group []*job) {
	group = take(group)
	if len(group) == 0 {
		return
	}
	results := make([]error, len(group))
	err := func() error {
		if _, err := s.exec("BEGIN IMMEDIATE"); err != nil {
			return err
		}
		for i, j := range group {
			var err error
			if results[i], err = isolate(s, j.fn); err != nil {
				return err
			}
		}
		_, err := s.exec("COMMIT")
		return err
	}()
	if err != nil {
		err = fmt.Errorf("commit to the database: %w", err)
		// SQLite has rolled back by itself after some errors; then this one fails and nothing is lost.
		_, _ = s.exec("ROLLBACK")
	}
	for i, j := range group {
		if results[i] == nil {
			results[i] = err
		}
		j.result <- results[i]
	}
}

// take keeps the jobs whose callers still wait.
func take(group []*job) []*job {
	kept := group[:0]
	for _, j := range group {
		if j.state.CompareAndSwap(waiting, taken) {
			kept = append(kept, j)
		}
	}
	return kept
}

// isolate runs fn within a savepoint, so that if it fails nothing of it remains while the others of the group
// live on. failure is fn's error; err means that the whole transaction is lost.
func isolate(s *session, fn func(*session) error) (failure, err error) {
	if _, err := s.exec("SAVEPOINT job"); err != nil {
		return nil, err
	}
	if failure = attempt(s, fn); failure != nil {
		if _, err := s.exec("ROLLBACK TO job"); err != nil {
			return failure, err
		}
	}
	_, err = s.exec("RELEASE job")
	return failure, err
}

// attempt turns a panic into an error: one request's bug must not end the goroutine everybody writes through.
func attempt(s *session, fn func(*session) error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = errors.Join(fmt.Errorf("store: panic in a transaction: %v", p), err)
		}
	}()
	return fn(s)
}
