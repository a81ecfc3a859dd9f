package controlplane

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/clock"
)

// A monitor asks every second, and a stranger as often as they can. Together they cause one write a second, and an
// error is logged once, not once for each request.
func TestHealthIsProvedByAWrite(t *testing.T) {
	var log bytes.Buffer
	var sick error
	var writes atomic.Int32
	now := clock.Reading{Time: time.Unix(1_800_000_000, 0), Boot: "b", Uptime: time.Hour}
	h := &health{
		record: func(context.Context) error { writes.Add(1); return sick },
		clock:  func() clock.Reading { return now },
		log:    slog.New(slog.NewTextHandler(&log, nil)),
	}
	ask := func() (int, string) {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("GET", "/healthz", nil))
		return w.Code, w.Body.String()
	}
	pass := func(d time.Duration) { now.Time, now.Uptime = now.Time.Add(d), now.Uptime+d }
	for range 100 {
		if status, says := ask(); status != 200 || !strings.Contains(says, "ok") {
			t.Fatalf("healthy: %d %s", status, says)
		}
	}
	if writes.Load() != 1 {
		t.Errorf("%d writes in a second", writes.Load())
	}
	sick = errors.New("disk full on /secret/place")
	for range 10 {
		pass(2 * time.Second)
		if status, says := ask(); status != 503 || strings.Contains(says, "secret") {
			t.Fatalf("a full disk: %d %s", status, says)
		}
	}
	if n := strings.Count(log.String(), "/secret/place"); n != 1 {
		t.Errorf("the log says it %d times:\n%s", n, log.String())
	}
	now.Time = now.Time.Add(-24 * time.Hour) // setting the clock back does not make the old proof valid
	sick = nil
	now.Uptime += 2 * time.Second
	if status, says := ask(); status != 200 {
		t.Errorf("after space was freed: %d %s", status, says)
	}
	if !strings.Contains(log.String(), "recorded again") {
		t.Errorf("the log does not say that it is over:\n%s", log.String())
	}
}

// A database that does not answer is asked once: requests do not pile up.
func TestHealthWaitsForOneWrite(t *testing.T) {
	var writes atomic.Int32
	hang := make(chan struct{})
	h := &health{
		record: func(context.Context) error { writes.Add(1); <-hang; return nil },
		clock:  func() clock.Reading { return clock.Reading{Time: time.Now()} },
		log:    slog.New(slog.DiscardHandler),
	}
	gone, leave := context.WithCancel(t.Context())
	leave()
	for range 50 {
		if h.check(gone) == nil {
			t.Fatal("healthy without an answer")
		}
	}
	if h.sick {
		t.Error("somebody who did not wait for the answer made it sick")
	}
	close(hang)
	if err := h.check(t.Context()); err != nil || writes.Load() != 1 {
		t.Errorf("%v after %d writes", err, writes.Load())
	}
}
