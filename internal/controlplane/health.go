package controlplane

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/sallyport/sallyport/internal/clock"
)

const (
	// healthTime bounds how long a health check waits for a proof.
	healthTime = 5 * time.Second
	// proofLife is how long a proof is good for. Whoever asks, and however often, makes one write in this time.
	proofLife = time.Second
)

var errNoAnswer = errors.New("the database does not answer")

// health knows whether calls can be recorded: without its event no call is answered. It knows by a write, since a full
// disk and a database that became read-only can be read all the same.
type health struct {
	record func(context.Context) error // the write
	clock  clock.Clock
	log    *slog.Logger

	mu     sync.Mutex
	latest *proof
	sick   bool // what was logged last
}

// proof is one write that is tried.
type proof struct {
	begun clock.Reading
	ended chan struct{}
	err   error // to be read after ended is closed
}

// check returns why nothing can be recorded. A change is logged, once.
func (h *health) check(ctx context.Context) error {
	p := h.current()
	select {
	case <-p.ended:
		h.tell(p.err)
		return p.err
	case <-time.After(healthTime):
		h.tell(errNoAnswer)
		return errNoAnswer
	case <-ctx.Done(): // who asked has gone, which says nothing
		return ctx.Err()
	}
}

// current returns the proof that is being made or was made just now, or begins one.
func (h *health) current() *proof {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := h.clock()
	if h.latest != nil && (!h.latest.over() || now.Left(h.latest.begun, h.latest.begun.Time.Add(proofLife)) > 0) {
		return h.latest
	}
	p := &proof{begun: now, ended: make(chan struct{})}
	h.latest = p
	go func() {
		defer close(p.ended)
		p.err = h.record(context.Background()) // others wait for it too
	}()
	return p
}

func (p *proof) over() bool {
	select {
	case <-p.ended:
		return true
	default:
		return false
	}
}

func (h *health) tell(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case err != nil && !h.sick:
		h.log.Error("nothing can be recorded, so no call is answered", "error", err)
	case err == nil && h.sick:
		h.log.Info("calls can be recorded again")
	}
	h.sick = err != nil
}

// ServeHTTP answers 200 while calls can be recorded, else 503.
func (h *health) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if h.check(r.Context()) != nil {
		answer(w, http.StatusServiceUnavailable, map[string]string{
			"status": "unavailable", "reason": "nothing can be recorded; the server's log says why",
		})
		return
	}
	answer(w, http.StatusOK, map[string]string{"status": "ok"})
}

// alive answers 200 as long as the process answers at all. Whoever restarts it by this does not restart it for a full
// disk.
func alive(w http.ResponseWriter, _ *http.Request) {
	answer(w, http.StatusOK, map[string]string{"status": "ok"})
}

func answer(w http.ResponseWriter, status int, body map[string]string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(body)
}
