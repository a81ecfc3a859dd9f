package controlplane

import (
	"context"
	"time"

	"github.com/sallyport/sallyport/internal/clock"
	"github.com/sallyport/sallyport/internal/trail"
)

// forgetInterval is how often old things are looked for.
const forgetInterval = 10 * time.Minute

// forget drops what is over for good, now and then, until the context is done.
func (s *Server) forget(ctx context.Context) {
	ticker := time.NewTicker(forgetInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			s.forgetAt(ctx, s.settled.at(s.clock()))
		}
	}
}

// forgetAt drops what is over at the time: grants, enrollment tokens, sessions, and events beyond their retention.
func (s *Server) forgetAt(ctx context.Context, now time.Time) {
	events := func(ctx context.Context, now time.Time) error {
		return s.store.PruneEvents(ctx, now.Add(-trail.Retention))
	}
	for what, prune := range map[string]func(context.Context, time.Time) error{
		"grants": s.parts.keys.Prune, "host tokens": s.parts.instances.Prune,
		"sessions": s.parts.identities.Prune, "events": events,
	} {
		if err := prune(ctx, now); err != nil && ctx.Err() == nil {
			s.log.Error("what is over could not be dropped", "what", what, "error", err)
		}
	}
}

// settling is how long a clock that was set forward must stay so, before anything is forgotten by it.
const settling = 24 * time.Hour

// settled is the time of day by which things are forgotten, which nobody can undo: a clock that is a year ahead for ten
// minutes must not take the trail along. It goes back with the clock at once, and forward after a day.
type settled struct {
	since time.Duration // the uptime at which today began

	// The time of day at the uptime zero, by the earliest reading of the day, and of the day before.
	today, before time.Time
}

// settle begins at a reading. It trusts a time that is later than the newest event as little as one that was set since.
func settle(now clock.Reading) *settled {
	s := &settled{since: now.Uptime, today: atBoot(now), before: atBoot(now)}
	if !now.Past.IsZero() {
		s.before = earlier(now.Past.Add(-now.Uptime), s.before)
	}
	return s
}

// at returns the settled time of day at the reading. It is for one goroutine.
func (s *settled) at(now clock.Reading) time.Time {
	if now.Uptime-s.since >= settling {
		s.before, s.today, s.since = s.today, atBoot(now), now.Uptime
	}
	s.today = earlier(s.today, atBoot(now))
	return earlier(s.before, s.today).Add(now.Uptime)
}

// atBoot is what the time of day was at the uptime zero, had the clock not been set since.
func atBoot(now clock.Reading) time.Time { return now.Time.Round(0).Add(-now.Uptime) }

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
