package db_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/db"
	"github.com/sallyport/sallyport/internal/db/dbtest"
	"github.com/sallyport/sallyport/internal/fault"
	"github.com/sallyport/sallyport/internal/testkit/wait"
)

func TestFailureLeavesNothing(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, w *db.Writer) {
		failure := errors.New("no")
		err := w.Update(t.Context(), func(tx *db.Tx) error { return errors.Join(put("half")(tx), failure) })
		if !errors.Is(err, failure) {
			t.Errorf("the function's error became %v", err)
		}
		err = w.Update(t.Context(), func(tx *db.Tx) error { panic(errors.Join(put("half")(tx), errors.New("a bug"))) })
		if err == nil || !strings.Contains(err.Error(), "a bug") || !strings.Contains(err.Error(), "tx_test.go") {
			t.Errorf("a panic became %v, which does not say where", err)
		}
		gone := make(chan error, 1)
		go func() { // as in a failing test
			defer close(gone)
			gone <- w.Update(t.Context(), func(tx *db.Tx) error { ok(t, put("half")(tx)); runtime.Goexit(); return nil })
		}()
		if err, returned := <-gone; returned && err == nil {
			t.Error("a write that ended its goroutine succeeded")
		}
		for range 40 { // more than can read at once
			if err := w.View(t.Context(), func(*db.Tx) error { panic("a bug") }); err == nil {
				t.Error("a view that panicked succeeded")
			}
		}
		wantMeta(t, w.DB, "half", "")
		ok(t, w.Update(t.Context(), put("whole")))
		wantMeta(t, w.DB, "whole", "set")
	})
}

// An operation ignored that a statement had failed, and reported success: SQLite kept the rest of the transaction, and
// PostgreSQL nothing.
func TestSwallowedErrorFails(t *testing.T) {
	number := func(row db.Scanner) (n int, err error) { err = row.Scan(&n); return n, err }
	mistakes := map[string]func(*db.Tx){
		"a change":        func(tx *db.Tx) { tx.Exec(`INSERT INTO meta (key, value) VALUES ('half', 'twice')`) },
		"a wrong change":  func(tx *db.Tx) { tx.Exec(`INSERT INTO nothing VALUES (1)`) },
		"a row":           func(tx *db.Tx) { tx.Row(`SELECT nothing`).Scan() },
		"a row's columns": func(tx *db.Tx) { db.One(tx, nil, number, `SELECT 'x'`) },
		"rows":            func(tx *db.Tx) { tx.Each(func(db.Scanner) error { return nil }, `SELECT nothing`) },
		"a row of rows":   func(tx *db.Tx) { db.Collect(tx, number, `SELECT 'x'`) },
		"a row in rows": func(tx *db.Tx) {
			tx.Each(func(db.Scanner) error { tx.Exists(`SELECT 1`); return nil }, `SELECT 1`)
		},
	}
	dbtest.Each(t, func(t *testing.T, w *db.Writer) {
		for name, mistake := range mistakes {
			swallow := func(tx *db.Tx) error {
				mistake(tx)
				return nil
			}
			err := w.Update(t.Context(), func(tx *db.Tx) error { ok(t, put("half")(tx)); return swallow(tx) })
			if err == nil || !strings.Contains(err.Error(), "a statement failed, and so the transaction") {
				t.Errorf("a write that swallows the error of %s: %v", name, err)
			}
			if err := w.View(t.Context(), swallow); err == nil {
				t.Errorf("a view that swallows the error of %s succeeded", name)
			}
			wantMeta(t, w.DB, "half", "")
		}
		ok(t, w.Update(t.Context(), func(tx *db.Tx) error { // finding no row is not a failure
			_, err := tx.Exists(`SELECT 1 FROM meta WHERE key = 'none'`)
			absent := errors.New("absent")
			_, missing := db.One(tx, absent, number, `SELECT 1 FROM meta WHERE key = 'none'`)
			if missing != absent || tx.Change(absent, `DELETE FROM meta WHERE key = 'none'`) != absent {
				t.Error("what is not there is not told apart")
			}
			return errors.Join(err, put("whole")(tx))
		}))
		wantMeta(t, w.DB, "whole", "set")
	})
}

// Two statements of one view do not see a write that is committed between them.
func TestViewIsOneMoment(t *testing.T) {
	count := func(tx *db.Tx) (n int) {
		ok(t, tx.Row(`SELECT COUNT(*) FROM meta WHERE key = 'late'`).Scan(&n))
		return n
	}
	dbtest.Each(t, func(t *testing.T, w *db.Writer) {
		ok(t, w.View(t.Context(), func(tx *db.Tx) error {
			before := count(tx)
			ok(t, w.Update(t.Context(), put("late")))
			if before != 0 || count(tx) != 0 {
				t.Error("a view saw what was written after it began")
			}
			return nil
		}))
		wantMeta(t, w.DB, "late", "set")
	})
}

