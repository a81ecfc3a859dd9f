package main

import (
	"fmt"
	"slices"
	"time"
)

// sample is a set of durations.
type sample []time.Duration

// quantile returns the duration below which the share q (0 to 1) of the sample lies.
func (s sample) quantile(q float64) time.Duration {
	sorted := slices.Sorted(slices.Values(s))
	return sorted[min(int(q*float64(len(sorted))), len(sorted)-1)]
}

func (s sample) median() time.Duration { return s.quantile(0.5) }

// spread is the range that holds the middle 80 % of the sample.
func (s sample) spread() string {
	return fmt.Sprintf("p10 %s, p90 %s", milliseconds(s.quantile(0.1)), milliseconds(s.quantile(0.9)))
}

func milliseconds(d time.Duration) string {
	return fmt.Sprintf("%.1f ms", float64(d.Microseconds())/1000)
}
