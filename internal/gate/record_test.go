package gate_test

import (
	"sync"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/db"
	"github.com/sallyport/sallyport/internal/fault"
	"github.com/sallyport/sallyport/internal/gate"
	"github.com/sallyport/sallyport/internal/trail"
)

func TestOneEventACall(t *testing.T) {
	w := newWorld(t, allowDebian)
	pass := w.pass()
	if err := w.Record(t.Context(), pass.Identity(), push("debian"), pass, nil); err != nil || w.only().ErrorCode != "" {
		t.Fatalf("a call that read: %v", err)
	}
	mina := w.login("AKIAX").Identity()
	denied := &gate.Failure{Code: "AuthException", Message: "no"}
	if err := w.Record(t.Context(), mina, push("root"), gate.Pass{}, denied); err != nil {
		t.Fatal(err)
	}
	e := w.events()[1]
	if e.Identity.UserName != "mina" || e.ErrorCode != "AuthException" || e.SourceIP != "192.0.2.7" ||
		len(e.Resources) != 1 || e.Resources[0].Name() != "i-0123456789abcdef0" {
		t.Errorf("a denied call: %+v", e)
	}
	err := w.writer.Update(t.Context(), func(tx *db.Tx) error {
		_, err := tx.Exec(`DROP TABLE trail_resource`)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Record(t.Context(), mina, push("debian"), w.pass(), nil); err == nil {
		t.Error("a call that could not be recorded succeeded")
	}
}

// times runs fn n times at once, since events that are recorded together share a commit.
func times(n int, fn func()) {
	var all sync.WaitGroup
	for range n {
		all.Go(fn)
	}
	all.Wait()
}

// Strangers make calls without end. A bounded number is recorded, which takes no room from authenticated callers.
func TestStrangersAreRecordedAtABoundedRate(t *testing.T) {
	w := newWorld(t)
	record := func(kind string, n int) (written int) {
		t.Helper()
		before := len(w.events())
		times(n, func() {
			failure := &gate.Failure{Code: "x"}
			err := w.Record(t.Context(), trail.Identity{Type: kind}, gate.Call{Name: "ListUsers"}, gate.Pass{}, failure)
			if err != nil {
				t.Error(err)
			}
		})
		return len(w.events()) - before
	}
	if n := record(trail.Unknown, 5000); n != 1000 {
		t.Errorf("%d events of strangers at once", n)
	}
	if n := record(trail.IAMUser, 10); n != 10 {
		t.Errorf("%d events of a user's ten calls", n)
	}
	w.machine.Pass(2 * time.Second)
	if n := record(trail.Unknown, 100); n != 10 {
		t.Errorf("%d events of strangers two seconds later", n)
	}
}

// A flood of unauthenticated calls is meant to hide guesses at the secret of an existing access key. Guesses have a
// limit of their own in the trail, for each key.
func TestGuessesDoNotHideBehindStrangers(t *testing.T) {
	w := newWorld(t)
	wrong := func(gate.Secret) error { return fault.New(fault.Unauthenticated, fault.Signature, "no") }
	attempt := func(key string) {
		t.Helper()
		call := gate.Call{Name: "ListUsers"}
		caller, err := w.Authenticate(t.Context(), call, key, "", wrong)
		if err == nil || caller.Identity().Type != "" {
			t.Error("let in by a guess")
		}
		if _, err := w.Authorize(t.Context(), caller, call); err == nil {
			t.Error("a guess is authorized")
		}
		call.Guessed = caller.Guessed()
		identity := trail.Identity{Type: trail.Unknown, AccessKeyID: key}
		if err := w.Record(t.Context(), identity, call, gate.Pass{}, &gate.Failure{Code: "x"}); err != nil {
			t.Error(err)
		}
	}
	count := func(key string) (n int) {
		for _, e := range w.events() {
			if e.Identity.AccessKeyID == key {
				n++
			}
		}
		return n
	}
	times(2000, func() { attempt("AKIASTRANGER") })
	times(300, func() { attempt("AKIAX"); attempt("ASIAX") })
	if s, a, b := count("AKIASTRANGER"), count("AKIAX"), count("ASIAX"); s != 1000 || a != 100 || b != 100 {
		t.Errorf("%d events of strangers, %d and %d of guesses at once", s, a, b)
	}
	w.machine.Pass(time.Minute)
	for range 20 {
		attempt("AKIAX")
	}
	if n := count("AKIAX"); n != 106 {
		t.Errorf("%d events of guesses a minute later", n)
	}
}

// A user calls as fast as they can. Their calls are refused for a while, others' are not. Calls that fail count for
// more, since they leave an event and do nothing. Throttled calls leave few events.
func TestCallRate(t *testing.T) {
	w := newWorld(t)
	w.LimitCalls(20)
	right := func(gate.Secret) error { return nil }
	attempt := func(fail bool) bool {
		t.Helper()
		call := gate.Call{Name: "ListUsers", Asks: make([]gate.Ask, 5)}
		caller, err := w.Authenticate(t.Context(), call, "AKIAX", "", right)
		if caller.Identity().UserName == "" || err != nil && !fault.Is(err, fault.Throttled) {
			t.Fatal(err)
		}
		var failure *gate.Failure
		if fail || err != nil {
			failure = &gate.Failure{Code: "x", Throttled: err != nil}
		}
		if err := w.Record(t.Context(), caller.Identity(), call, gate.Pass{}, failure); err != nil {
			t.Fatal(err)
		}
		return err == nil
	}
	allowed := func(times int, fail bool) (n int) {
		for range times {
			if attempt(fail) {
				n++
			}
		}
		return n
	}
	if n := allowed(1000, false); n != 200 {
		t.Errorf("%d calls at once", n)
	}
	if n := len(w.events()); n != 200+10 {
		t.Errorf("%d events", n)
	}
	w.machine.Pass(time.Second)
	if n := allowed(1000, false); n != 20 {
		t.Errorf("%d calls a second later", n)
	}
	w.machine.Pass(time.Minute)
	if n := allowed(1000, true); n < 15 || n > 20 {
		t.Errorf("%d calls that fail", n)
	}
}
