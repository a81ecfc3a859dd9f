package controlplane

import (
	"context"
	"time"

	"github.com/sallyport/sallyport/internal/clock"
	"github.com/sallyport/sallyport/internal/gate"
	"github.com/sallyport/sallyport/internal/trail"
)

const (
	// forgetInterval is how often expired data is deleted.
	forgetInterval = 10 * time.Minute
	// usesInterval is how often the last uses of access keys are saved; until then they are in memory only.
	usesInterval = time.Minute
)

// keep does the background work until the context is done.
func (s *Server) keep(ctx context.Context) {
	forget, uses := time.NewTicker(forgetInterval), time.NewTicker(usesInterval)
	defer forget.Stop()
	defer uses.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-uses.C:
			s.saveUses(ctx)
		case <-forget.C:
			s.forgetAt(ctx, s.settled.at(s.clock()))
		}
	}
}

// saveUses saves the last uses of access keys.
func (s *Server) saveUses(ctx context.Context) {
	if err := s.parts.gate.Maintain(ctx, s.parts.identities.SaveUses); err != nil && ctx.Err() == nil {
		s.log.Warn("the last use of access keys could not be written", "error", err)
	}
}

// forgetAt deletes what has expired at the time: grants, enrollment tokens, sessions, and events beyond their
// retention.
func (s *Server) forgetAt(ctx context.Context, now time.Time) {
	events := func(tx *gate.Tx, now time.Time) (int64, error) {
		return trail.Prune(tx.Tx, now.Add(-trail.Retention))
	}
	for what, prune := range map[string]func(*gate.Tx, time.Time) (int64, error){
		"grants": s.parts.keys.Prune, "host tokens": s.parts.hosts.Prune,
		"sessions": s.parts.identities.Prune, "events": events,
	} {
		if err := s.prune(ctx, now, prune); err != nil && ctx.Err() == nil {
			s.log.Error("what is over could not be dropped", "what", what, "error", err)
		}
	}
}

// prune deletes batch after batch, each in a transaction of its own, until a batch deletes nothing.
func (s *Server) prune(ctx context.Context, now time.Time, batch func(*gate.Tx, time.Time) (int64, error)) error {
	for {
		var dropped int64
		err := s.parts.gate.Maintain(ctx, func(tx *gate.Tx) (err error) {
			dropped, err = batch(tx, now)
			return err
		})
		if err != nil || dropped == 0 {
			return err
		}
	}
}

// settling is how long a clock that was set forward must stay so before expired data is deleted by it.
const settling = 24 * time.Hour

// settled is the time of day by which expired data is deleted. Deleting cannot be undone, so a clock that is a year
// ahead for ten minutes must not delete the trail. The settled time follows the clock backwards at once, and forwards
// after a day.
type settled struct {
	since time.Duration // the uptime at which today began

	// The time of day at the uptime zero, by the earliest reading of this day and of the day before. A day here begins
	// at since.
	today, before time.Time
}

// settle returns a settled time that begins at a reading. A reading that is later than the newest event is not trusted
// before a day has passed.
func settle(now clock.Reading) *settled {
	s := &settled{since: now.Uptime, today: atBoot(now), before: atBoot(now)}
	if !now.Past.IsZero() {
		s.before = earlier(now.Past.Add(-now.Uptime), s.before)
	}
	return s
}

// at returns the settled time of day at the reading. Only one goroutine may call it.
func (s *settled) at(now clock.Reading) time.Time {
	if now.Uptime-s.since >= settling {
		s.before, s.today, s.since = s.today, atBoot(now), now.Uptime
	}
	s.today = earlier(s.today, atBoot(now))
	return earlier(s.before, s.today).Add(now.Uptime)
}

// atBoot returns the time of day at the uptime zero, if the clock was not set since.
func atBoot(now clock.Reading) time.Time { return now.Time.Round(0).Add(-now.Uptime) }

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
