package hostlink

import (
	"time"

	"github.com/sallyport/sallyport/internal/fault"
	"github.com/sallyport/sallyport/internal/hostproto"
)

// mismatchMemory is how long a refusal of an agent of another version is remembered. The agent connects again sooner.
const mismatchMemory = time.Minute

// mismatch describes an agent that speaks another version of the link's protocol.
type mismatch struct {
	last    time.Duration // when it was last refused
	version int           // the agent's; 0 if none was refused
}

func (m mismatch) remembered(now time.Duration) bool {
	return m.version != 0 && now < m.last+mismatchMemory
}

// checkVersion returns an error, and remembers it as the host's problem, if the agent's version is not
// hostproto.Version.
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