func TestViewDoesNotWrite(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, w *db.Writer) {
		if err := w.View(t.Context(), put("sly")); err == nil {
			t.Error("a view wrote")
		}
		wantMeta(t, w.DB, "sly", "")
	})
}

// A transaction within another one waited for itself: SQLite has one writer, and both databases a limited number of
// readers.
func TestTransactionWithinAnother(t *testing.T) {
	nothing := func(*db.Tx) error { return nil }
	dbtest.Each(t, func(t *testing.T, w *db.Writer) {
		type begin = func(context.Context, func(*db.Tx) error) error
		for name, outer := range map[string]begin{"write": w.Update, "view": w.View} {
			ok(t, outer(t.Context(), func(tx *db.Tx) error {
				ctx, cancel := context.WithCancel(tx.Context())
				defer cancel()
				for inner, err := range map[string]error{"write": w.Update(ctx, nothing), "view": w.View(ctx, nothing)} {
					if !errors.Is(err, db.ErrNested) {
						t.Errorf("a %s within a %s: %v", inner, name, err)
					}
				}
				return nil
			}))
		}
	})
}

// A transaction that was kept and used later wrote through SQLite's one connection, in the middle of another
// transaction.
func TestStatementOutOfPlace(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, w *db.Writer) {
		var kept *db.Tx
		ok(t, w.Update(t.Context(), func(tx *db.Tx) error { kept = tx; return nil }))
		ok(t, w.Update(t.Context(), func(*db.Tx) error {
			_, err := kept.Exec(`DELETE FROM meta`)
			for _, err := range []error{err, kept.Row(`SELECT 1`).Scan(), kept.Each(nil, `SELECT 1`)} {
				if !errors.Is(err, db.ErrOver) {
					t.Errorf("a statement after its transaction: %v", err)
				}
			}
			return nil
		}))
		if _, err := new(db.Tx).Exec(`DELETE FROM meta`); !errors.Is(err, db.ErrOver) {
			t.Errorf("the zero transaction: %v", err)
		}
	})
}

func TestRehearsal(t *testing.T) {
	w := dbtest.SQLite(t)
	runs := 0
	ok(t, w.Update(t.Context(), func(tx *db.Tx) error { runs++; return put("once")(tx) }))
	if runs != 2 {
		t.Errorf("a rehearsed write ran %d times", runs)
	}
	wantMeta(t, w.DB, "once", "set")
	failure := errors.New("no")
	if err := w.Update(t.Context(), func(*db.Tx) error { runs++; return failure }); err != failure || runs != 3 {
		t.Errorf("a rehearsed write that fails: %v, after %d runs", err, runs)
	}
}

// crowd runs fn in n goroutines at the same time and returns their errors.
func crowd(n int, fn func(i int) error) []error {
	errs := make([]error, n)
	start := make(chan struct{})
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			<-start
			errs[i] = fn(i)
		})
	}
	close(start)
	all.Wait()
	return errs
}

// However many run at once, each write behaves as if it ran alone, and views see the state after some write.
func TestManyAtOnce(t *testing.T) {
	type balance struct{ left, right int }
	read := func(tx *db.Tx) (b balance, err error) {
		for key, n := range map[string]*int{"left": &b.left, "right": &b.right} {
			var text string
			if err := tx.Row(`SELECT value FROM meta WHERE key = $1`, key).Scan(&text); err != nil {
				return b, err
			}
			if _, err := fmt.Sscan(text, n); err != nil {
				return b, err
			}
		}
		return b, nil
	}
	const most = 40
	dbtest.Each(t, func(t *testing.T, w *db.Writer) {
		ok(t, w.SetMeta(t.Context(), "left", fmt.Sprint(most)))
		ok(t, w.SetMeta(t.Context(), "right", "0"))
		errs := crowd(2*most, func(i int) error {
			if i%2 == 0 {
				b, err := db.Get(t.Context(), w.DB, read)
				if err == nil && b.left+b.right != most {
					err = fmt.Errorf("a view saw %+v", b)
				}
				return err
			}
			return w.Update(t.Context(), func(tx *db.Tx) error {
				b, err := read(tx)
				if err != nil {
					return err
				}
				_, left := tx.Exec(`UPDATE meta SET value = $1 WHERE key = 'left'`, fmt.Sprint(b.left-1))
				_, right := tx.Exec(`UPDATE meta SET value = $1 WHERE key = 'right'`, fmt.Sprint(b.right+1))
				if left != nil || right != nil {
					return errors.New("it lost to another, and does not say so")
				}
				return nil
			})
		})
		if err := errors.Join(errs...); err != nil {
			t.Error(err)
		}
		wantMeta(t, w.DB, "left", "0")
		wantMeta(t, w.DB, "right", fmt.Sprint(most))
	})
}

