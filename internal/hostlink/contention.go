package hostlink

import (
	"context"
	"fmt"
	"time"

	"github.com/sallyport/sallyport/internal/fault"
	"github.com/sallyport/sallyport/internal/hostproto"
)

// A copied machine, a clone of a virtual one or a restored backup, proves itself with the key of the one it is a copy
// of. Both being up, each would take the link from the other, again and again. Whether an agent that connects is a
// second one cannot be told by what it says of itself, since a copy says the same. It is a second one if the first is
// still there: asked over its link, it answers. An agent that restarted, or lost its network, answers no more on the
// link it had. So the first one stays and the second is turned away, unless the second is known to be the machine that
// was enrolled: by its fingerprint, where the copy has another.

const (
	// maxFingerprint is how many characters of a machine's fingerprint are taken.
	maxFingerprint = 64
	// aliveTimeout is how long an agent has to answer whether it is there. A link whose other end is gone without a
	// word delays the host's next link by so much.
	aliveTimeout = 3 * time.Second
	// contentionMemory is how long after a second machine was turned away there are two. It comes again sooner.
	contentionMemory = 4 * hostproto.DuplicateRetry
	// homecoming is how long no other machine than the one that was enrolled is taken in after that was there: it may only
	// have lost its link.
	homecoming = 30 * time.Second
	// contendedHomecoming is the same for a host that there were two of.
	contendedHomecoming = 10 * time.Minute
)

// past is what is remembered of a host.
type past struct {
	left    time.Duration // when its last link ended; 0 for never
	machine string        // the fingerprint of the machine that had the link
	contention
	mismatch mismatch
}

// contention is what is known of two machines with one key.
type contention struct {
	last    time.Duration // when the second was last turned away; 0 for never
	settled bool          // the one that is linked is the one that was enrolled, and the other is not
	between string        // who they are
}

// remembered reports whether there still are two.
func (c contention) remembered(now time.Duration) bool {
	return c.last != 0 && now < c.last+contentionMemory
}

// sentence says that there are two, and what to do.
func (c contention) sentence() string {
	return fmt.Sprintf("Two machines use its identity: %s. On the one that is a copy, run `sallyport-host unenroll`, "+
		"and enroll it with a token of its own.", c.between)
}

// standing is what becomes of a link that wants to be a host's.
type standing int

const (
	refused  standing = iota // another machine has the host's identity
	draining                 // nobody is taken in any more
	admitted
)

// add takes the link up if it is the host's, which was enrolled on the machine with the fingerprint that is known.
// contended says that there are two, and that it is news.
func (l *Links) add(ctx context.Context, link *link, known string) (_ standing, contended bool) {
	for {
		old := l.find(link.instanceID)
		alive := old != nil && old.alive(ctx)
		homecomer := known != "" && link.machine == known && alive && old.machine != known
		if alive && !homecomer {
			return refused, l.contend(old, link, known)
		}
		if old == nil && l.awaited(link, known) {
			return refused, false
		}
		switch l.replace(old, link) {
		case draining:
			return draining, false
		case refused: // meanwhile somebody else has become the host's
			continue
		}
		if homecomer {
			contended = l.contend(link, old, known)
			go old.bye(hostproto.ByeDuplicate)
		} else if old != nil {
			go old.bye(hostproto.ByeReplaced)
		}
		return admitted, contended
	}
}

// replace puts the link in the place of the old one, nil for none.
func (l *Links) replace(old, link *link) standing {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.draining:
		return draining
	case l.up[link.instanceID] != old:
		return refused
	}
	l.up[link.instanceID] = link
	past := l.past[link.instanceID]
	past.mismatch = mismatch{}
	l.past[link.instanceID] = past
	l.serving.Add(1)
	return admitted
}

// alive reports whether the agent answers on the link.
func (l *link) alive(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, aliveTimeout)
	defer cancel()
	_, err := l.call(ctx, hostproto.Message{Ping: &hostproto.Ping{}})
	return err == nil
}

// awaited reports whether the host's known machine may be about to come back, and the link's is another.
func (l *Links) awaited(link *link, known string) bool {
	l.mu.RLock()
	defer l.mu.RUnlock()
	past := l.past[link.instanceID]
	if known == "" || link.machine == "" || link.machine == known || link.machine == past.machine {
		return false
	}
	there, patience := past.left, homecoming
	if there == 0 {
		there = l.started
	}
	if past.last != 0 {
		patience = contendedHomecoming
	}
	return l.clock().Uptime < there+patience
}

// contend notes that there are two machines: the one that has the link, and the other. It reports whether that
// is news.
func (l *Links) contend(holder, other *link, known string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	past, now := l.past[holder.instanceID], l.clock().Uptime
	news := !past.remembered(now)
	past.contention = contention{
		last:    now,
		settled: known != "" && holder.machine == known && other.machine != "" && other.machine != known,
		between: fmt.Sprintf("%s has the link, and %s asks for it", holder.from, other.from),
	}
	l.past[holder.instanceID] = past
	return news
}

// undecided is the fault of a push to a host of which there are two, and nobody knows which is meant.
func (l *Links) undecided(instanceID string) error {
	l.mu.RLock()
	defer l.mu.RUnlock()
	c := l.past[instanceID].contention
	if c.settled || !c.remembered(l.clock().Uptime) {
		return nil
	}
	return fault.New(fault.WrongState, fault.Instance,
		"No key can be pushed to the instance %s now. %s", instanceID, c.sentence())
}
