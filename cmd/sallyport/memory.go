package main

import (
	"context"
	"os"
	"runtime/debug"
	"time"
)

// How a control plane treats memory: most of it is links that idle, and most of the time nobody calls. While calls
// come in by the hundred, garbage may pile up, as collecting it would take a sixth of the processor; otherwise it
// is collected early, as every link would cost a third more; and when nobody has called for a while, what is free
// goes back to the system.
const (
	busyRate    = 200 // calls a second
	busyPercent = 200 // garbage that may pile up, in percent of what is in use (see GOGC)
	calmPercent = 25
	quietTime   = 15 // seconds without a call
)

// tendMemory does so until the context is done. answered tells how many calls there have been. A GOGC in the
// environment is left as it is.
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
			debug.FreeOSMemory() // ten milliseconds or so with a thousand links, when nobody waits
		}
	}
}
