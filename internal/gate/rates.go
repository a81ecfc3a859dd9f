package gate

import (
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// DefaultCallRate is how many calls a second each principal may make by default: several times what AWS permits an
// account for most of its operations.
const DefaultCallRate = 100

// Bounds on the trail's growth. Each call is written durably, so without them anybody who may call, or only tries,
// could fill the disk, and then no call could be recorded.
const (
	callsAtOnce = 10 // times the rate
	refusalCost = 5  // calls that a refused call counts as, and one more for each resource that it names

	// How many unauthenticated calls a second become events, of all callers together.
	strangersASecond = 5
	strangersAtOnce  = 1000
	// The interval at which a call with a wrong signature becomes an event, for each existing access key, independent
	// of strangersASecond: guessing at a key is noticed.
	guessInterval = 10 * time.Second
	guessesAtOnce = 100
	// The interval at which a throttled call becomes an event, for each principal.
	throttledInterval = time.Second
	throttledAtOnce   = 10
)

// rates are limits of the same rate, one for each key.
type rates struct {
	limit  rate.Limit
	atOnce int

	mu    sync.Mutex
	of    map[string]*rate.Limiter
	swept time.Time
}

func newRates(limit rate.Limit, atOnce int) *rates {
	return &rates{limit: limit, atOnce: atOnce, of: map[string]*rate.Limiter{}}
}

// allow reports whether the key is within its limit now, and counts one.
func (r *rates) allow(key string, now time.Time) bool { return r.find(key, now).AllowN(now, 1) }

// charge counts n more for the key, at the expense of later calls if necessary.
func (r *rates) charge(key string, now time.Time, n int) {
	r.find(key, now).ReserveN(now, min(n, r.atOnce))
}

func (r *rates) find(key string, now time.Time) *rate.Limiter {
	r.mu.Lock()
	defer r.mu.Unlock()
	if age := now.Sub(r.swept); age > time.Minute || age < 0 {
		r.sweep(now)
	}
	limiter, ok := r.of[key]
	if !ok {
		limiter = rate.NewLimiter(r.limit, r.atOnce)
		r.of[key] = limiter
	}
	return limiter
}

// sweep removes the limits that are full again.
func (r *rates) sweep(now time.Time) {
	r.swept = now
	for key, limiter := range r.of {
		if limiter.TokensAt(now) >= float64(r.atOnce) {
			delete(r.of, key)
		}
	}
}
