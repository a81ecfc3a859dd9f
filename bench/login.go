package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"time"
)

// measureLogin compares whole logins: by a pushed key to by a key in authorized_keys, and by the latter on a machine
// whose agent is away to the same without enrollment.
func measureLogin(ctx context.Context) ([]row, error) {
	const rounds, bar = 100, 1.08
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
	command := fmt.Sprintf("ssh host true, %d each by turns", rounds)
	byFile := func() (time.Duration, error) { return m.login(ctx, m.port, ordinary) }
	var pushed, away pairs
	for range rounds {
		// A fresh key each time, as people push one. The push itself is not part of the login.
		key, err := m.newKey("bench-pushed")
		if err != nil {
			return nil, err
		}
		if err := m.push(ctx, key); err != nil {
			return nil, err
		}
		byPush := func() (time.Duration, error) { return m.login(ctx, m.port, key) }
		if err := pushed.add(byPush, byFile); err != nil {
			return nil, err
		}
	}
	plainPort, stop, err := m.startPlainSSHD()
	if err != nil {
		return nil, err
	}
	defer stop()
	if err := m.stopAgent(ctx); err != nil {
		return nil, err
	}
	plain := func() (time.Duration, error) { return m.login(ctx, plainPort, ordinary) }
	for range rounds {
		if err := away.add(byFile, plain); err != nil {
			return nil, err
		}
	}
	return []row{
		pushed.row("login by a pushed key", command, "by a key in authorized_keys", bar),
		away.row("ordinary login, agent stopped", command, "without enrollment", bar),
	}, nil
}

// login logs in to the sshd at the port and returns how long it took.
func (m *machine) login(ctx context.Context, port string, k key) (time.Duration, error) {
	cmd := exec.CommandContext(ctx, "ssh", "-F", "none", "-i", k.file, "-p", port, "-o", "IdentitiesOnly=yes",
		"-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=accept-new", "root@127.0.0.1", "true")
	began := time.Now()
	output, err := cmd.CombinedOutput()
	took := time.Since(began)
	if err != nil {
		return 0, fmt.Errorf("log in by %s: %w: %s", k.file, err, output)
	}
	return took, nil
}

// authorize puts the key where it is for good.
func (m *machine) authorize(k key) error {
	if err := os.MkdirAll("/root/.ssh", 0o700); err != nil {
		return err
	}
	return os.WriteFile("/root/.ssh/authorized_keys", []byte(k.public+"\n"), 0o600)
}
