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
	// proofLife is how long a proof is valid. However often clients ask, they cause one write in this time.
	proofLife = time.Second
)

var errNoAnswer = errors.New("the database does not answer")

// health checks whether calls can be recorded, since no call is answered without its event. It checks by a write: a
// database on a full disk, or one that became read-only, can still be read.
type health struct {
	record func(context.Context) error // the write
	clock  clock.Clock
	log    *slog.Logger

	mu     sync.Mutex
	latest *proof
	sick   bool // the state that was logged last
}

// proof is one attempt to write.
type proof struct {
	begun clock.Reading
	ended chan struct{}
	err   error // valid once ended is closed
}

// check returns why calls cannot be recorded, or nil if they can. It logs each change once.
func (h *health) check(ctx context.Context) error {
	p := h.current()
	select {
	case <-p.ended:
		h.tell(p.err)
		return p.err
	case <-time.After(healthTime):
		h.tell(errNoAnswer)
		return errNoAnswer
	case <-ctx.Done(): // the client has gone, which proves nothing
		return ctx.Err()
	}
}

// current returns the proof that is running or was made just now, or starts one.
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
		p.err = h.record(context.Background()) // not the client's: others wait for it too
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

// alive answers 200 while the process answers at all, so that a supervisor that uses it does not restart the process
// for a full disk.
func alive(w http.ResponseWriter, _ *http.Request) {
	answer(w, http.StatusOK, map[string]string{"status": "ok"})
}

func answer(w http.ResponseWriter, status int, body map[string]string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(body)
}
