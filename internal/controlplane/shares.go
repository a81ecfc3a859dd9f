package controlplane

import (
	"container/list"
	"net/netip"
	"sync"
)

// shares bounds what unauthenticated clients hold at one time, in total and for each source. A new place beyond a bound
// drops the oldest one of its own source, or of the source that holds the most, so that nobody is kept out by clients
// that came first and wait.
type shares struct {
	total, each int

	mu      sync.Mutex
	held    int
	sources map[netip.Addr]*source
}

// source is what one source holds.
type source struct {
	held   int
	places *list.List // of *place, those that can be dropped, the oldest first
}

// place is one thing that a source holds, such as a connection.
type place struct {
	shares  *shares
	from    netip.Addr
	weight  int
	drop    func()        // called at most once; must not block
	element *list.Element // in places; nil once the place is kept or gone
	gone    bool
}

func newShares(total, each int) *shares {
	return &shares{total: total, each: each, sources: map[netip.Addr]*source{}}
}

// enter takes a place of the weight, which must be at most each, and drops others for it if necessary. It returns nil
// if all places that could be dropped for it are kept.
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

// keep protects the place from being dropped. It still counts until leave.
func (p *place) keep() {
	p.shares.mu.Lock()
	defer p.shares.mu.Unlock()
	if p.element != nil {
		p.shares.sources[p.from].places.Remove(p.element)
		p.element = nil
	}
}

// leave gives the place back. It does nothing if the place was dropped or given back.
func (p *place) leave() {
	p.shares.mu.Lock()
	defer p.shares.mu.Unlock()
	p.shares.remove(p)
}

// push drops the source's oldest place that can be dropped. It reports false if there is none.
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

// greediest returns the source that holds the most, among those with a place that can be dropped; nil if there is none.
func (s *shares) greediest() *source {
	var most *source
	for _, source := range s.sources {
		if source.places.Len() > 0 && (most == nil || source.held > most.held) {
			most = source
		}
	}
	return most
}
