package db

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
)

// maxGroup is the most transactions that share one commit.
const maxGroup = 256

// group owns the connection that writes to a SQLite database. It runs transactions one at a time and commits them in
// groups: while one group is being made durable, the next one gathers. So many clients share the cost of one flush to
// the disk, and a single client does not wait for others.
type group struct {
	queue chan *job
	done  chan struct{} // closed when the goroutine has ended

	mu     sync.RWMutex // held for reading while a job is added to the queue
	closed bool
}

// job is one transaction that waits to be run.
type job struct {
	ctx    context.Context // the transaction's own
	fn     func(*Tx) error
	state  atomic.Int32 // waiting, or what became of it
	result chan error   // receives one result, after the commit
}

// States of a job. Whoever moves it out of waiting decides whether it runs.
const (
	waiting int32 = iota
	taken         // it is run
	given         // its caller has gone; it is not run
)

func newGroup(conn *prepared) *group {
	g := &group{queue: make(chan *job, maxGroup), done: make(chan struct{})}
	go g.loop(conn)
	return g
}

// do runs fn in a transaction and returns when it is durable.
func (g *group) do(ctx context.Context, fn func(*Tx) error) error {
	j := &job{ctx: inside(ctx), fn: fn, result: make(chan error, 1)}
	if err := g.enqueue(ctx, j); err != nil {
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

func (g *group) enqueue(ctx context.Context, j *job) error {
	g.mu.RLock()
	defer g.mu.RUnlock()
	if g.closed {
		return errClosed
	}
	select {
	case g.queue <- j:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// close waits until the queue is empty.
func (g *group) close() {
	g.mu.Lock()
	if !g.closed {
		g.closed = true
		close(g.queue)
	}
	g.mu.Unlock()
	<-g.done
}

func (g *group) loop(conn *prepared) {
	over := false
	defer func() {
		if !over { // a job has ended the goroutine, as a failing test does (runtime.Goexit)
			go g.loop(conn)
			return
		}
		close(g.done)
	}()
	for first := range g.queue {
		jobs := []*job{first}
		for len(jobs) < maxGroup && len(g.queue) > 0 {
			if next, ok := <-g.queue; ok {
				jobs = append(jobs, next)
			}
		}
		commit(conn, jobs)
	}
	over = true
}

// commit runs a group of jobs and sends each its result.
func commit(conn *prepared, jobs []*job) {
	jobs = take(jobs)
	if len(jobs) == 0 {
		return
	}
	results := make([]error, len(jobs))
	err := errAbandoned
	defer func() {
		if err != nil {
			err = fmt.Errorf("commit to the database: %w", err)
			// After some errors SQLite has rolled back by itself. Then this fails, which does no harm.
			_ = conn.exec("ROLLBACK")
		}
		for i, j := range jobs {
			j.result <- cmp.Or(results[i], err)
		}
	}()
	err = run(conn, jobs, results)
}

var errAbandoned = errors.New("a transaction ended the goroutine that commits it")

// run runs the jobs in one transaction and commits it. It writes the jobs' own errors to results. If it returns an
// error, the whole group is rolled back.
func run(conn *prepared, jobs []*job, results []error) error {
	if err := conn.exec("BEGIN IMMEDIATE"); err != nil {
		return err
	}
	for i, j := range jobs {
		var err error
		if results[i], err = isolate(conn, j); err != nil {
			return err
		}
	}
	return conn.exec("COMMIT")
}

// take returns the jobs whose callers still wait.
func take(jobs []*job) []*job {
	kept := jobs[:0]
	for _, j := range jobs {
		if j.state.CompareAndSwap(waiting, taken) {
			kept = append(kept, j)
		}
	}
	return kept
}

// isolate runs a job within a savepoint, so that a job that fails is rolled back while the others of the group stay.
// failure is the job's error; err means that the whole group is lost.
func isolate(conn *prepared, j *job) (failure, err error) {
	if err := conn.exec("SAVEPOINT job"); err != nil {
		return nil, err
	}
	if failure = (&Tx{ctx: j.ctx, run: conn}).attempt(j.fn); failure != nil {
		if err := conn.exec("ROLLBACK TO job"); err != nil {
			return failure, err
		}
	}
	return failure, conn.exec("RELEASE job")
}
