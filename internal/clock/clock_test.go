package clock_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/sallyport/sallyport/internal/clock"
	"github.com/sallyport/sallyport/internal/clock/clocktest"
)

func noon() time.Time { return time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC) }

func TestLeft(t *testing.T) {
	const up = 5 * time.Hour
	begun := clock.Reading{Time: noon(), Boot: "first", Uptime: up}
	expires := noon().Add(time.Minute)
	for _, c := range []struct {
		name   string
		now    clock.Reading
		left   time.Duration
		nobody bool // whether begun and now know their boots
	}{
		{name: "at once", now: begun, left: time.Minute},
		{name: "later", now: clock.Reading{Time: noon().Add(20 * time.Second), Boot: "first", Uptime: up + 20*time.Second}, left: 40 * time.Second},
		{name: "its minute is over", now: clock.Reading{Time: expires, Boot: "first", Uptime: up + time.Minute}},
		{name: "the time was set back", now: clock.Reading{Time: noon().Add(-30 * time.Minute), Boot: "first", Uptime: up + 20*time.Second}, left: 40 * time.Second},
		{name: "set back, and over", now: clock.Reading{Time: noon().Add(-30 * time.Minute), Boot: "first", Uptime: up + 61*time.Second}},
		{name: "the time was set forward", now: clock.Reading{Time: noon().Add(59 * time.Second), Boot: "first", Uptime: up + time.Second}, left: time.Second},
		{name: "rebooted", now: clock.Reading{Time: noon().Add(20 * time.Second), Boot: "second", Uptime: 9 * time.Hour}, left: 40 * time.Second},
		{name: "rebooted, and over", now: clock.Reading{Time: expires, Boot: "second", Uptime: up}},
		{name: "rebooted, and the time was set back", now: clock.Reading{Time: noon().Add(-time.Second), Boot: "second", Uptime: up}},
		{name: "rebooted, set back, and known to be over",
			now: clock.Reading{Time: noon().Add(time.Second), Boot: "second", Uptime: up, Past: expires}},
		{name: "what is known counts after a reboot only", left: 40 * time.Second,
			now: clock.Reading{Time: noon(), Boot: "first", Uptime: up + 20*time.Second, Past: expires}},
		{name: "no boot is known", nobody: true, now: clock.Reading{Time: noon().Add(-time.Second), Uptime: up}},
	} {
		from := begun
		if c.nobody {
			from.Boot = ""
		}
		if got := c.now.Left(from, expires); got != c.left {
			t.Errorf("%s: %v left, want %v", c.name, got, c.left)
		}
	}
}

// However the time of day is set and the machine rebooted, nothing has more left than it had by a clock that is right.
func TestLeftNeverGrowsWithinABoot(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		length := time.Duration(rapid.Int64Range(1, int64(time.Hour)).Draw(t, "length"))
		begun := clock.Reading{Time: noon(), Boot: "one", Uptime: time.Hour}
		passed := time.Duration(rapid.Int64Range(0, int64(2*time.Hour)).Draw(t, "passed"))
		set := time.Duration(rapid.Int64Range(int64(-72*time.Hour), int64(72*time.Hour)).Draw(t, "set"))
		now := clock.Reading{Time: noon().Add(passed + set), Boot: "one", Uptime: time.Hour + passed}
		left := now.Left(begun, noon().Add(length))
		if left > max(0, length-passed) || left < 0 {
			t.Fatalf("%v after %v of %v, with the time set by %v", left, passed, length, set)
		}
		if set <= 0 && left != max(0, length-passed) {
			t.Fatalf("a time that was set back took %v away", max(0, length-passed)-left)
		}
	})
}

func TestAfter(t *testing.T) {
	machine := clocktest.New(noon())
	known := clock.Clock(machine.Read).After(noon().Add(time.Hour))
	machine.Pass(time.Minute)
	machine.Set(-time.Hour)
	if now := known(); !now.Past.Equal(noon().Add(time.Hour+time.Minute)) || !now.Time.Equal(noon().Add(-59*time.Minute)) {
		t.Errorf("%+v", now)
	}
}

func TestSystem(t *testing.T) {
	system := clock.System()
	first := system()
	if second := system(); !second.SameBoot(first) || second.Uptime < first.Uptime || first.Uptime <= 0 {
		t.Errorf("%+v, then %+v", first, second)
	}
	if (clock.Reading{}).SameBoot(clock.Reading{}) {
		t.Error("two readings of unknown boots are of one")
	}
}
