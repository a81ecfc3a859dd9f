package gate_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/db"
	"github.com/sallyport/sallyport/internal/db/dbtest"
	"github.com/sallyport/sallyport/internal/fault"
	"github.com/sallyport/sallyport/internal/gate"
	"github.com/sallyport/sallyport/internal/trail"
)

// put writes a value.
func put(tx *gate.Tx, key string) error {
	_, err := tx.Exec(`INSERT INTO meta (key, value) VALUES ($1, 'set')`, key)
	return err
}

// remove deletes the value.
func remove(key string) func(*gate.Tx) error {
	return func(tx *gate.Tx) error {
		_, err := tx.Exec(`DELETE FROM meta WHERE key = $1`, key)
		return err
	}
}

func (w *world) has(key string) bool {
	w.Helper()
	value, err := w.writer.Meta(w.Context(), key)
	if err != nil {
		w.Fatal(err)
	}
	return value != ""
}

// pass returns a pass of a new call of mina's.
func (w *world) pass() gate.Pass {
	w.Helper()
	pass, err := w.ask(push("debian"))
	if err != nil {
		w.Fatal(err)
	}
	return pass
}

// fail ends the pass's call as the pipeline does: with an error code.
func (w *world) fail(pass gate.Pass) {
	w.Helper()
	failure := &gate.Failure{Code: "InternalFailure", Message: "it failed"}
	if err := w.Record(w.Context(), pass.Identity(), push("debian"), pass, failure); err != nil {
		w.Fatal(err)
	}
}

// only returns the one event in the trail.
func (w *world) only() trail.Event {
	w.Helper()
	events := w.events()
	if len(events) != 1 {
		w.Fatalf("%d events: %+v", len(events), events)
	}
	return events[0]
}

func TestWriteCommitsItsEvent(t *testing.T) {
	w := newWorld(t, allowDebian)
	pass := w.pass()
	err := w.Write(t.Context(), pass, func(tx *gate.Tx) error {
		tx.Touch(trail.Resource{ARN: "arn:made", Type: "AWS::EC2::Instance"})
		tx.Respond(map[string]any{"return": true})
		return put(tx, "k")
	})
	if err != nil || !w.has("k") {
		t.Fatal(err)
	}
	if err := w.Record(t.Context(), pass.Identity(), push("debian"), pass, nil); err != nil {
		t.Fatal(err)
	}
	e := w.only()
	made := trail.Resource{ARN: "arn:made", AccountID: account, Type: "AWS::EC2::Instance"}
	if e.Response["return"] != true || len(e.Resources) != 2 || e.Resources[1] != made {
		t.Errorf("%+v", e)
	}
}

// An operation cannot succeed unrecorded, whatever its code does.
func TestNothingSucceedsUnrecorded(t *testing.T) {
	unrecordable := push("debian")
	unrecordable.Parameters = map[string]any{"of": func() {}}
	for name, c := range map[string]struct {
		call gate.Call
		fn   func(w *world, tx *gate.Tx) error
	}{
		"it swallows a failed statement": {push("debian"), func(_ *world, tx *gate.Tx) error {
			_ = put(tx, "k")
			return nil
		}},
		"it swallows a failed read": {push("debian"), func(_ *world, tx *gate.Tx) error {
			_, _ = tx.Exists(`SELECT nothing`)
			return nil
		}},
		"it panics": {push("debian"), func(*world, *gate.Tx) error { panic("a bug") }},
		"it would amend its event": {push("debian"), func(_ *world, tx *gate.Tx) error {
			tx.Amend(func(e *trail.Event) { e.Name = "ListUsers" })
			return nil
		}},
		"it would have no event":   {push("debian"), func(_ *world, tx *gate.Tx) error { tx.Silence(); return nil }},
		"its event cannot be made": {unrecordable, func(*world, *gate.Tx) error { return nil }},
		"its answer cannot be made": {push("debian"), func(_ *world, tx *gate.Tx) error {
			tx.Respond(unrecordable.Parameters)
			return nil
		}},
		"it begins another write": {push("debian"), func(w *world, tx *gate.Tx) error {
			return w.Maintain(tx.Context(), remove("k"))
		}},
		"it has no room in the trail": {push("debian"), func(_ *world, tx *gate.Tx) error {
			_, err := tx.Exec(`DROP TABLE trail_resource`)
			return err
		}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, allowDebian)
			pass, err := w.ask(c.call)
			if err != nil {
				t.Fatal(err)
			}
			err = w.Write(t.Context(), pass, func(tx *gate.Tx) error {
				if err := put(tx, "k"); err != nil {
					return err
				}
				return c.fn(w, tx)
			})
			if err == nil || w.has("k") || len(w.events()) != 0 {
				t.Errorf("%v; something lasts: %v; %d events", err, w.has("k"), len(w.events()))
			}
		})
	}
}

