package store

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func openTest(t *testing.T) *Store {
	t.Helper()
	s, err := Open(t.Context(), filepath.Join(t.TempDir(), "sallyport.db"), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func setMeta(key string) func(*session) error {
	return func(tx *session) error {
		_, err := tx.exec(`INSERT INTO meta (key, value) VALUES ($1, $2)`, key, "set")
		return err
	}
}

func wantMeta(t *testing.T, s *Store, key, want string) {
	t.Helper()
	if got, err := s.Meta(context.Background(), key); got != want || err != nil {
		t.Errorf("%s is %q, want %q (%v)", key, got, want, err)
	}
}

// occupy keeps the writer busy until the function it returns is called.
func occupy(s *Store) (release func() error) {
	begun, leave, left := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() {
		left <- s.write(context.Background(), func(*session) error {
			close(begun)
			<-leave
			return nil
		})
	}()
	<-begun
	return func() error {
		close(leave)
		return <-left
	}
}

// untilQueued returns when n writes wait behind the one that occupies the writer.
func untilQueued(s *Store, n int) {
	for len(s.backend.(*sqlite).writer.queue) < n {
		time.Sleep(100 * time.Microsecond)
	}
}

func TestWaitingWriteIsGivenUp(t *testing.T) {
	s := openTest(t)
	release := occupy(s)
	ctx, cancel := context.WithCancel(t.Context())
	answer := make(chan error)
	go func() { answer <- s.write(ctx, setMeta("given up")) }()
	untilQueued(s, 1)
	cancel()
	if err := <-answer; !errors.Is(err, context.Canceled) {
		t.Errorf("a write given up in the queue: %v", err)
	}
	if err := release(); err != nil {
		t.Fatal(err)
	}
	if err := s.write(t.Context(), setMeta("next")); err != nil {
		t.Fatal(err)
	}
	wantMeta(t, s, "given up", "")
	wantMeta(t, s, "next", "set")
}

func TestRunningWriteIsAwaited(t *testing.T) {
	s := openTest(t)
	ctx, cancel := context.WithCancel(t.Context())
	err := s.write(ctx, func(tx *session) error {
		cancel()
		return setMeta("awaited")(tx)
	})
	if err != nil {
		t.Errorf("a write whose caller went while it ran: %v", err)
	}
	wantMeta(t, s, "awaited", "set")
}

func TestFailureLeavesNothing(t *testing.T) {
	s := openTest(t)
	failure := errors.New("no")
	err := s.write(t.Context(), func(tx *session) error { return errors.Join(setMeta("half")(tx), failure) })
	if !errors.Is(err, failure) {
		t.Errorf("the function's error became %v", err)
	}
	err = s.write(t.Context(), func(tx *session) error {
		if err := setMeta("half")(tx); err != nil {
			return err
		}
		panic("a bug")
	})
	if err == nil || !strings.Contains(err.Error(), "a bug") {
		t.Errorf("a panic became %v", err)
	}
	wantMeta(t, s, "half", "")
	if err := s.write(t.Context(), setMeta("whole")); err != nil {
		t.Errorf("after a panic: %v", err)
	}
	wantMeta(t, s, "whole", "set")
}

// TestLostTransaction: if the transaction itself is lost, nobody in the group is told of success, and the next
// group works.
func TestLostTransaction(t *testing.T) {
	s := openTest(t)
	release := occupy(s)
	answers := make(chan error)
	for i, fn := range []func(*session) error{
		setMeta("first"),
		func(tx *session) error { _, err := tx.exec("ROLLBACK"); return err },
		setMeta("last"),
	} {
		go func() { answers <- s.write(t.Context(), fn) }()
		untilQueued(s, i+1)
	}
	if err := release(); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := <-answers; err == nil {
			t.Error("a write of the lost transaction succeeded")
		}
	}
	wantMeta(t, s, "first", "")
	wantMeta(t, s, "last", "")
	if err := s.write(t.Context(), setMeta("next")); err != nil {
		t.Error(err)
	}
}

func TestCloseAwaitsWrites(t *testing.T) {
	s := openTest(t)
	release := occupy(s)
	queued, closed := make(chan error), make(chan error)
	go func() { queued <- s.write(context.Background(), setMeta("queued")) }()
	untilQueued(s, 1)
	go func() { closed <- s.Close() }()
	if err := release(); err != nil {
		t.Fatal(err)
	}
	if err := <-queued; err != nil {
		t.Errorf("a write before the close: %v", err)
	}
	if err := <-closed; err != nil {
		t.Error(err)
	}
	if err := s.write(context.Background(), setMeta("late")); !errors.Is(err, errClosed) {
		t.Errorf("a write after the close: %v", err)
	}
	if _, err := s.Meta(context.Background(), "queued"); !errors.Is(err, errClosed) {
		t.Errorf("a read after the close: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("closing again: %v", err)
	}
}

func TestNewerSchemaIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sallyport.db")
	s, err := Open(t.Context(), path, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	err = s.write(t.Context(), func(tx *session) error {
		_, err := tx.exec(`INSERT INTO goose_db_version (version_id, is_applied) VALUES ($1, $2)`, 99999, true)
		return err
	})
	if err := errors.Join(err, s.Close()); err != nil {
		t.Fatal(err)
	}
	if s, err := Open(t.Context(), path, slog.New(slog.DiscardHandler)); err == nil {
		s.Close()
		t.Error("a database of a newer version was opened")
	} else if !strings.Contains(err.Error(), "newer version") {
		t.Error(err)
	}
}
