package main

import (
	"context"
	"fmt"
	"os"
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
			took, output, err := runOnce(argv)
			if err != nil || (len(output) > 0) != (name == "found") {
				return nil, fmt.Errorf("%v printed %q: %w", argv, output, err)
			}
			taken[name] = append(taken[name], took)
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

// runOnce runs a program as plainly as can be, its output into a file, so that as little as possible of what is
// measured is our own doing.
func runOnce(argv []string) (took time.Duration, output []byte, err error) {
	file, err := os.CreateTemp("", "keys-")
	if err != nil {
		return 0, nil, err
	}
	defer os.Remove(file.Name())
	defer file.Close()
	began := time.Now()
	process, err := os.StartProcess(argv[0], argv, &os.ProcAttr{Env: os.Environ(), Files: []*os.File{nil, file, os.Stderr}})
	if err != nil {
		return 0, nil, err
	}
	state, err := process.Wait()
	took = time.Since(began)
	if err == nil && !state.Success() {
		err = fmt.Errorf("it ended with %s", state)
	}
	if err != nil {
		return 0, nil, err
	}
	output, err = os.ReadFile(file.Name())
	return took, output, err
}
