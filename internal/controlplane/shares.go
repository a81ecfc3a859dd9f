package controlplane

import (
	"container/list"
	"net/netip"
	"sync"
)

// shares bounds what strangers hold at one time, in all and from each source. Who comes beyond pushes out the oldest of
// their own source, or of the source that holds most: nobody is kept out by those who came first and stay.
type shares struct {
	total, each int

	mu      sync.Mutex
	held    int
	sources map[netip.Addr]*source
}

// source is what one source holds.
type source struct {
	held   int
	places *list.List // of *place, the oldest first
}

// place is one thing that is held.
type place struct {
	shares  *shares
	from    netip.Addr
	weight  int
	drop    func() // ends it; called at most once, without waiting
	element *list.Element
}

func newShares(total, each int) *shares {
	return &shares{total: total, each: each, sources: map[netip.Addr]*source{}}
}

// enter takes a place of the weight, which is each at most. Others are dropped for it if need be.
func (s *shares) enter(from netip.Addr, weight int, drop func()) *place {
	s.mu.Lock()
	defer s.mu.Unlock()
	own := s.sources[from]
	if own == nil {
		own = &source{places: list.New()}
		s.sources[from] = own
	}
	for own.held+weight > s.each {
		s.push(own)
	}
	for s.held+weight > s.total {
		s.push(s.greediest())
	}
	p := &place{shares: s, from: from, weight: weight, drop: drop}
	s.sources[from] = own // it may have been emptied meanwhile
	p.element = own.places.PushBack(p)
	own.held, s.held = own.held+weight, s.held+weight
	return p
}

// leave gives the place back. To leave one that was dropped, or twice, does nothing.
func (p *place) leave() {
	p.shares.mu.Lock()
	defer p.shares.mu.Unlock()
	p.shares.remove(p)
}

// push drops the oldest place of the source.
func (s *shares) push(from *source) {
	oldest := from.places.Front().Value.(*place)
	s.remove(oldest)
	oldest.drop()
}

func (s *shares) remove(p *place) {
	if p.element == nil {
		return
	}
	own := s.sources[p.from]
	own.places.Remove(p.element)
	p.element = nil
	own.held, s.held = own.held-p.weight, s.held-p.weight
	if own.held == 0 {
		delete(s.sources, p.from)
	}
}

// greediest returns the source that holds most.
func (s *shares) greediest() *source {
	var most *source
	for _, source := range s.sources {
		if most == nil || source.held > most.held {
			most = source
		}
	}
	return most
}
