package sshd

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/sallyport/sallyport/internal/fault"
)

// reloadTimeout bounds how long sshd may take to come back from a reload.
const reloadTimeout = 15 * time.Second

// Running is an sshd that runs as a daemon.
type Running struct {
	PID     int
	pidFile string
}

// FindRunning reads the PidFile and makes sure that the process is an sshd. ok is false if none runs: because it
// was not started, or because systemd starts one for the first connection, or for each, and that needs no reload.
func FindRunning(pidFile string) (running Running, ok bool) {
	text, err := os.ReadFile(pidFile)
	if err != nil {
		return Running{}, false
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil || pid < 2 || !isSSHD(pid) {
		return Running{}, false
	}
	return Running{PID: pid, pidFile: pidFile}, true
}

func isSSHD(pid int) bool {
	program, err := os.Readlink(filepath.Join("/proc", strconv.Itoa(pid), "exe"))
	return err == nil && filepath.Base(strings.TrimSuffix(program, " (deleted)")) == "sshd"
}

// Reload makes the daemon read its configuration again and returns when it has: it writes its PidFile anew. Open
// sessions are not touched. The configuration must have passed Check: sshd ends on one it cannot read. The
// error is an Unavailable fault.
func (r Running) Reload(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, reloadTimeout)
	defer cancel()
	before, err := os.Stat(r.pidFile)
	if err != nil {
		return err
	}
	unit := r.activatedUnit(ctx)
	if unit != "" {
		if output, err := exec.CommandContext(ctx, "systemctl", "restart", unit).CombinedOutput(); err != nil {
			return fault.Wrap(err, fault.Unavailable, "sshd", "systemctl restart %s fails: %s", unit, complaint(string(output), err))
		}
	} else if err := syscall.Kill(r.PID, syscall.SIGHUP); err != nil {
		return fmt.Errorf("reload sshd: %w", err)
	}
	for {
		if after, err := os.Stat(r.pidFile); err == nil && after.Size() > 0 && !sameWrite(before, after) {
			return nil
		}
		if unit == "" && !isSSHD(r.PID) {
			return fault.New(fault.Unavailable, "sshd", "sshd ended instead of reloading its configuration.")
		}
		select {
		case <-ctx.Done():
			return fault.Wrap(ctx.Err(), fault.Unavailable, "sshd", "sshd did not come back from reloading its configuration within %v.", reloadTimeout)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func sameWrite(a, b fs.FileInfo) bool { return os.SameFile(a, b) && a.ModTime().Equal(b.ModTime()) }

// Start starts a daemon from the configuration: the way back if one ended.
func (s Server) Start(ctx context.Context, config string) error {
	_, stderr, err := s.run(ctx, "-f", config)
	if err != nil {
		return fault.Wrap(err, fault.Unavailable, "sshd", "sshd does not start: %s", complaint(stderr, err))
	}
	return nil
}
