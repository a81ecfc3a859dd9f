// Package clocktest provides clocks for tests: a machine whose time is set wrong or that is restarted, and one on which
// neither happens.
package clocktest

import (
	"fmt"
	"sync"
	"time"

	"github.com/sallyport/sallyport/internal/clock"
)

// Machine simulates a machine's clocks. Its Read method is a clock.Clock. It is safe for concurrent use.
type Machine struct {
	mu    sync.Mutex
	boots int
	now   clock.Reading
}

// New returns the clocks of a machine that was started an hour ago and shows the time.
func New(now time.Time) *Machine {
	return &Machine{now: clock.Reading{Time: now, Boot: "boot 0", Uptime: time.Hour}}
}

// Read reads the clocks.
func (m *Machine) Read() clock.Reading {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.now
}

// Tick lets a microsecond pass and reads the clocks. It is a clock.Clock that never shows the same time twice, so that
// the trail has events in the order in which they happened.
func (m *Machine) Tick() clock.Reading {
	m.Pass(time.Microsecond)
	return m.Read()
}

// Uptime reads the clock that nobody can set.
func (m *Machine) Uptime() time.Duration { return m.Read().Uptime }

// Pass lets time pass.
func (m *Machine) Pass(d time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.now.Time, m.now.Uptime = m.now.Time.Add(d), m.now.Uptime+d
}

// Set moves the time of day and leaves the uptime alone.
func (m *Machine) Set(by time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.now.Time = m.now.Time.Add(by)
}

// Reboot restarts the machine, which takes no time.
func (m *Machine) Reboot() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.boots++
	m.now.Boot, m.now.Uptime = fmt.Sprint("boot ", m.boots), 0
}

// Follow returns the clocks of a machine whose time of day is never set wrong and which is never restarted.
func Follow(now func() time.Time) clock.Clock {
	started := now().Add(-time.Hour)
	return func() clock.Reading {
		at := now()
		return clock.Reading{Time: at, Boot: "the only boot", Uptime: at.Sub(started)}
	}
}
