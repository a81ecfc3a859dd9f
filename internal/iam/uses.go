package iam

import (
	"context"
	"strings"
	"time"
)

const (
	useInterval   = time.Minute // uses of one key within it are recorded once
	maxQueuedUses = 256         // what comes faster than the store takes it is not recorded
	useDrain      = 5 * time.Second
)

type use struct {
	accessKeyID string
	LastUse
}

// Used implements gate.Uses: it notes that a request signed with the access key was verified. source is the
// event source of the service, "ec2.amazonaws.com". It never waits; Run does the writing. A use may be lost.
func (s *Service) Used(accessKeyID, source, region string) {
	cached := s.principals.get(accessKeyID)
	if cached == nil || !strings.HasPrefix(accessKeyID, accessKeyPrefix) {
		return
	}
	now := s.now().UTC()
	last := cached.touched.Load()
	if now.Sub(time.Unix(last, 0)) < useInterval || !cached.touched.CompareAndSwap(last, now.Unix()) {
		return
	}
	service, _, _ := strings.Cut(source, ".")
	select {
	case s.uses <- use{accessKeyID, LastUse{Time: now.Truncate(time.Second), Service: service, Region: region}}:
	default:
	}
}

// Run writes the uses of access keys to the store until ctx ends, and then those that are still queued. A use
// that cannot be written is dropped: it is worth no request.
func (s *Service) Run(ctx context.Context) {
	for {
		select {
		case u := <-s.uses:
			s.store.TouchAccessKey(ctx, u.accessKeyID, u.LastUse)
		case <-ctx.Done():
			s.drain(context.WithoutCancel(ctx))
			return
		}
	}
}

func (s *Service) drain(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, useDrain)
	defer cancel()
	for {
		select {
		case u := <-s.uses:
			s.store.TouchAccessKey(ctx, u.accessKeyID, u.LastUse)
		default:
			return
		}
	}
}
