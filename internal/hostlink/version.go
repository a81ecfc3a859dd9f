package hostlink

import (
	"time"

	"github.com/sallyport/sallyport/internal/fault"
	"github.com/sallyport/sallyport/internal/hostproto"
)

// mismatchMemory is how long it is remembered that an agent of another version was refused. It comes again sooner.
const mismatchMemory = time.Minute

// mismatch is what is known of an agent that speaks another version of the link's protocol.
type mismatch struct {
	last    time.Duration // when it was last refused
	version int           // what it speaks; 0 if none was refused
}

func (m mismatch) remembered(now time.Duration) bool {
	return m.version != 0 && now < m.last+mismatchMemory
}

// checkVersion refuses the host's agent if it speaks another version than ours, and remembers that.
func (l *Links) checkVersion(instanceID string, version int) error {
	problem := hostproto.VersionProblem(version, hostproto.Version)
	if problem == "" {
		return nil
	}
	l.mu.Lock()
	past, now := l.past[instanceID], l.clock().Uptime
	news := !past.mismatch.remembered(now)
	past.mismatch = mismatch{last: now, version: version}
	l.past[instanceID] = past
	l.mu.Unlock()
	if news {
		l.log.Warn("an agent of another version is refused", "instance", instanceID, "error", problem)
	}
	return fault.New(fault.WrongState, fault.Link, "%s", problem)
}
