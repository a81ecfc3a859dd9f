package access

import (
	"sync"
	"time"
)

const (
	// maxReleases is how many releases of one grant become events. An agent may tell each twice, and a key lives a
	// minute: a host that tells of more is flooding the trail.
	maxReleases = 1000
	// keepTallies is how long after the last release of a grant it is remembered how many there were.
	keepTallies = 24 * time.Hour
)

// tallies count what hosts told of grants, by the grant's request id. The zero tallies are ready for use.
type tallies struct {
	mu sync.Mutex
	of map[string]tally
}

type tally struct {
	count int
	last  time.Time // when one was counted
}

// full reports whether as many releases of the grant were told as may become events.
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

// forget drops what was counted long ago.
func (t *tallies) forget(now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for id, tally := range t.of {
		if tally.last.Before(now.Add(-keepTallies)) {
			delete(t.of, id)
		}
	}
}
