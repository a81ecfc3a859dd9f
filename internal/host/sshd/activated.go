package sshd

import (
	"context"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strconv"
	"strings"
)

// activatedUnit returns the service that the daemon is if systemd listens for it, as Ubuntu has it, or "". Such a
// daemon ends on SIGHUP, as it cannot listen anew. Restarted it locks nobody out: systemd goes on listening, and sessions
// are left alone. A connection in its first moment may be lost, as at every reload of any sshd.
func (r Running) activatedUnit(ctx context.Context) string {
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(r.PID), "cgroup"))
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(text)) {
		unit := path.Base(strings.TrimSpace(line))
		if !strings.HasSuffix(unit, ".service") {
			continue
		}
		output, err := exec.CommandContext(ctx, "systemctl", "show", "--property=MainPID", "--property=TriggeredBy", unit).Output()
		if err != nil {
			continue
		}
		mainPID, sockets := 0, ""
		for line := range strings.Lines(string(output)) {
			switch name, value, _ := strings.Cut(strings.TrimSpace(line), "="); name {
			case "MainPID":
				mainPID, _ = strconv.Atoi(value)
			case "TriggeredBy":
				sockets = value
			}
		}
		if mainPID != r.PID {
			continue // another's: an sshd that was started in a session may be counted as its service's
		}
		for _, socket := range strings.Fields(sockets) {
			if exec.CommandContext(ctx, "systemctl", "is-active", "--quiet", socket).Run() == nil {
				return unit
			}
		}
	}
	return ""
}
