package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"time"
)

// measureLogin compares whole logins to one sshd: by a pushed key, by a key in authorized_keys, and by the latter
// while the control plane is away.
func measureLogin(ctx context.Context) ([]row, error) {
	const rounds = 60
	m, err := newMachine(ctx)
	if err != nil {
		return nil, err
	}
	defer m.down()
	ordinary, err := m.newKey("bench-ordinary")
	if err != nil {
		return nil, err
	}
	if err := m.authorize(ordinary); err != nil {
		return nil, err
	}
	var byPush, byFile, alone sample
	for i := range rounds {
		// A fresh key each time, as people push one; the push itself is not part of the login.
		pushed, err := m.newKey(fmt.Sprintf("bench-pushed-%d", i))
		if err != nil {
			return nil, err
		}
		if err := m.push(ctx, pushed); err != nil {
			return nil, err
		}
		if err := timed(&byPush, func() error { return m.login(ctx, pushed) }); err != nil {
			return nil, err
		}
		if err := timed(&byFile, func() error { return m.login(ctx, ordinary) }); err != nil {
			return nil, err
		}
	}
	if err := m.killControlPlane(); err != nil {
		return nil, err
	}
	for range rounds {
		if err := timed(&alone, func() error { return m.login(ctx, ordinary) }); err != nil {
			return nil, err
		}
	}
	const pushBar, aloneBar = 15 * time.Millisecond, 50 * time.Millisecond
	more, slower := byPush.median()-byFile.median(), alone.median()-byFile.median()
	baseline := "key in authorized_keys " + milliseconds(byFile.median())
	return []row{
		{
			What: "login by a pushed key", Command: fmt.Sprintf("ssh host true, %d each in turn", rounds), Baseline: baseline,
			Figure: fmt.Sprintf("%s (%+.1f ms)", milliseconds(byPush.median()), float64(more.Microseconds())/1000),
			Spread: byPush.spread(), Bar: "median + ≤ " + milliseconds(pushBar), Met: more <= pushBar,
		},
		{
			What: "ordinary login, control plane killed", Command: fmt.Sprintf("ssh host true, %d runs", rounds), Baseline: baseline,
			Figure: fmt.Sprintf("%s (%+.1f ms)", milliseconds(alone.median()), float64(slower.Microseconds())/1000),
			Spread: alone.spread(), Bar: "median + ≤ " + milliseconds(aloneBar), Met: slower <= aloneBar,
		},
	}, nil
}

func timed(s *sample, do func() error) error {
	began := time.Now()
	err := do()
	*s = append(*s, time.Since(began))
	return err
}

func (m *machine) login(ctx context.Context, k key) error {
	output, err := exec.CommandContext(ctx, "ssh", "-F", "none", "-i", k.file, "-p", m.port, "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes",
		"-o", "StrictHostKeyChecking=accept-new", "root@127.0.0.1", "true").CombinedOutput()
	if err != nil {
		return fmt.Errorf("log in by %s: %w: %s", k.file, err, output)
	}
	return nil
}

// authorize puts the key where it is for good.
func (m *machine) authorize(k key) error {
	if err := os.MkdirAll("/root/.ssh", 0o700); err != nil {
		return err
	}
	return os.WriteFile("/root/.ssh/authorized_keys", []byte(k.public+"\n"), 0o600)
}
