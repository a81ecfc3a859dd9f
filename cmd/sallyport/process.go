package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/sallyport/sallyport/internal/durable"
)

// process names a process for good: a pid alone may be somebody else's tomorrow.
type process struct {
	PID   int    `json:"pid"`
	Start uint64 `json:"start"` // in clock ticks since boot: proc(5), field 22 of stat
	Boot  string `json:"boot"`  // the kernel's boot id
}

// procStat is what we read of /proc/PID/stat.
type procStat struct {
	parent int
	state  byte
	start  uint64
}

func readStat(pid int) (procStat, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return procStat{}, err
	}
	// The name, in parentheses, may hold anything; the fields we want follow its last parenthesis.
	fields := bytes.Fields(text[bytes.LastIndexByte(text, ')')+1:])
	if len(fields) < 20 {
		return procStat{}, fmt.Errorf("/proc/%d/stat is too short", pid)
	}
	parent, err := strconv.Atoi(string(fields[1]))
	if err != nil {
		return procStat{}, err
	}
	start, err := strconv.ParseUint(string(fields[19]), 10, 64)
	return procStat{parent: parent, state: fields[0][0], start: start}, err
}

func bootID() string {
	text, _ := os.ReadFile("/proc/sys/kernel/random/boot_id") // without it, pid and start time must do
	return string(bytes.TrimSpace(text))
}

// identify returns the process that has the pid now.
func identify(pid int) (process, error) {
	stat, err := readStat(pid)
	return process{PID: pid, Start: stat.start, Boot: bootID()}, err
}

// alive tells whether this very process still runs. A zombie does not.
func (p process) alive() bool {
	if p.PID <= 1 || p.Boot != bootID() {
		return false
	}
	stat, err := readStat(p.PID)
	return err == nil && stat.start == p.Start && stat.state != 'Z' && stat.state != 'X'
}

// descendants returns the process's children, their children and so on, as they are now.
func (p process) descendants() []process {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	children := map[int][]process{}
	boot := bootID()
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		if stat, err := readStat(pid); err == nil {
			children[stat.parent] = append(children[stat.parent], process{PID: pid, Start: stat.start, Boot: boot})
		}
	}
	var all []process
	for next := []process{p}; len(next) > 0; next = next[1:] {
		all = append(all, children[next[0].PID]...)
		next = append(next, children[next[0].PID]...)
	}
	return all
}

// signal signals this very process, and nothing if it is gone. Between the look and the signal a pidfd keeps the
// pid from being somebody else's.
func (p process) signal(s syscall.Signal) {
	handle, err := os.FindProcess(p.PID)
	if err != nil {
		return
	}
	defer handle.Release()
	if p.alive() {
		handle.Signal(s)
	}
}

// stop asks the processes to end, waits, and kills what is left.
func stop(processes []process, patience time.Duration) error {
	for _, p := range processes {
		p.signal(syscall.SIGTERM)
	}
	if !waitGone(processes, patience) {
		for _, p := range processes {
			p.signal(syscall.SIGKILL)
		}
		if !waitGone(processes, patience) {
			return errors.New("a process does not end, not even when killed")
		}
	}
	return nil
}

func waitGone(processes []process, patience time.Duration) bool {
	for deadline := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		gone := true
		for _, p := range processes {
			gone = gone && !p.alive()
		}
		if gone || time.Now().After(deadline) {
			return gone
		}
	}
}

// daemon is a program that runs on by itself: detached from our terminal, its output in a log file, its process
// on record beside it.
type daemon struct {
	name      string // "control-plane"
	directory string // of NAME.log and NAME.process
	path      string // absolute path of the program
	args      []string
}

func (d daemon) log() string    { return filepath.Join(d.directory, d.name+".log") }
func (d daemon) record() string { return filepath.Join(d.directory, d.name+".process") }

// running returns the recorded process if it is alive.
func (d daemon) running() (process, bool) {
	text, err := os.ReadFile(d.record())
	if err != nil {
		return process{}, false
	}
	var p process
	if json.Unmarshal(text, &p) != nil {
		return process{}, false
	}
	return p, p.alive()
}

// start runs the program and returns at once.
func (d daemon) start() (process, error) {
	log, err := os.OpenFile(d.log(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return process{}, err
	}
	defer log.Close()
	command := exec.Command(d.path, d.args...)
	command.Stdout, command.Stderr = log, log
	command.Dir = d.directory
	command.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := command.Start(); err != nil {
		return process{}, fmt.Errorf("start the %s: %w", d.name, err)
	}
	go command.Wait() // so that it is no zombie while we still run
	p, err := identify(command.Process.Pid)
	if err != nil {
		return process{}, fmt.Errorf("start the %s: it ended at once:\n%s", d.name, tail(d.log()))
	}
	text, err := json.Marshal(p)
	if err == nil {
		err = durable.WriteFile(d.record(), text, 0o600)
	}
	if err != nil {
		p.signal(syscall.SIGKILL)
		return process{}, fmt.Errorf("put the %s on record: %w", d.name, err)
	}
	return p, nil
}

// stop ends the program with everything it started.
func (d daemon) stop() (stopped bool, err error) {
	p, ok := d.running()
	if ok {
		err = stop(append([]process{p}, p.descendants()...), 10*time.Second)
	}
	if err != nil {
		return false, fmt.Errorf("stop the %s: %w", d.name, err)
	}
	if err := os.Remove(d.record()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return ok, err
	}
	return ok, nil
}

// tail returns the end of a log file, for an error's text.
func tail(path string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	lines := bytes.Split(bytes.TrimSpace(text), []byte("\n"))
	return string(bytes.Join(lines[max(0, len(lines)-10):], []byte("\n")))
}
