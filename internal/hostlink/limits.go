package hostlink

import (
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// limits bound what machines can make the control plane do. They outlive a machine's links, so that connecting again
// gains nothing.
type limits struct {
	now func() time.Time

	mu    sync.Mutex
	hosts map[string]*hostLimits // by instance id, of enrolled instances only
}

type hostLimits struct {
	links    *rate.Limiter
	reports  *rate.Limiter
	releases *rate.Limiter
}

func newLimits(now func() time.Time) *limits {
	return &limits{now: now, hosts: make(map[string]*hostLimits)}
}

func (l *limits) of(instanceID string) *hostLimits {
	l.mu.Lock()
	defer l.mu.Unlock()
	found, ok := l.hosts[instanceID]
	if !ok {
		found = &hostLimits{
			links:    rate.NewLimiter(1, 20),
			reports:  rate.NewLimiter(rate.Every(10*time.Second), 10),
			releases: rate.NewLimiter(20, 200),
		}
		l.hosts[instanceID] = found
	}
	return found
}
