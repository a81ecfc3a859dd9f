package controlplane

import (
	"container/list"
	"net/netip"
	"sync"
)

// shares bounds what strangers hold at one time, in all and from each source. Who comes beyond pushes out the oldest of
// their own source, or of the source that holds most: nobody is kept out by those who came first and wait.
type shares struct {
	total, each int

	mu      sync.Mutex
	held    int
	sources map[netip.Addr]*source
}

// source is what one source holds.
type source struct {
	held   int
	places *list.List // of *place, those that can be pushed out, the oldest first
}

// place is one thing that is held.
type place struct {
	shares  *shares
	from    netip.Addr
	weight  int
	drop    func()        // ends it; called at most once, without waiting
	element *list.Element // in places; nil once it is kept or gone
	gone    bool
}

func newShares(total, each int) *shares {
	return &shares{total: total, each: each, sources: map[netip.Addr]*source{}}
}

// enter takes a place of the weight, which is each at most. Others are dropped for it if need be. It returns nil if
// those who could make room are all kept.
func (s *shares) enter(from netip.Addr, weight int, drop func()) *place {
	s.mu.Lock()
	defer s.mu.Unlock()
	for own := s.sources[from]; own != nil && own.held+weight > s.each; {
		if !s.push(own) {
			return nil
		}
	}
	for s.held+weight > s.total {
		if !s.push(s.greediest()) {
			return nil
		}
	}
	own := s.sources[from]
	if own == nil {
		own = &source{places: list.New()}
		s.sources[from] = own
	}
	p := &place{shares: s, from: from, weight: weight, drop: drop}
	p.element = own.places.PushBack(p)
	own.held, s.held = own.held+weight, s.held+weight
	return p
}

// keep keeps the place from being dropped, until it is left.
func (p *place) keep() {
	p.shares.mu.Lock()
	defer p.shares.mu.Unlock()
	if p.element != nil {
		p.shares.sources[p.from].places.Remove(p.element)
		p.element = nil
	}
}

// leave gives the place back. To leave one that was dropped, or twice, does nothing.
func (p *place) leave() {
	p.shares.mu.Lock()
	defer p.shares.mu.Unlock()
	p.shares.remove(p)
}

// push drops the oldest place of the source that can be dropped. It reports false if there is none.
func (s *shares) push(from *source) bool {
	if from == nil || from.places.Len() == 0 {
		return false
	}
	oldest := from.places.Front().Value.(*place)
	s.remove(oldest)
	oldest.drop()
	return true
}

func (s *shares) remove(p *place) {
	if p.gone {
		return
	}
	own := s.sources[p.from]
	if p.element != nil {
		own.places.Remove(p.element)
	}
	p.element, p.gone = nil, true
	own.held, s.held = own.held-p.weight, s.held-p.weight
	if own.held == 0 {
		delete(s.sources, p.from)
	}
}

// greediest returns the source that holds most, of those with a place that can be dropped; nil if there is none.
func (s *shares) greediest() *source {
	var most *source
	for _, source := range s.sources {
		if source.places.Len() > 0 && (most == nil || source.held > most.held) {
			most = source
		}
	}
	return most
}
