package host

import (
	"sync"
	"time"

	"github.com/sallyport/sallyport/internal/hostproto"
)

// agingPer is how fast a measurement gets worse: by a thousandth of its age. Clocks that run free differ by less.
const agingPer = 1000

// Clock is the control plane's two clocks as this machine knows them: measured over the link, and carried on by the
// machine's own uptime, so that the machine's time of day may be wrong or jump. It is never behind the control plane's
// uptime, however long messages were under way, and ahead of it by no more than the round trip of a measurement. It is
// safe for concurrent use.
type Clock struct {
	uptime func() time.Duration

	mu     sync.Mutex
	known  bool
	server time.Duration // the control plane's uptime ...
	sent   time.Duration // ... at this uptime of ours, or after
	trip   time.Duration // how long after at most
	day    time.Time     // the control plane's time of day when its uptime was zero
}

// NewClock returns a Clock that does not know the time yet. uptime is clock.Uptime, outside tests.
func NewClock(uptime func() time.Duration) *Clock { return &Clock{uptime: uptime} }

// Uptime reads the machine's own clock, which measures what is handed to Start and Set.
func (c *Clock) Uptime() time.Duration { return c.uptime() }

// Start takes in the first measurement on a new link, as Set does, and forgets those on earlier ones: the control
// plane's machine may have been restarted since.
func (c *Clock) Start(told hostproto.Clocks, sent, received time.Duration) {
	c.mu.Lock()
	c.known = false
	c.mu.Unlock()
	c.Set(told, sent, received)
}

// Set takes in a measurement: the control plane's clocks showed this at some moment between the uptimes sent and
// received. Of two measurements the better one counts.
func (c *Clock) Set(told hostproto.Clocks, sent, received time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	trip := received - sent
	if trip < 0 {
		return
	}
	c.day = told.Time.Round(0).Add(-told.Uptime)
	if !c.known || trip <= c.trip+(sent-c.sent)/agingPer {
		c.known, c.server, c.sent, c.trip = true, told.Uptime, sent, trip
	}
}

// Told takes in what a message says that answers no question of ours: when it was sent is not known, but how the
// control plane's clocks stand to each other is.
func (c *Clock) Told(told hostproto.Clocks) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.day = told.Time.Round(0).Add(-told.Uptime)
}

// Now returns the control plane's time of day, and false while nothing is known of it.
func (c *Clock) Now() (time.Time, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.known {
		return time.Time{}, false
	}
	return c.day.Add(c.server + c.uptime() - c.sent), true
}

// Reaches returns the machine's own uptime at which the control plane's reaches the given one, or a little before. It
// means nothing while Now is not known.
func (c *Clock) Reaches(server time.Duration) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.sent + server - c.server
}
