package ca

import (
	"sync"
	"time"

	"github.com/sallyport/sallyport/internal/keyblob"
)

// Signers keeps a signer per region. It replaces a signer when half its life is over or the clock was set back to
// before it, so that a control plane that runs for years always has one. It is safe for concurrent use.
type Signers struct {
	authority *Authority
	domain    string
	now       func() time.Time

	mu       sync.Mutex
	byRegion map[string]keyblob.Signer
}

// Signers returns the signers of a domain. It makes none yet.
func (a *Authority) Signers(domain string, now func() time.Time) *Signers {
	return &Signers{authority: a, domain: domain, now: now, byRegion: map[string]keyblob.Signer{}}
}

// Signer returns the region's signer, which is valid now and for at least about 15 more days.
func (s *Signers) Signer(region string) (keyblob.Signer, error) {
	now := s.now()
	s.mu.Lock()
	defer s.mu.Unlock()
	if signer, ok := s.byRegion[region]; ok && fresh(signer.Certificate(), now) {
		return signer, nil
	}
	signer, err := s.authority.Signer(region, s.domain, now)
	if err != nil {
		return nil, err
	}
	s.byRegion[region] = signer
	return signer, nil
}
