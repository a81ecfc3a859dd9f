package hostlink

import (
	"context"
	"fmt"
	"time"

	"github.com/sallyport/sallyport/internal/fault"
	"github.com/sallyport/sallyport/internal/hostproto"
)

// A copy of a machine, such as a clone or a restored backup, has the original's key. If both are up, each would take
// the link from the other, again and again. What an agent says of itself does not tell whether it is a second one,
// since a copy says the same. It is a second one if the first is still there, which means that it answers over its
// link: an agent that restarted or lost its network no longer answers on its old link. So the first agent stays and the
// second is turned away, unless the second is on the machine that was enrolled, which the fingerprint tells if the copy
// has another one.

const (
	// maxFingerprint is the most characters of a machine's fingerprint that are used.
	maxFingerprint = 64
	// aliveTimeout is how long an agent may take to answer a ping. A link whose other end vanished delays the host's
	// next link by as much.
	aliveTimeout = 3 * time.Second
	// contentionMemory is how long a contention is remembered after the second machine was turned away. That machine
	// connects again sooner.
	contentionMemory = 4 * hostproto.DuplicateRetry
	// homecoming is how long, after the link of the enrolled machine ended, no other machine gets the host's link: the
	// enrolled machine may only have lost its connection.
	homecoming = 30 * time.Second
	// contendedHomecoming is homecoming for a host that two machines asked for.
	contendedHomecoming = 10 * time.Minute
)

// past is what Links remembers of a host.
type past struct {
	left    time.Duration // when its last link ended; 0 if it had none
	machine string        // the fingerprint of the machine that had the link
	contention
	mismatch mismatch
}

// contention describes two machines with one key.
type contention struct {
	last    time.Duration // when the second was last turned away; 0 if none was
	settled bool          // the linked machine is the enrolled one, and the other is not
	between string        // describes both
}

// remembered reports whether the contention still counts.
func (c contention) remembered(now time.Duration) bool {
	return c.last != 0 && now < c.last+contentionMemory
}

// sentence says that two machines have the host's identity, and what to do.
func (c contention) sentence() string {
	return fmt.Sprintf("Two machines use its identity: %s. On the one that is a copy, run `sallyport-host unenroll`, "+
		"and enroll it with a token of its own.", c.between)
}

// standing is the outcome of adding a link.
type standing int

const (
	refused  standing = iota // another machine has the host's identity
	draining                 // Drain has begun
	admitted
)

// add makes the link the host's unless another machine has the host's identity. known is the fingerprint of the machine
// that was enrolled. contended reports that two machines ask for the link and that this is news.
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
		case refused: // another link was added meanwhile
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

// replace puts the link in the place of old, which is nil if there is none.
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

// alive reports whether the agent answers a ping.
func (l *link) alive(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, aliveTimeout)
	defer cancel()
	_, err := l.call(ctx, hostproto.Message{Ping: &hostproto.Ping{}})
	return err == nil
}

// awaited reports whether the link is not the enrolled machine's, and that machine may be about to come back.
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

// contend records that two machines ask for the link, holder which has it, and other. It reports whether that is news.
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

// undecided returns the fault of a push to a host if it is not known which of two machines is meant, and nil otherwise.
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
