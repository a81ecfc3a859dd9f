package main

import (
	"context"
	"fmt"
	"math"
	"time"
)

// measureIdle links hosts and asks what the server's memory has grown by once everything is quiet. The first few
// hosts are not counted: with them come the parts of the program that an empty server has never run.
func measureIdle(ctx context.Context, bin string) ([]row, error) {
	const first, hosts, barKB = 100, 1000, 60
	const settle = 40 * time.Second // in which a server gives back what linking took
	s, err := startServer(ctx, bin)
	if err != nil {
		return nil, err
	}
	defer s.stop()
	_, disconnectFirst, err := s.hosts(ctx, first)
	if err != nil {
		return nil, err
	}
	defer disconnectFirst()
	if err := wait(ctx, settle); err != nil {
		return nil, err
	}
	before, err := s.residentKB()
	if err != nil {
		return nil, err
	}
	_, disconnect, err := s.hosts(ctx, hosts)
	if err != nil {
		return nil, err
	}
	defer disconnect()
	if err := wait(ctx, settle); err != nil {
		return nil, err
	}
	lowest, highest := math.MaxInt, 0
	for range 12 {
		if err := wait(ctx, 5*time.Second); err != nil {
			return nil, err
		}
		now, err := s.residentKB()
		if err != nil {
			return nil, err
		}
		lowest, highest = min(lowest, now), max(highest, now)
	}
	each := func(kb int) float64 { return float64(kb-before) / hosts }
	return []row{{
		What:     fmt.Sprintf("server's memory for each of %d more linked hosts, idle", hosts),
		Command:  "sallyport serve, highest VmRSS of 60 s",
		Measured: fmt.Sprintf("%.1f KB", each(highest)), Baseline: fmt.Sprintf("%d MB with %d hosts", before/1024, first),
		Ratio: "none", Spread: fmt.Sprintf("lowest %.1f KB", each(lowest)),
		Bar: fmt.Sprintf("≤ %d KB", barKB), Met: each(highest) <= barKB,
	}}, nil
}

func wait(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
