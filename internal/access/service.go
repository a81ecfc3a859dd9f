package access

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/sallyport/sallyport/internal/clock"
	"github.com/sallyport/sallyport/internal/trail"
)

// keepTallies is how long after the last release of a grant it is remembered how many there were.
const keepTallies = 24 * time.Hour

// Service pushes keys. It is safe for concurrent use.
type Service struct {
	store     Store
	instances Instances
	hosts     Hosts
	signers   Signers
	clock     clock.Clock

	mu       sync.Mutex
	releases map[string]tally // by the grant's request id
}

// New returns a Service. It panics if a collaborator is missing.
func New(store Store, instances Instances, hosts Hosts, signers Signers, clock clock.Clock) *Service {
	if store == nil || instances == nil || hosts == nil || signers == nil || clock == nil {
		panic("access: New needs a store, instances, hosts, signers and a clock")
	}
	return &Service{store: store, instances: instances, hosts: hosts, signers: signers, clock: clock, releases: map[string]tally{}}
}

// LiveGrants returns the grants that open the instance now. They are what the host's agent is to hold, so the
// link asks for them, and no pass is needed to tell a host of its own grants.
func (s *Service) LiveGrants(ctx context.Context, instanceID string) ([]Grant, error) {
	now := s.clock()
	grants, err := s.store.LiveGrants(ctx, instanceID, now.Boot, now.Time)
	return slices.DeleteFunc(grants, func(g Grant) bool { return g.Left(now) == 0 }), err
}

// Prune forgets, at the time, grants of before what the trail reaches back to. A host that was cut off tells of the releases it
// made when it is back, and each must find its grant as long as its event would still be kept. It is to be called
// every now and then, minutes apart.
func (s *Service) Prune(ctx context.Context, now time.Time) error {
	s.mu.Lock()
	for id, t := range s.releases {
		if t.last.Before(now.Add(-keepTallies)) {
			delete(s.releases, id)
		}
	}
	s.mu.Unlock()
	return s.store.PruneGrants(ctx, now.Add(-trail.Retention))
}
