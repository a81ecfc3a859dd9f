package gate

import (
	"context"
	"fmt"
	"runtime/debug"
	"slices"

	"github.com/sallyport/sallyport/internal/db"
	"github.com/sallyport/sallyport/internal/trail"
)

// Tx is a write: the proof that it was allowed, and the transaction that commits it together with its event. Only
// the gate makes one. Every domain method that writes takes one and begins with Check.
//
// What a method does to a Tx may be done again: a transaction that lost to another one is run once more, with a new
// Tx.
type Tx struct {
	Pass
	*db.Tx
	response  map[string]any
	resources []trail.Resource
	amend     func(*trail.Event)
	silent    bool
	after     []func(context.Context) error
	undo      []func(*Tx) error
	finally   []func()
}

// Check returns ErrNoPass for the zero Tx, and for none.
func (t *Tx) Check() error {
	if t == nil || t.Tx == nil {
		return ErrNoPass
	}
	return t.Pass.Check()
}

// Touch adds resources to those that the event names: what the call made, and could not be asked about before.
func (t *Tx) Touch(resources ...trail.Resource) { t.resources = append(t.resources, resources...) }

// Respond sets the event's responseElements. They hold no secret.
func (t *Tx) Respond(response map[string]any) { t.response = response }

// Amend changes the event of what a host or the deployment does by itself. It panics in an API call, whose event is
// not the operation's to change.
func (t *Tx) Amend(change func(*trail.Event)) {
	t.ofOurOwn("amend")
	t.amend = change
}

// Silence makes the write of a host or of the deployment itself leave no event: it changed nothing that anybody asks
// about. It panics in an API call, which always leaves one.
func (t *Tx) Silence() {
	t.ofOurOwn("silence")
	t.silent = true
}

func (t *Tx) ofOurOwn(verb string) {
	if t.call.kind != trail.AwsServiceEvent {
		panic("gate: an operation may not " + verb + " the event of its call")
	}
}

// After registers what follows the commit: to deliver what was written, to wake who waits for it. It runs before the
// caller is answered. If it fails, the call fails, and Record makes its event say so. The context does not end with the
// caller's.
func (t *Tx) After(fn func(ctx context.Context) error) { t.after = append(t.after, fn) }

// Undo registers what takes the write back, in another transaction, if the call fails although this one may have been
// committed: an After failed, or the database did not answer. It may find nothing to take back.
func (t *Tx) Undo(fn func(*Tx) error) { t.undo = append(t.undo, fn) }

// Finally registers what is done when the transaction is over, whatever became of it: to forget what was read before.
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
	return trail.Append(t.Tx, event)
}

// Write runs fn in a transaction and commits the call's event with it. When it returns nil, both are durable, and what
// fn registered with After is done. After any error the call has failed. Nothing of it lasts then, unless the database
// did not say whether it committed and there is no Undo. A Pass whose event was committed is refused: the second write
// would have none of its own.
func (g *Gate) Write(ctx context.Context, pass Pass, fn func(*Tx) error) error {
	if err := pass.Check(); err != nil {
		return err
	}
	if pass.call.recorded {
		return fmt.Errorf("gate: the call %s has written already, and its event with it", pass.call.call.Name)
	}
	var last *Tx
	var finally []func()
	done := false // all but the commit
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
	for _, f := range finally {
		f()
	}
	ctx = context.WithoutCancel(ctx)
	switch {
	case err == nil:
		pass.call.recorded = !last.silent
		err = last.follow(ctx)
	case !done:
		return err
	}
	if err != nil {
		return g.takeBack(ctx, last.undo, err)
	}
	return nil
}

// follow does what follows the commit. A panic is a failure as any other: what was committed must not stand.
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

// takeBack undoes what a write that failed may have left, the latest first, and returns its error.
func (g *Gate) takeBack(ctx context.Context, undos []func(*Tx) error, failure error) error {
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
	return failure
}

// Maintain runs fn in a transaction that leaves no event: what keeps the house without anybody asking for it, such as
// to forget what is over.
func (g *Gate) Maintain(ctx context.Context, fn func(*Tx) error) error {
	return g.Write(ctx, g.Self(Call{}), func(tx *Tx) error {
		tx.Silence()
		return fn(tx)
	})
}