// A transaction that fails does not affect those that share its commit.
func TestOneFailsOthersLive(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, w *db.Writer) {
		ok(t, w.Update(t.Context(), put("taken")))
		errs := crowd(40, func(i int) error {
			if i%2 == 0 {
				return w.Update(t.Context(), func(tx *db.Tx) error { return errors.Join(put(fmt.Sprint(i))(tx), put("taken")(tx)) })
			}
			return w.Update(t.Context(), put(fmt.Sprint(i)))
		})
		for i, err := range errs {
			if want := i%2 == 1; (err == nil) != want {
				t.Errorf("write %d: %v", i, err)
			}
			wantMeta(t, w.DB, fmt.Sprint(i), map[int]string{1: "set"}[i%2])
		}
	})
}

// Whenever a caller's context ends, the result says whether the write was made.
func TestCallerGoes(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, w *db.Writer) {
		errs := crowd(60, func(i int) error {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			defer time.AfterFunc(time.Duration(i)*50*time.Microsecond, cancel).Stop()
			return w.Update(ctx, put(fmt.Sprint(i)))
		})
		for i, err := range errs {
			found, readErr := w.Meta(t.Context(), fmt.Sprint(i))
			if readErr != nil || (err == nil) != (found == "set") {
				t.Errorf("write %d said %v, and left %q (%v)", i, err, found, readErr)
			}
		}
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		never := func(*db.Tx) error { t.Error("a transaction began for a caller who had gone"); return nil }
		if err := errors.Join(w.Update(gone, never), w.View(gone, never)); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
}

// A write that has begun is awaited, so that its outcome is known.
func TestRunningWriteIsAwaited(t *testing.T) {
	for _, url := range []string{dbtest.SQLiteURL(t), dbtest.PostgreSQLURL(t)} {
		w := dbtest.Open(t, url)
		ctx, cancel := context.WithCancel(t.Context())
		ok(t, w.Update(ctx, func(tx *db.Tx) error {
			cancel()
			return errors.Join(tx.Context().Err(), put("awaited")(tx))
		}))
		wantMeta(t, w.DB, "awaited", "set")
	}
}

// Long views keep others waiting, who can give up, or are served in the end.
func TestViewsThatWait(t *testing.T) {
	nothing := func(*db.Tx) error { return nil }
	dbtest.Each(t, func(t *testing.T, w *db.Writer) {
		leave := make(chan struct{})
		var all sync.WaitGroup
		for range 100 {
			all.Go(func() {
				if err := w.View(t.Context(), func(*db.Tx) error { <-leave; return nil }); err != nil {
					t.Error(err)
				}
			})
		}
		wait.For(t, "a view that gives up", func() bool {
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			defer cancel()
			return errors.Is(w.View(ctx, nothing), context.DeadlineExceeded)
		})
		close(leave)
		all.Wait()
		ok(t, w.View(t.Context(), nothing))
	})
}

// PostgreSQL cannot store every text that Go and SQLite can.
func TestTextThatCannotBeStored(t *testing.T) {
	w := dbtest.PostgreSQL(t)
	for _, text := range []string{"a\x00b", "\xff"} {
		err := w.SetMeta(t.Context(), "k", text)
		if f := fault.Of(err); err == nil || f.Kind != fault.Invalid || f.Subject.String() != "text" {
			t.Errorf("%q: %v", text, err)
		}
		ok(t, w.SetMeta(t.Context(), "k", db.Text(text)))
	}
}

// One SQL text for both databases relies on this: $2 is the second argument wherever and however often it is used. Some
// SQLite drivers bind silently by order of appearance.
func TestParametersAreNumbered(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, w *db.Writer) {
		ok(t, w.View(t.Context(), func(tx *db.Tx) error {
			var got [4]string
			const query = `SELECT CAST($3 AS TEXT), CAST($1 AS TEXT), CAST($2 AS TEXT), CAST($1 AS TEXT)`
			err := tx.Row(query, "one", "two", "three").Scan(&got[0], &got[1], &got[2], &got[3])
			if want := [4]string{"three", "one", "two", "one"}; got != want {
				t.Errorf("got %v, want %v", got, want)
			}
			return err
		}))
	})
}
