package sshd

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/sallyport/sallyport/internal/fault"
)

// reloadTimeout bounds how long sshd may take to come back from a reload.
const reloadTimeout = 30 * time.Second

// Started describes how an sshd is started.
type Started struct {
	Program string // absolute path
	Options
}

// Running is an sshd that runs as a daemon.
type Running struct {
	PID int
	Started
	pidFile string // "" if it writes none
}

// FindStarted returns how the sshd that takes connections is started: the daemon of FindRunning or, if none runs, the
// one that systemd starts, whatever its configuration. ok is false if there is neither.
func FindStarted(ctx context.Context, config, pidFile string) (started Started, ok bool) {
	if running, ok := FindRunning(config, pidFile); ok {
		return running.Started, true
	}
	return findUnit(ctx)
}

// FindRunning finds the daemon that wrote the PidFile or, if none did, one that was started with the configuration. ok
// is false if none runs: it was not started, or systemd starts one for the first connection, or for each, and none
// needs a reload. Daemons in containers on this machine are not found. FindRunning needs root.
func FindRunning(config, pidFile string) (running Running, ok bool) {
	if text, err := os.ReadFile(pidFile); err == nil {
		pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
		if running, ok = daemon(pid); ok && err == nil {
			running.pidFile = pidFile
			return running, true
		}
	}
	processes, _ := filepath.Glob("/proc/[0-9]*")
	for _, process := range processes {
		pid, err := strconv.Atoi(filepath.Base(process))
		if running, ok = daemon(pid); ok && err == nil && running.Config == config {
			return running, true
		}
	}
	return Running{}, false
}

// daemon returns the process if it is an sshd that listens and is not in another container.
func daemon(pid int) (Running, bool) {
	if !isSSHD(pid) || isSSHD(parent(pid)) || !sameContainment(pid) {
		return Running{}, false
	}
	cmdline, err := os.ReadFile(inProc(pid, "cmdline"))
	if err != nil {
		return Running{}, false
	}
	options, ok := parseOptions(string(cmdline))
	program, err := os.Readlink(inProc(pid, "exe"))
	started := Started{Program: strings.TrimSuffix(program, " (deleted)"), Options: options}
	return Running{PID: pid, Started: started}, ok && err == nil
}

func inProc(pid int, name string) string { return filepath.Join("/proc", strconv.Itoa(pid), name) }

func isSSHD(pid int) bool {
	program, err := os.Readlink(inProc(pid, "exe"))
	return err == nil && filepath.Base(strings.TrimSuffix(program, " (deleted)")) == "sshd"
}

// parent returns a process's parent; 0 if there is none. In proc_pid_stat(5) the name may hold any character; it ends
// at the last ")".
func parent(pid int) int {
	text, _ := os.ReadFile(inProc(pid, "stat"))
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	if len(fields) < 2 {
		return 0
	}
	ppid, _ := strconv.Atoi(fields[1])
	return ppid
}

// sameContainment reports whether a process sees the same processes and the same root directory as this one.
func sameContainment(pid int) bool {
	theirs, err := os.Readlink(inProc(pid, "ns/pid"))
	ours, ourErr := os.Readlink("/proc/self/ns/pid")
	if err != nil || ourErr != nil || theirs != ours {
		return false
	}
	root, err := os.Stat(inProc(pid, "root"))
	ourRoot, ourErr := os.Stat("/")
	return err == nil && ourErr == nil && os.SameFile(root, ourRoot)
}

// stamp returns a text that changes when the daemon reads its configuration again. The daemon then writes its PidFile
// or, if it has none, opens its sockets. "" means that it is about to.
func (r Running) stamp() string {
	if r.pidFile != "" {
		info, err := os.Stat(r.pidFile)
		if err != nil || info.Size() == 0 {
			return ""
		}
		text, err := os.ReadFile(r.pidFile)
		if err != nil {
			return ""
		}
		inode := info.Sys().(*syscall.Stat_t).Ino
		return fmt.Sprintf("%s %d %d", strings.TrimSpace(string(text)), inode, info.ModTime().UnixNano())
	}
	sockets := listening(r.PID)
	if len(sockets) == 0 {
		return ""
	}
	return fmt.Sprint(r.PID, sockets)
}

// listening returns the inodes of the sockets at which a process waits for TCP connections.
func listening(pid int) []string {
	descriptors, _ := filepath.Glob(inProc(pid, "fd/*"))
	held := map[string]bool{}
	for _, descriptor := range descriptors {
		target, _ := os.Readlink(descriptor)
		if inode, ok := strings.CutPrefix(target, "socket:["); ok {
			held[strings.TrimSuffix(inode, "]")] = true
		}
	}
	var found []string
	for _, name := range []string{"net/tcp", "net/tcp6"} {
		file, err := os.Open(inProc(pid, name))
		if err != nil {
			continue
		}
		for lines := bufio.NewScanner(file); lines.Scan(); { // proc_pid_net(5)
			const state, inode, listen = 3, 9, "0A"
			if fields := strings.Fields(lines.Text()); len(fields) > inode && fields[state] == listen && held[fields[inode]] {
				found = append(found, fields[inode])
			}
		}
		file.Close()
	}
	slices.Sort(found)
	return found
}

// LoadStamp returns a text that changes when the daemon that runs with the configuration reads it again. "" means that
// no daemon is known: an sshd that is started for each connection reads its configuration each time.
func LoadStamp(config, pidFile string) string {
	running, ok := FindRunning(config, pidFile)
	if !ok {
		return ""
	}
	return running.stamp()
}

// Reload makes the daemon read its configuration again, and returns when it has. Open sessions are not touched. The
// configuration must have passed Check: sshd ends if it cannot read it. The error is an Unavailable fault.
func (r Running) Reload(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, reloadTimeout)
	defer cancel()
	before := r.stamp()
	unit := r.activatedUnit(ctx)
	if unit != "" {
		if output, err := exec.CommandContext(ctx, "systemctl", "restart", unit).CombinedOutput(); err != nil {
			return fault.Wrap(err, fault.Unavailable, fault.Sshd,
				"systemctl restart %s fails: %s", unit, complaint(string(output), err))
		}
		if r.pidFile == "" {
			return nil // the unit tells systemd when it is ready
		}
	} else if err := syscall.Kill(r.PID, syscall.SIGHUP); err != nil {
		return fmt.Errorf("reload sshd: %w", err)
	}
	for {
		if after := r.stamp(); after != "" && after != before {
			return nil
		}
		if unit == "" && !isSSHD(r.PID) {
			return fault.New(fault.Unavailable, fault.Sshd, "sshd ended instead of reloading its configuration.")
		}
		select {
		case <-ctx.Done():
			return fault.Wrap(ctx.Err(), fault.Unavailable, fault.Sshd,
				"sshd did not come back from reloading its configuration within %v.", reloadTimeout)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// Start starts a daemon with the configuration, to restore one that ended.
func (s Server) Start(ctx context.Context, config string) error {
	_, stderr, err := s.ask(ctx, config)
	if err != nil {
		return fault.Wrap(err, fault.Unavailable, fault.Sshd, "sshd does not start: %s", complaint(stderr, err))
	}
	return nil
}
