package main

import (
	"context"
	"os"
	"runtime/debug"
	"time"
)

// A control plane's memory is mostly idle links, and most of the time no calls come in. While calls come in by the
// hundred, garbage may pile up, as collecting it would take a sixth of the processor. Otherwise it is collected early,
// as each link would take a third more memory. After a while without calls, free memory is returned to the system.
const (
	busyRate    = 200 // calls a second
	busyPercent = 200 // garbage allowed, in percent of the memory in use (see GOGC)
	calmPercent = 25
	quietTime   = 15 // seconds without a call
)

// tendMemory sets the garbage collector's target accordingly until the context is done. answered returns the number of
// calls so far. A GOGC in the environment is left as it is.
func tendMemory(ctx context.Context, answered func() int64) {
	percent := calmPercent
	set := func(to int) {
		if os.Getenv("GOGC") == "" {
			percent = to
			debug.SetGCPercent(to)
		}
	}
	set(calmPercent)
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for before, quiet := answered(), 0; ; {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		now := answered()
		rate := now - before
		before = now
		if rate >= busyRate && percent != busyPercent {
			set(busyPercent)
		} else if rate < busyRate && percent != calmPercent {
			set(calmPercent)
		}
		if quiet++; rate > 0 {
			quiet = 0
		}
		if quiet > 0 && quiet%quietTime == 0 {
			debug.FreeOSMemory() // about 10 ms with a thousand links, at a time when no call waits
		}
	}
}
