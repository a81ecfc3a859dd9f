package host

import (
	"sync"
	"time"

	"github.com/sallyport/sallyport/internal/hostproto"
)

// agingPer says how fast a measurement gets worse: by a thousandth of its age. Free-running clocks differ by less.
const agingPer = 1000

// Clock estimates the control plane's two clocks. It measures them over the link and carries them on by the machine's
// own uptime, so the machine's time of day may be wrong or jump. It is never behind the control plane's uptime, however
// long messages took, and ahead of it by no more than the round trip of a measurement. It is safe for concurrent use.
type Clock struct {
	uptime func() time.Duration

	mu     sync.Mutex
	known  bool
	server time.Duration // an uptime of the control plane ...
	sent   time.Duration // ... that it had at this uptime of the machine, or later
	trip   time.Duration // later by this much at most
	day    time.Time     // the control plane's time of day when its uptime was zero
}

// NewClock returns a Clock that does not know the time yet. uptime is clock.Uptime, except in tests.
func NewClock(uptime func() time.Duration) *Clock { return &Clock{uptime: uptime} }

// Uptime returns the machine's own uptime, which Start and Set take their times from.
func (c *Clock) Uptime() time.Duration { return c.uptime() }

// Start records the first measurement on a new link, as Set does, and forgets those of earlier links: the control
// plane's machine may have been restarted since.
func (c *Clock) Start(told hostproto.Clocks, sent, received time.Duration) {
	c.mu.Lock()
	c.known = false
	c.mu.Unlock()
	c.Set(told, sent, received)
}

// Set records a measurement: the control plane's clocks showed these times at some moment between the uptimes sent and
// received. The better of two measurements is used.
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

// Told records the clocks of a message that answers no measurement. It is unknown when the message was sent, but it
// shows how the control plane's two clocks relate.
func (c *Clock) Told(told hostproto.Clocks) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.day = told.Time.Round(0).Add(-told.Uptime)
}

// Now returns the control plane's time of day; ok is false while it is unknown.
func (c *Clock) Now() (time.Time, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.known {
		return time.Time{}, false
	}
	return c.day.Add(c.server + c.uptime() - c.sent), true
}

// Reaches returns the machine's uptime at which the control plane's uptime reaches the given one, or a little earlier.
// It is meaningless while Now is unknown.
func (c *Clock) Reaches(server time.Duration) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.sent + server - c.server
}
