package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// The enrollment that `sallyport up` makes.
const (
	hostDirectory = "/var/lib/sallyport/up/host"
	keysProgram   = hostDirectory + "/sallyport-keys"
	agentSocket   = hostDirectory + "/run/host.sock"
)

// measureKeys runs the keys helper as sshd does, with the agent running: for a user with a live grant and for one
// without. The baseline is a Go program that does nothing, built like the helper.
func measureKeys(ctx context.Context) ([]row, error) {
	const runs, bar = 400, 1.4 // a grant lives 60 seconds
	m, err := newMachine(ctx)
	if err != nil {
		return nil, err
	}
	defer m.down()
	key, err := m.newKey("bench-keys")
	if err != nil {
		return nil, err
	}
	var rows []row
	for _, helper := range []struct {
		finds, user, prints string
	}{{"found", "root", key.public + "\n"}, {"not found", "daemon", ""}} {
		if err := m.push(ctx, key); err != nil {
			return nil, err
		}
		ask := func() (time.Duration, error) {
			return runOnce(helper.prints, keysProgram, agentSocket, helper.user, key.fingerprint)
		}
		var taken pairs
		for range runs {
			if err := taken.add(ask, runEmpty); err != nil {
				return nil, err
			}
		}
		rows = append(rows, taken.row("keys helper, "+helper.finds,
			fmt.Sprintf("sallyport-keys, %d runs", runs), "empty static Go program", bar))
	}
	return rows, nil
}

func runEmpty() (time.Duration, error) { return runOnce("", filepath.Join(programs, emptyProgram)) }

// runOnce runs a program as plainly as can be, its output into a file, so that as little as possible of what is
// measured is our own doing.
func runOnce(prints string, argv ...string) (took time.Duration, err error) {
	file, err := os.CreateTemp("", "keys-")
	if err != nil {
		return 0, err
	}
	defer os.Remove(file.Name())
	defer file.Close()
	began := time.Now()
	attributes := &os.ProcAttr{Env: os.Environ(), Files: []*os.File{nil, file, os.Stderr}}
	process, err := os.StartProcess(argv[0], argv, attributes)
	if err != nil {
		return 0, err
	}
	state, err := process.Wait()
	took = time.Since(began)
	if err != nil {
		return 0, err
	}
	output, err := os.ReadFile(file.Name())
	if err == nil && (!state.Success() || string(output) != prints) {
		err = fmt.Errorf("%q printed %q and ended with %s, want %q", argv, output, state, prints)
	}
	return took, err
}
