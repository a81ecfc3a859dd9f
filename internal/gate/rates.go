package gate

import (
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// DefaultCallRate is how many calls a second each principal may make if nothing else is set: several times what AWS
// lets an account make of most of its operations.
const DefaultCallRate = 100

// What bounds the trail's growth. Each call is durable, so that whoever may call, or only try, could fill the disk
// otherwise, and then nobody's call could be recorded.
const (
	callsAtOnce = 10 // times the rate
	refusalCost = 5  // what a call that no policy allowed counts for, and one more for each resource that it names

	// Of strangers' calls, of all together, so many become events.
	strangersASecond = 5
	strangersAtOnce  = 1000
	// Of calls with a wrong signature, so many become events for each access key that is one of ours, however many
	// strangers there are: somebody who guesses at a key is seen.
	guessInterval = 10 * time.Second
	guessesAtOnce = 100
	// Of calls that were too many, so many become events for each principal.
	throttledInterval = time.Second
	throttledAtOnce   = 10
)

// rates are limits of one rate, one for each key.
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

// allow reports whether the key may go on now.
func (r *rates) allow(key string, now time.Time) bool { return r.find(key, now).AllowN(now, 1) }

// charge takes n more from what the key may do, if need be from what it may do later.
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

// sweep forgets the limits that are as new.
func (r *rates) sweep(now time.Time) {
	r.swept = now
	for key, limiter := range r.of {
		if limiter.TokensAt(now) >= float64(r.atOnce) {
			delete(r.of, key)
		}
	}
}
