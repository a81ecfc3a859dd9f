package daemon

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
)

// Daemon describes a program that runs on its own: in a session of its own, with its output in a log file and its
// process on record.
type Daemon struct {
	Name    string   // for errors: "control plane"
	Program string   // absolute path
	Args    []string // without the program
	Log     string   // the file its output is appended to, mode 0600
	Record  string   // the file that identifies its process; its directory must exist
}

// Running returns the recorded process if it still runs.
func (d Daemon) Running() (Process, bool) { return ReadRecord(d.Record) }

// Start starts the program and returns at once. It does not check whether one runs already.
func (d Daemon) Start() (Process, error) {
	log, err := os.OpenFile(d.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return Process{}, err
	}
	defer log.Close()
	command := exec.Command(d.Program, d.Args...)
	command.Stdout, command.Stderr = log, log
	command.Dir = filepath.Dir(d.Log)
	command.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := command.Start(); err != nil {
		return Process{}, fmt.Errorf("start the %s: %w", d.Name, err)
	}
	p, err := Identify(command.Process.Pid)
	go command.Wait() // so that it does not stay a zombie while this process runs
	if err != nil {
		return Process{}, fmt.Errorf("start the %s: it ended at once:\n%s", d.Name, d.Tail())
	}
	if err := p.Record(d.Record); err != nil {
		return Process{}, errors.Join(fmt.Errorf("put the %s on record: %w", d.Name, err), p.signal(syscall.SIGKILL))
	}
	return p, nil
}

// Stop ends the program and everything it started, and reports whether it ran.
func (d Daemon) Stop(ctx context.Context) (ran bool, err error) {
	p, ran := d.Running()
	if ran {
		if err := Stop(ctx, append([]Process{p}, p.Descendants()...)...); err != nil {
			return true, fmt.Errorf("stop the %s: %w", d.Name, err)
		}
	}
	if err := os.Remove(d.Record); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return ran, err
	}
	return ran, nil
}

// Tail returns the last ten lines of the log, for an error's text.
func (d Daemon) Tail() string { return Tail(d.Log) }

// Tail returns the last ten lines of a log file, or why it cannot be read.
func Tail(path string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	lines := bytes.Split(bytes.TrimSpace(text), []byte("\n"))
	return string(bytes.Join(lines[max(0, len(lines)-10):], []byte("\n")))
}
