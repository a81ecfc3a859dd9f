package main

import (
	"context"
	"fmt"
	"os/exec"
	"time"
)

// The enrollment that `sallyport up` makes.
const (
	hostDirectory = "/var/lib/sallyport/up/host"
	hostProgram   = hostDirectory + "/sallyport-host"
)

// measureKeys runs the keys helper as sshd does, with the agent running: for a user with a live grant and for one
// without. The baseline is a program that does nothing.
func measureKeys(ctx context.Context) ([]row, error) {
	const runs = 300
	m, err := newMachine(ctx)
	if err != nil {
		return nil, err
	}
	defer m.down()
	key, err := m.newKey("bench-keys")
	if err != nil {
		return nil, err
	}
	if err := m.push(ctx, key); err != nil {
		return nil, err
	}
	commands := map[string][]string{
		"nothing":   {"/bin/true"},
		"found":     {hostProgram, "keys", "--directory", hostDirectory, "root", key.fingerprint},
		"not found": {hostProgram, "keys", "--directory", hostDirectory, "daemon", key.fingerprint},
	}
	taken := map[string]sample{}
	// One of each in turn, so that whatever else the machine does is shared fairly. A grant lives 60 seconds.
	for range runs {
		for name, argv := range commands {
			began := time.Now()
			output, err := exec.CommandContext(ctx, argv[0], argv[1:]...).Output()
			if err != nil || (len(output) > 0) != (name == "found") {
				return nil, fmt.Errorf("%v printed %q: %w", argv, output, err)
			}
			taken[name] = append(taken[name], time.Since(began))
		}
	}
	line := func(name string, bar time.Duration) row {
		return row{
			What: "keys helper, " + name, Command: fmt.Sprintf("sallyport-host keys, %d runs", runs),
			Baseline: "/bin/true " + milliseconds(taken["nothing"].median()), Figure: milliseconds(taken[name].median()),
			Spread: taken[name].spread(), Bar: "≤ " + milliseconds(bar), Met: taken[name].median() <= bar,
		}
	}
	return []row{line("found", 5*time.Millisecond), line("not found", 4*time.Millisecond)}, nil
}
