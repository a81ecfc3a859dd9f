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
	// at is a reading: the time of day since noon, and the uptime since what began.
	at := func(day time.Duration, boot string, uptime time.Duration) clock.Reading {
		return clock.Reading{Time: noon().Add(day), Boot: boot, Uptime: up + uptime}
	}
	past := func(r clock.Reading) clock.Reading {
		r.Past = expires
		return r
	}
	const s = time.Second
	for name, c := range map[string]struct {
		now  clock.Reading
		left time.Duration
	}{
		"at once":                              {begun, 60 * s},
		"later":                                {at(20*s, "first", 20*s), 40 * s},
		"its minute is over":                   {at(60*s, "first", 60*s), 0},
		"set back":                             {at(-1800*s, "first", 20*s), 40 * s},
		"set back, and over":                   {at(-1800*s, "first", 61*s), 0},
		"set forward":                          {at(59*s, "first", s), s},
		"rebooted":                             {at(20*s, "second", 9000*s), 40 * s},
		"rebooted, and over":                   {at(60*s, "second", 0), 0},
		"rebooted, and set to before it began": {at(-s, "second", 0), 0},
		"rebooted, set back, known to be over": {past(at(s, "second", 0)), 0},
		"what is known, in the same boot":      {past(at(0, "first", 20*s)), 40 * s},
		"its boot is not known":                {at(-s, "", 0), 0},
	} {
		if got := c.now.Left(begun, expires); got != c.left {
			t.Errorf("%s: %v left, want %v", name, got, c.left)
		}
	}
	begun.Boot = ""
	if got := at(-s, "", 0).Left(begun, expires); got != 0 {
		t.Errorf("no boot is known, and the time was set back: %v left", got)
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
