package main

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// quantile returns the value below which the share q (0 to 1) of the values lies.
func quantile[T cmp.Ordered](values []T, q float64) T {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[min(int(q*float64(len(sorted))), len(sorted)-1)]
}

func median[T cmp.Ordered](values []T) T { return quantile(values, 0.5) }

func milliseconds(d time.Duration) string {
	return fmt.Sprintf("%.2f ms", float64(d.Microseconds())/1000)
}

// pairs are durations measured by turns with others, their baseline. Whatever else the machine does is shared fairly.
type pairs struct{ measured, baseline []time.Duration }

// add measures both once more, the one that was first last time being second.
func (p *pairs) add(measured, baseline func() (time.Duration, error)) error {
	order := []func() error{
		func() error { return record(&p.measured, measured) },
		func() error { return record(&p.baseline, baseline) },
	}
	if len(p.measured)%2 == 1 {
		slices.Reverse(order)
	}
	for _, do := range order {
		if err := do(); err != nil {
			return err
		}
	}
	return nil
}

func record(to *[]time.Duration, measure func() (time.Duration, error)) error {
	took, err := measure()
	*to = append(*to, took)
	return err
}

// ratios are those of each duration to its baseline.
func (p pairs) ratios() []float64 {
	ratios := make([]float64, len(p.measured))
	for i := range ratios {
		ratios[i] = float64(p.measured[i]) / float64(p.baseline[i])
	}
	return ratios
}

// row compares the durations to the baseline, of which they may be a multiple up to the bar.
func (p pairs) row(what, command, baseline string, bar float64) row {
	r := row{
		What: what, Command: command, Measured: milliseconds(median(p.measured)),
		Baseline: baseline + " " + milliseconds(median(p.baseline)), Bar: fmt.Sprintf("≤ %.2f", bar),
	}
	r.setRatio(p.ratios())
	r.Met = median(p.ratios()) <= bar
	return r
}
