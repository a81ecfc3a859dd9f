package gate

import (
	"context"
	"fmt"
	"runtime/debug"
	"slices"

	"github.com/sallyport/sallyport/internal/db"
	"github.com/sallyport/sallyport/internal/trail"
)

// Tx is a write: the proof that it was allowed, and the transaction that commits it together with its event. Only the
// gate makes one. Every domain method that writes takes one and begins with Check.
//
// A write may be run more than once: a transaction that lost to another one is run again, with a new Tx.
type Tx struct {
	Pass
	*db.Tx
	response  map[string]any
	resources []trail.Resource
	amend     func(*trail.Event)
	silent    bool
	event     trail.Event // that record wrote
	after     []func(context.Context) error
	undo      []func(*Tx) error
	finally   []func()
}

// Check returns ErrNoPass for the zero Tx and for nil.
func (t *Tx) Check() error {
	if t == nil || t.Tx == nil {
		return ErrNoPass
	}
	return t.Pass.Check()
}

// Touch adds resources to the event: those that the call made, about which no policy could be asked before.
func (t *Tx) Touch(resources ...trail.Resource) { t.resources = append(t.resources, resources...) }

// Respond sets the event's responseElements. They must not contain a secret.
func (t *Tx) Respond(response map[string]any) { t.response = response }

// Amend changes the event of what a host or the deployment does by itself. It panics in an API call, whose event an
// operation must not change.
func (t *Tx) Amend(change func(*trail.Event)) {
	t.ofOurOwn("amend")
	t.amend = change
}

// Silence suppresses the event of a write of a host or of the deployment that changed nothing of interest. It panics in
// an API call, which always leaves an event.
func (t *Tx) Silence() {
	t.ofOurOwn("silence")
	t.silent = true
}

func (t *Tx) ofOurOwn(verb string) {
	if t.call.kind != trail.AwsServiceEvent {
		panic("gate: an operation may not " + verb + " the event of its call")
	}
}

// After registers a function to run after the commit, such as to deliver what was written. It runs before the caller is
// answered. If it fails, the call fails, and Record makes its event say so. Its context does not end with the caller's.
func (t *Tx) After(fn func(ctx context.Context) error) { t.after = append(t.after, fn) }

// Undo registers a function that takes the write back, in another transaction, if the call fails although this
// transaction may have been committed: an After failed, or the database did not answer. There may be nothing to take
// back.
func (t *Tx) Undo(fn func(*Tx) error) { t.undo = append(t.undo, fn) }

// Finally registers a function to run when the transaction has ended, successfully or not, such as to empty a cache.
func (t *Tx) Finally(fn func()) { t.finally = append(t.finally, fn) }

// record writes the event into the transaction.
func (t *Tx) record() error {
	if t.silent {
		return nil
	}
	event := t.call.event()
	event.Response = t.response
	for _, r := range t.resources {
		r.AccountID = t.call.account
		event.Resources = append(event.Resources, r)
	}
	if t.amend != nil {
		t.amend(&event)
	}
	t.event = event
	return trail.Append(t.Tx, event)
}

// Write runs fn in a transaction and commits the call's event with it. When it returns nil, both are durable, and the
// functions that fn registered with After have run. After an error the call has failed, and nothing of it remains.
// Write refuses a Pass whose event was committed: a second write would have no event.
func (g *Gate) Write(ctx context.Context, pass Pass, fn func(*Tx) error) error {
	if err := pass.Check(); err != nil {
		return err
	}
	if pass.call.recorded {
		return fmt.Errorf("gate: the call %s has written already, and its event with it", pass.call.call.Name)
	}
	var last *Tx
	var finally []func()
	done := false // everything but the commit
	err := g.writer.Update(ctx, func(inner *db.Tx) error {
		tx := &Tx{Pass: pass, Tx: inner}
		last, done = tx, false
		defer func() { finally = append(finally, tx.finally...) }()
		if err := fn(tx); err != nil {
			return err
		}
		err := tx.record()
		done = err == nil
		return err
	})
	ctx = context.WithoutCancel(ctx)
	if err != nil && done && !last.silent {
		err = g.settle(ctx, last.event, err)
	}
	for _, f := range finally {
		f()
	}
	switch {
	case err == nil:
		pass.call.recorded = !last.silent
		err = last.follow(ctx)
	case !done:
		return err
	}
	if err != nil {
		return g.takeBack(ctx, pass, last.undo, err)
	}
	return nil
}

// settle finds out whether a commit that failed was made all the same, and only its answer was lost. The event that was
// committed with it tells. settle returns nil if it was made, and failure if it was not or the database does not say.
func (g *Gate) settle(ctx context.Context, event trail.Event, failure error) error {
	var committed bool
	err := g.writer.Update(ctx, func(tx *db.Tx) (err error) {
		committed, err = trail.Settle(tx, event)
		return err
	})
	if err == nil && committed {
		return nil
	}
	return failure
}

// follow runs the After functions. A panic is a failure like any other: the committed write must be taken back.
func (t *Tx) follow(ctx context.Context) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("gate: panic after a commit: %v\n%s", p, debug.Stack())
		}
	}()
	for _, fn := range t.after {
		if err := fn(ctx); err != nil {
			return err
		}
	}
	return nil
}

// takeBack runs the Undo functions of a write that failed, the latest first, and returns the failure.
func (g *Gate) takeBack(ctx context.Context, pass Pass, undos []func(*Tx) error, failure error) error {
	if len(undos) == 0 {
		return failure
	}
	err := g.Maintain(ctx, func(tx *Tx) error {
		for _, undo := range slices.Backward(undos) {
			if err := undo(tx); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("take back what failed (%v): %w", failure, err)
	}
	pass.call.recorded = true
	return failure
}

// Maintain runs fn in a transaction without an event, for background work such as deleting expired data.
func (g *Gate) Maintain(ctx context.Context, fn func(*Tx) error) error {
	return g.Write(ctx, g.Self(Call{}), func(tx *Tx) error {
		tx.Silence()
		return fn(tx)
	})
}