// An event belongs to one write. A second write with the same pass would add nothing to the trail.
func TestPassIsGoodForOneWrite(t *testing.T) {
	w := newWorld(t, allowDebian)
	pass := w.pass()
	failure := errors.New("no")
	if err := w.Write(t.Context(), pass, func(*gate.Tx) error { return failure }); err != failure {
		t.Error(err)
	}
	if err := w.Write(t.Context(), pass, func(tx *gate.Tx) error { return put(tx, "first") }); err != nil {
		t.Error(err)
	}
	err := w.Write(t.Context(), pass, func(tx *gate.Tx) error { return put(tx, "second") })
	if err == nil || w.has("second") {
		t.Errorf("a second write: %v", err)
	}
}

// An After function fails, and so does the call. Its writes are taken back, the latest first, and its event, which was
// already committed, says so under the same id.
func TestAfterThatFails(t *testing.T) {
	failure := fault.New(fault.Unavailable, fault.Host, "gone")
	for name, fail := range map[string]func(context.Context) error{
		"an error": func(context.Context) error { return failure },
		"a panic":  func(context.Context) error { panic(failure) },
	} {
		w := newWorld(t, allowDebian)
		pass := w.pass()
		var did []string
		note := func(what string) { did = append(did, what) }
		ctx, cancel := context.WithCancel(t.Context())
		err := w.Write(ctx, pass, func(tx *gate.Tx) error {
			tx.Respond(map[string]any{"success": true})
			tx.Undo(func(tx *gate.Tx) error { note("undo"); return remove("k")(tx) })
			tx.Undo(func(tx *gate.Tx) error { note("undo the latest"); return nil })
			tx.After(func(ctx context.Context) error {
				cancel()
				if note("deliver"); !w.has("k") || ctx.Err() != nil {
					t.Errorf("it does not follow the commit, or goes with the caller (%v)", ctx.Err())
				}
				return nil
			})
			tx.After(fail)
			tx.After(func(context.Context) error { note("too much"); return nil })
			return put(tx, "k")
		})
		if err == nil || !strings.Contains(err.Error(), "gone") || w.has("k") {
			t.Errorf("%s: %v; it lasts: %v", name, err, w.has("k"))
		}
		want := []string{"deliver", "undo the latest", "undo", "undo the latest", "undo"} // each undo is rehearsed
		if !slices.Equal(did, want) {
			t.Errorf("%s: %q", name, did)
		}
		written := w.only()
		w.fail(pass)
		e := w.only()
		if written.ErrorCode != "" || e.ID != written.ID || e.ErrorCode != "InternalFailure" || e.Response != nil {
			t.Errorf("%s: the event %+v became %+v", name, written, e)
		}
	}
}

