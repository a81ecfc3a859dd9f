package controlplane

import (
	"context"
	"runtime/debug"
	"time"
)

// quietTime is how long nobody must call before memory is given back, and how often that is repeated while
// nobody does.
const quietTime = 15 * time.Second

// giveBack returns memory to the system while nobody calls. What a burst of calls or of hosts that connect leaves
// behind would otherwise stay with us until the next one; links that idle, by their pings, leave a little all the
// time. It costs a collection, some ten milliseconds with a thousand hosts, at a time when nobody waits.
func giveBack(ctx context.Context, answered func() int64) {
	ticker := time.NewTicker(quietTime)
	defer ticker.Stop()
	for before := answered(); ; {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		now := answered()
		if now == before {
			debug.FreeOSMemory()
		}
		before = now
	}
}
