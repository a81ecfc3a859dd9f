package access

import (
	"sync"
	"time"
)

const (
	// maxReleases is how many releases of one grant become events. An agent may report a release twice, and a key lives
	// for a minute: a host that reports more is flooding the trail.
	maxReleases = 1000
	// keepTallies is how long a grant's count is kept after its last release.
	keepTallies = 24 * time.Hour
)

// tallies count the releases that hosts reported, by the request id of the grant. The zero tallies are ready for use.
type tallies struct {
	mu sync.Mutex
	of map[string]tally
}

type tally struct {
	count int
	last  time.Time // when a release was last counted
}

// full reports whether the grant has as many releases as may become events.
func (t *tallies) full(requestID string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.of[requestID].count >= maxReleases
}

// count counts a release of the grant.
func (t *tallies) count(requestID string, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.of == nil {
		t.of = map[string]tally{}
	}
	t.of[requestID] = tally{count: t.of[requestID].count + 1, last: now}
}

// forget drops the counts that are older than keepTallies.
func (t *tallies) forget(now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for id, tally := range t.of {
		if tally.last.Before(now.Add(-keepTallies)) {
			delete(t.of, id)
		}
	}
}
