package db_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/db"
	"github.com/sallyport/sallyport/internal/db/dbtest"
)

// occupied returns a SQLite database whose writer is busy until release is called.
func occupied(t *testing.T) (w *db.Writer, release func() error) {
	t.Helper()
	w = dbtest.Open(t, dbtest.SQLiteURL(t))
	begun, leave, left := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() {
		left <- w.Update(context.Background(), func(*db.Tx) error {
			close(begun)
			<-leave
			return nil
		})
	}()
	<-begun
	return w, func() error {
		close(leave)
		return <-left
	}
}

// untilQueued waits until n writes are queued behind the one that occupies the writer.
func untilQueued(w *db.Writer, n int) {
	for w.Queued() < n {
		time.Sleep(100 * time.Microsecond)
	}
}

func TestWaitingWriteIsGivenUp(t *testing.T) {
	w, release := occupied(t)
	ctx, cancel := context.WithCancel(t.Context())
	answer := make(chan error)
	go func() { answer <- w.Update(ctx, put("given up")) }()
	untilQueued(w, 1)
	cancel()
	if err := <-answer; !errors.Is(err, context.Canceled) {
		t.Errorf("a write given up in the queue: %v", err)
	}
	ok(t, release())
	ok(t, w.Update(t.Context(), put("next")))
	wantMeta(t, w.DB, "given up", "")
	wantMeta(t, w.DB, "next", "set")
}

// A view does not wait for a write.
func TestViewBesideAWrite(t *testing.T) {
	w, release := occupied(t)
	wantMeta(t, w.DB, "k", "")
	ok(t, release())
}

// If the transaction itself is lost, every job of its group fails, and the next group works.
func TestLostTransaction(t *testing.T) {
	w, release := occupied(t)
	answers := make(chan error)
	for i, fn := range []func(*db.Tx) error{
		put("first"),
		func(tx *db.Tx) error { _, err := tx.Exec("ROLLBACK"); return err },
		put("last"),
	} {
		go func() { answers <- w.Update(t.Context(), fn) }()
		untilQueued(w, i+1)
	}
	ok(t, release())
	for range 3 {
		if err := <-answers; err == nil {
			t.Error("a write of the lost transaction succeeded")
		}
	}
	wantMeta(t, w.DB, "first", "")
	wantMeta(t, w.DB, "last", "")
	ok(t, w.Update(t.Context(), put("next")))
}

// The disk is full. Writes that were acknowledged are there, the others are not, and when there is space again, writes
// succeed.
func TestDiskFull(t *testing.T) {
	w := dbtest.Open(t, dbtest.SQLiteURL(t))
	room := func(pages int) {
		t.Helper()
		ok(t, w.Update(t.Context(), func(tx *db.Tx) error {
			return tx.Row(fmt.Sprint("PRAGMA max_page_count = ", pages)).Scan(new(int))
		}))
	}
	write := func(i int) error {
		return w.Update(t.Context(), func(tx *db.Tx) error {
			_, err := tx.Exec(`INSERT INTO meta (key, value) VALUES ($1, $2)`, fmt.Sprint(i), strings.Repeat("x", 40<<10))
			return err
		})
	}
	room(200)
	var errs []error
	for i := range 5 {
		errs = append(errs, write(i))
	}
	errs = append(errs, crowd(95, func(i int) error { return write(5 + i) })...)
	failed := 0
	for i, err := range errs {
		found, readErr := w.Meta(t.Context(), fmt.Sprint(i))
		if readErr != nil || (err == nil) != (found != "") {
			t.Errorf("write %d said %v, and left %d bytes (%v)", i, err, len(found), readErr)
		}
		if err != nil {
			failed++
		}
	}
	if failed == 0 || failed == len(errs) {
		t.Errorf("%d of %d writes failed: the test tests nothing", failed, len(errs))
	}
	room(1 << 20)
	ok(t, write(100))
}

func TestCloseAwaitsWrites(t *testing.T) {
	w, release := occupied(t)
	queued, closed := make(chan error), make(chan error)
	go func() { queued <- w.Update(context.Background(), put("queued")) }()
	untilQueued(w, 1)
	go func() { closed <- w.Close() }()
	ok(t, release())
	if err := <-queued; err != nil {
		t.Errorf("a write before the close: %v", err)
	}
	ok(t, <-closed)
	if err := w.Update(context.Background(), put("late")); !errors.Is(err, db.ErrClosed) {
		t.Errorf("a write after the close: %v", err)
	}
	if _, err := w.Meta(context.Background(), "queued"); !errors.Is(err, db.ErrClosed) {
		t.Errorf("a read after the close: %v", err)
	}
	if err := w.Close(); err != nil {
		t.Errorf("closing again: %v", err)
	}
}
