package host

import (
	"fmt"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Uptime is the time since the machine was started, suspension included. Nobody can set it.
func Uptime() time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &t); err != nil {
		panic(fmt.Sprintf("host: CLOCK_BOOTTIME: %v", err)) // Linux has it since 2.6.39
	}
	return time.Duration(t.Nano())
}

// slowSample is the round trip above which a measurement does not replace an earlier one: its error may be half
// of it.
const slowSample = time.Second

// Clock is the control plane's clock as this machine knows it: measured over the link, and carried on by the
// uptime, so that the machine's own clock may be wrong or jump. It is safe for concurrent use.
type Clock struct {
	uptime func() time.Duration

	mu     sync.Mutex
	server time.Time     // what the control plane's clock showed
	at     time.Duration // at this uptime
}

// NewClock returns a Clock that does not know the time yet. uptime is Uptime, outside tests.
func NewClock(uptime func() time.Duration) *Clock { return &Clock{uptime: uptime} }

// Uptime reads the clock that measures what is handed to Set.
func (c *Clock) Uptime() time.Duration { return c.uptime() }

// Set takes in a measurement: the control plane's clock showed server at some moment between the uptimes sent and
// received. The middle is assumed.
func (c *Clock) Set(server time.Time, sent, received time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	trip := received - sent
	if trip < 0 || trip > slowSample && !c.server.IsZero() {
		return
	}
	c.server, c.at = server.Round(0).Add(trip/2), received
}

// Now returns the control plane's time, and false while nothing is known of it.
func (c *Clock) Now() (time.Time, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.server.IsZero() {
		return time.Time{}, false
	}
	return c.server.Add(c.uptime() - c.at), true
}