// A user was made, and the answer to the commit was lost with the connection. The call failed and was recorded as
// failed, although the user was there: the trail told of nobody who had made it.
func TestCommitWhoseAnswerIsLost(t *testing.T) {
	var lose atomic.Int32
	w := newWorldOn(t, dbtest.Open(t, losingAnswers(t, dbtest.PostgreSQLURL(t), &lose)), allowDebian)
	pass, followed, runs := w.pass(), 0, 0
	err := w.Write(t.Context(), pass, func(tx *gate.Tx) error {
		runs++
		tx.After(func(context.Context) error { followed++; return nil })
		tx.Undo(func(*gate.Tx) error { t.Error("the write was taken back"); return nil })
		lose.Store(1)
		return put(tx, "k")
	})
	if lose.Load() > 0 {
		t.Fatal("no answer was lost: the test tests nothing")
	}
	if err != nil || !w.has("k") || followed != 1 {
		t.Errorf("%v; it lasts: %v; run %d times, followed by %d", err, w.has("k"), runs, followed)
	}
	if err := w.Record(t.Context(), pass.Identity(), gate.Call{}, pass, nil); err != nil {
		t.Error(err)
	}
	if e := w.only(); e.ErrorCode != "" {
		t.Errorf("%+v", e)
	}
}

// The answer to the commit was lost, and so was the answer to the question what became of it. The call failed, and its
// failure replaced the event of a write that lasted: the trail told of nobody who had made it.
func TestCommitWhoseFateIsUnknown(t *testing.T) {
	for name, undone := range map[string]bool{"the write lasts": false, "the write is taken back": true} {
		t.Run(name, func(t *testing.T) {
			var lose atomic.Int32
			w := newWorldOn(t, dbtest.Open(t, losingAnswers(t, dbtest.PostgreSQLURL(t), &lose)), allowDebian)
			pass := w.pass()
			err := w.Write(t.Context(), pass, func(tx *gate.Tx) error {
				if undone {
					tx.Undo(remove("k"))
				}
				lose.Store(2)
				return put(tx, "k")
			})
			if lose.Load() > 0 {
				t.Fatalf("%d answers were not lost: the test tests nothing", lose.Load())
			}
			if err == nil || w.has("k") == undone {
				t.Errorf("%v; it lasts: %v", err, w.has("k"))
			}
			w.fail(pass)
			if e := w.only(); (e.ErrorCode != "") != undone {
				t.Errorf("%+v", e)
			}
		})
	}
}

// losingAnswers returns the URL of a proxy before PostgreSQL. It withholds the answers to the next lose commits, and
// closes their connections.
func losingAnswers(t *testing.T, database string, lose *atomic.Int32) string {
	t.Helper()
	u, err := url.Parse(database)
	if err != nil {
		t.Fatal(err)
	}
	query := u.Query()
	server := filepath.Join(query.Get("host"), ".s.PGSQL.5432")
	directory, err := os.MkdirTemp("", "gate") // a socket's name must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(directory) })
	listener, err := net.Listen("unix", filepath.Join(directory, ".s.PGSQL.5432"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			to, err := net.Dial("unix", server)
			if err != nil {
				t.Error(err)
				return
			}
			var lost atomic.Bool
			go relay(client, to, func(request []byte) bool {
				if n := lose.Load(); bytes.Contains(request, []byte("commit\x00")) && n > 0 && lose.CompareAndSwap(n, n-1) {
					lost.Store(true)
				}
				return true
			})
			go relay(to, client, func([]byte) bool { return !lost.Load() })
		}
	}()
	query.Set("host", directory)
	u.RawQuery = query.Encode()
	return u.String()
}

// relay forwards what it reads until pass returns false.
func relay(from, to net.Conn, pass func([]byte) bool) {
	defer from.Close()
	defer to.Close()
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		if err != nil || !pass(buffer[:n]) {
			return
		}
		if _, err := to.Write(buffer[:n]); err != nil {
			return
		}
	}
}

// A write that is run again runs its After functions once and its Finally functions each time, and leaves one event, of
// the last run.
func TestWriteThatIsRunAgain(t *testing.T) {
	w := newWorld(t, allowDebian)
	var runs, after, finally int
	err := w.Write(t.Context(), w.pass(), func(tx *gate.Tx) error {
		runs++
		tx.Finally(func() { finally++ })
		tx.After(func(context.Context) error { after++; return nil })
		tx.Touch(trail.Resource{ARN: fmt.Sprint("arn:made/", runs)})
		tx.Respond(map[string]any{"run": runs})
		return put(tx, "k")
	})
	if err != nil || runs != 2 || after != 1 || finally != 2 {
		t.Errorf("%v: run %d times, followed by %d, in the end %d", err, runs, after, finally)
	}
	if e := w.only(); e.Response["run"] != 2.0 || len(e.Resources) != 2 || e.Resources[1].Name() != "2" {
		t.Errorf("%+v", e)
	}
}

