package controlplane

import (
	"context"
	"time"
)

const (
	// authorityNotice is how long before the root certificate's end the operator is warned. Every machine pins the
	// root, so each has to be enrolled anew by then, which takes time.
	authorityNotice = 365 * 24 * time.Hour
	// authorityReminder is how often the warning is repeated.
	authorityReminder = 24 * time.Hour
)

// remindOfTheEnd warns of the root certificate's end, at once and then daily, until the context is done.
func (s *Server) remindOfTheEnd(ctx context.Context, end time.Time) {
	ticker := time.NewTicker(authorityReminder)
	defer ticker.Stop()
	for {
		s.warnOfTheEnd(end)
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

func (s *Server) warnOfTheEnd(end time.Time) {
	const advice = "set up a new deployment and enroll each machine with it"
	left := end.Sub(s.clock.Now())
	switch {
	case left <= 0:
		s.log.Error("the root certificate is over: no machine trusts this control plane any more; "+advice,
			"ended", end.UTC())
	case left < authorityNotice:
		s.log.Warn("the root certificate is near its end, "+
			"after which no machine trusts this control plane; "+advice+" before",
			"ends", end.UTC(), "days", int(left/(24*time.Hour)))
	}
}
