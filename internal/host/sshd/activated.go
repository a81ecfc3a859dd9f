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

// activatedUnit returns the daemon's service if systemd listens on its behalf, as on Ubuntu, or "". Such a daemon ends
// on SIGHUP, as it cannot listen again. Restarting it locks nobody out: systemd goes on listening, and sessions are
// left alone. A connection that is just being made may be lost, as at every reload of any sshd.
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
		show := exec.CommandContext(ctx, "systemctl", "show", "--property=MainPID", "--property=TriggeredBy", unit)
		output, err := show.Output()
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
			continue // another's: systemd may count an sshd started in a session as part of that session's service
		}
		for _, socket := range strings.Fields(sockets) {
			if exec.CommandContext(ctx, "systemctl", "is-active", "--quiet", socket).Run() == nil {
				return unit
			}
		}
	}
	return ""
}