// Two writers check the same limit at the same time. PostgreSQL lets one of them go first, and the other one is run
// again.
func TestWriteThatLostToAnother(t *testing.T) {
	w := newWorldOn(t, dbtest.PostgreSQL(t), allowDebian)
	var runs, after, finally atomic.Int32
	var haveRead, done sync.WaitGroup
	for i := range 2 {
		pass := w.pass()
		haveRead.Add(1)
		done.Go(func() {
			first := true
			err := w.Write(t.Context(), pass, func(tx *gate.Tx) error {
				runs.Add(1)
				tx.Finally(func() { finally.Add(1) })
				tx.After(func(context.Context) error { after.Add(1); return nil })
				var before int
				if err := tx.Row(`SELECT COUNT(*) FROM meta WHERE key LIKE 'limited %'`).Scan(&before); err != nil {
					return err
				}
				if first {
					first = false
					haveRead.Done()
					haveRead.Wait()
				}
				tx.Respond(map[string]any{fmt.Sprint(before): "before"})
				return put(tx, fmt.Sprint("limited ", i))
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	done.Wait()
	if runs.Load() < 3 || finally.Load() != runs.Load() || after.Load() != 2 {
		t.Errorf("run %d times, in the end %d, followed by %d", runs.Load(), finally.Load(), after.Load())
	}
	found := map[string]any{}
	for _, e := range w.events() {
		maps.Copy(found, e.Response)
	}
	if len(w.events()) != 2 || len(found) != 2 || found["0"] == nil || found["1"] == nil {
		t.Errorf("%d events, before which there were %v", len(w.events()), found)
	}
}

// A host's event describes the outcome of what the host did. If nothing changed, there is no event.
func TestEventsOfHosts(t *testing.T) {
	w := newWorld(t)
	admit := func() gate.Pass {
		pass, err := w.AdmitHost(trail.Identity{Type: trail.Host, PrincipalID: "i-1"}, gate.Call{Name: "ReportHost"})
		if err != nil {
			t.Fatal(err)
		}
		return pass
	}
	err := w.Write(t.Context(), admit(), func(tx *gate.Tx) error { tx.Silence(); return put(tx, "quiet") })
	if err != nil || len(w.events()) != 0 || !w.has("quiet") {
		t.Errorf("%v, %d events", err, len(w.events()))
	}
	err = w.Write(t.Context(), admit(), func(tx *gate.Tx) error {
		tx.Amend(func(e *trail.Event) { e.ServiceDetails = map[string]any{"changed": "addresses"} })
		return nil
	})
	e := w.only()
	if err != nil || e.ServiceDetails["changed"] != "addresses" || e.Type != trail.AwsServiceEvent ||
		e.Identity.PrincipalID != "i-1" {
		t.Errorf("%v: %+v", err, e)
	}
}

func TestMaintain(t *testing.T) {
	w := newWorld(t)
	err := w.Maintain(t.Context(), func(tx *gate.Tx) error { return put(tx, "k") })
	if err != nil || !w.has("k") || len(w.events()) != 0 {
		t.Errorf("%v, %d events", err, len(w.events()))
	}
}

// A caller who gives up while their call waits for its turn has changed nothing, and nothing is taken back.
func TestCallerGoes(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, writer *db.Writer) {
		w := newWorldOn(t, writer, allowDebian)
		for i := range 20 {
			ctx, cancel := context.WithCancel(t.Context())
			timer := time.AfterFunc(time.Duration(i)*100*time.Microsecond, cancel)
			pass := w.pass()
			key := fmt.Sprint(i)
			err := w.Write(ctx, pass, func(tx *gate.Tx) error { tx.Undo(remove(key)); return put(tx, key) })
			if (err == nil) != w.has(key) {
				t.Errorf("%v, and it lasts: %v", err, w.has(key))
			}
			timer.Stop()
			cancel()
		}
	})
}
