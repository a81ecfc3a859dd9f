// Package daemon starts programs that go on running after their caller has ended, and finds and stops them again. It
// identifies a process by more than its pid and its command line: a later process with the same pid, or a process of
// the same name in another container, is never mistaken for it.
package daemon

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/sallyport/sallyport/internal/durable"
)

// Process identifies one process, even after its pid is reused. The zero Process identifies none.
type Process struct {
	PID       int    `json:"pid"`
	Start     uint64 `json:"start"`     // in clock ticks since boot: proc(5), field 22 of stat
	Boot      string `json:"boot"`      // the kernel's boot id
	Namespace string `json:"namespace"` // the PID namespace: pid_namespaces(7), "pid:[4026531836]"
}

// Identify returns the process that has the pid now in this process's PID namespace.
func Identify(pid int) (Process, error) {
	stat, err := readStat(pid)
	if err != nil {
		return Process{}, err
	}
	return Process{PID: pid, Start: stat.start, Boot: bootID(), Namespace: namespace()}, nil
}

// ReadRecord returns the process that Record wrote to the file. It reports false if there is no such file, if it
// cannot be read, or if the process no longer runs.
func ReadRecord(path string) (Process, bool) {
	text, err := os.ReadFile(path)
	if err != nil {
		return Process{}, false
	}
	var p Process
	if json.Unmarshal(text, &p) != nil {
		return Process{}, false
	}
	return p, p.Alive()
}

// Record writes the process to the file, mode 0600, which is replaced as a whole.
func (p Process) Record(path string) error {
	text, err := json.Marshal(p)
	if err != nil {
		return err
	}
	return durable.WriteFile(path, text, 0o600)
}

// Alive reports whether this very process still runs. A zombie does not. Nor does a process of another boot or another
// PID namespace: its pid may be another process's here.
func (p Process) Alive() bool {
	if p.PID <= 1 || p.Boot != bootID() || p.Namespace != namespace() {
		return false
	}
	stat, err := readStat(p.PID)
	return err == nil && stat.start == p.Start && stat.state != 'Z' && stat.state != 'X'
}

// Descendants returns the process's present children, their children, and so on.
func (p Process) Descendants() []Process {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	children := map[int][]Process{}
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		if stat, err := readStat(pid); err == nil {
			child := Process{PID: pid, Start: stat.start, Boot: p.Boot, Namespace: p.Namespace}
			children[stat.parent] = append(children[stat.parent], child)
		}
	}
	var all []Process
	for next := []Process{p}; len(next) > 0; next = next[1:] {
		all = append(all, children[next[0].PID]...)
		next = append(next, children[next[0].PID]...)
	}
	return all
}

// Patience is how long Stop waits for processes to end before it kills them, and then for the killed ones to be gone.
const Patience = 10 * time.Second

// Stop asks the processes to end (SIGTERM), waits, and kills those that are left. It returns when all are gone.
func Stop(ctx context.Context, processes ...Process) error {
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		for _, p := range processes {
			if err := p.signal(signal); err != nil {
				return err
			}
		}
		gone, err := waitGone(ctx, processes)
		if gone || err != nil {
			return err
		}
	}
	return errors.New("a process does not end, not even when killed")
}

// signal signals this very process, and does nothing if it is gone. A pidfd keeps the pid from being reused between the
// check and the signal.
func (p Process) signal(s syscall.Signal) error {
	handle, err := os.FindProcess(p.PID)
	if err != nil {
		return err
	}
	defer handle.Release()
	if !p.Alive() {
		return nil
	}
	if err := handle.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("signal process %d: %w", p.PID, err)
	}
	return nil
}

func waitGone(ctx context.Context, processes []Process) (bool, error) {
	for deadline := time.Now().Add(Patience); ; {
		gone := true
		for _, p := range processes {
			gone = gone && !p.Alive()
		}
		if gone || time.Now().After(deadline) {
			return gone, nil
		}
		select {
		case <-ctx.Done():
			return false, ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// stat holds the fields we read of /proc/PID/stat.
type stat struct {
	parent int
	state  byte
	start  uint64
}

func readStat(pid int) (stat, error) {
	path := filepath.Join("/proc", strconv.Itoa(pid), "stat")
	text, err := os.ReadFile(path)
	if err != nil {
		return stat{}, err
	}
	// The name, in parentheses, may hold any character. The fields we want follow the last parenthesis.
	fields := bytes.Fields(text[bytes.LastIndexByte(text, ')')+1:])
	if len(fields) < 20 {
		return stat{}, fmt.Errorf("%s is too short", path)
	}
	parent, err := strconv.Atoi(string(fields[1]))
	if err != nil {
		return stat{}, err
	}
	start, err := strconv.ParseUint(string(fields[19]), 10, 64)
	return stat{parent: parent, state: fields[0][0], start: start}, err
}

// bootID and namespace return the empty string if /proc cannot be read. Pid and start time must identify the process
// then.

func bootID() string {
	text, _ := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return string(bytes.TrimSpace(text))
}

func namespace() string {
	link, _ := os.Readlink("/proc/self/ns/pid")
	return link
}
