// Package clock reads a machine's two clocks together: the time of day, which people need and anybody may set, and the
// uptime, which nobody can set and which starts again at each boot. Something with a limited life ends by whichever
// clock has gone further, so setting a clock back brings nothing to life again.
package clock

import (
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Reading is what a machine's clocks show at one moment.
type Reading struct {
	Time   time.Time     // the time of day
	Boot   string        // identifies the machine's boot; empty if unknown: Uptime is then meaningless
	Uptime time.Duration // since that boot, including time suspended
	Past   time.Time     // a time of day known to have passed, whatever Time shows; zero if none is known
}

// Clock reads a machine's clocks. It must be safe for concurrent use.
type Clock func() Reading

// Now returns the time of day.
func (c Clock) Now() time.Time { return c().Time }

// After returns the same clocks with the knowledge that t has passed.
func (c Clock) After(t time.Time) Clock {
	known := c().Uptime
	return func() Reading {
		now := c()
		now.Past = t.Add(now.Uptime - known)
		return now
	}
}

// bootID names the boot of the running kernel: random(4).
const bootID = "/proc/sys/kernel/random/boot_id"

// System returns the Clock of this machine. Where the kernel's boot id cannot be read, each process counts as a boot of
// its own.
func System() Clock {
	boot := "process " + strconv.Itoa(os.Getpid()) + " since " + Uptime().String()
	if text, err := os.ReadFile(bootID); err == nil {
		boot = strings.TrimSpace(string(text))
	}
	return func() Reading { return Reading{Time: time.Now(), Boot: boot, Uptime: Uptime()} }
}

// Uptime returns the time since this machine was started, including time suspended: CLOCK_BOOTTIME of clock_gettime(2).
func Uptime() time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &t); err != nil {
		panic("clock: CLOCK_BOOTTIME: " + err.Error()) // Linux has it since 2.6.39
	}
	return time.Duration(t.Nano())
}

// Left returns how long something still lasts that began at begun and was to end at expires; zero if it is over. The
// clock that went further counts. The uptime counts only within the boot in which the thing began. In another boot the
// time of day may have been set back, so Past counts too, and something that begins in the future has nothing left.
func (now Reading) Left(begun Reading, expires time.Time) time.Duration {
	// Round drops Go's own monotonic reading, which would hide that the time of day was set.
	passed := now.Time.Round(0).Sub(begun.Time.Round(0))
	switch {
	case now.SameBoot(begun):
		passed = max(passed, now.Uptime-begun.Uptime)
	case passed < 0:
		return 0
	default:
		passed = max(passed, now.Past.Sub(begun.Time.Round(0)))
	}
	return max(0, expires.Round(0).Sub(begun.Time.Round(0))-passed)
}

// SameBoot reports whether both readings were taken in the same boot of the same machine.
func (now Reading) SameBoot(other Reading) bool { return now.Boot != "" && now.Boot == other.Boot }
