package enroll

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/sallyport/sallyport/internal/daemon"
	"github.com/sallyport/sallyport/internal/fault"
	"github.com/sallyport/sallyport/internal/host"
)

// Service is the way in which the agent is kept running.
type Service string

// The kinds of service.
const (
	ServiceAuto     Service = "auto"     // the first of systemd, sysv and detached that the machine has
	ServiceSystemd  Service = "systemd"  // a unit
	ServiceSysV     Service = "sysv"     // an init script
	ServiceDetached Service = "detached" // a process of its own, which does not come back after a boot
	ServiceNone     Service = "none"     // the caller runs the agent
)

// choose resolves ServiceAuto.
func (s Service) choose() (Service, error) {
	switch s {
	case ServiceSystemd, ServiceSysV, ServiceDetached, ServiceNone:
		return s, nil
	case ServiceAuto, "":
	default:
		return "", fault.New(fault.Invalid, fault.Service,
			"The service %q is none of auto, systemd, sysv, detached and none.", string(s))
	}
	if systemdRuns() {
		return ServiceSystemd, nil
	}
	first, err := os.ReadFile("/proc/1/comm")
	if err == nil && strings.TrimSpace(string(first)) == "init" {
		if _, err := exec.LookPath("update-rc.d"); err == nil {
			return ServiceSysV, nil
		}
	}
	return ServiceDetached, nil
}

// systemdRuns reports whether systemd is the service manager: sd_booted(3).
func systemdRuns() bool {
	info, err := os.Stat("/run/systemd/system")
	return err == nil && info.IsDir()
}

// serviceName returns the name of an enrollment's service. A machine may have several.
func serviceName(directory string) string {
	if directory == host.DefaultDirectory {
		return "sallyport-host"
	}
	digest := sha256.Sum256([]byte(directory))
	return "sallyport-host-" + hex.EncodeToString(digest[:4])
}

// unitPath and initPath return the files that define the agent to a service manager.

func unitPath(directory string) string {
	return "/etc/systemd/system/" + serviceName(directory) + ".service"
}
func initPath(directory string) string { return "/etc/init.d/" + serviceName(directory) }

// agentCommand returns the command that runs the agent of an enrollment.
func agentCommand(program, directory string) []string {
	return []string{program, "agent", "--directory", directory}
}

// startService installs and starts the agent's service.
func (m *manifest) startService(ctx context.Context, service Service, program string) error {
	name := serviceName(m.directory)
	agent := strings.Join(agentCommand(program, m.directory), " ")
	if service == ServiceNone {
		return nil
	}
	// The first record is undone last: that ends any agent that a service manager did not stop.
	if err := m.record(change{Kind: madeProcess, Path: m.directory, Program: program}); err != nil {
		return err
	}
	switch service {
	case ServiceSystemd:
		path := unitPath(m.directory)
		if err := m.makeFile(path, []byte(systemdUnit(agent, m.directory)), 0o644); err != nil {
			return err
		}
		if err := m.record(change{Kind: madeService, Name: name, Path: path}); err != nil {
			return err
		}
		if err := command(ctx, "systemctl", "daemon-reload"); err != nil {
			return err
		}
		return command(ctx, "systemctl", "enable", "--now", name+".service")
	case ServiceSysV:
		path := initPath(m.directory)
		if err := m.makeFile(path, []byte(initScript(name, agentCommand(program, m.directory))), 0o755); err != nil {
			return err
		}
		if err := m.record(change{Kind: madeInit, Name: name, Path: path}); err != nil {
			return err
		}
		if err := command(ctx, "update-rc.d", name, "defaults"); err != nil {
			return err
		}
		return command(ctx, "/etc/init.d/"+name, "start")
	case ServiceDetached:
		return startDetached(program, m.directory)
	}
	return nil
}

// serviceMark is in the unit and the init script, and marks them as ours.
const serviceMark = "Sallyport host agent"

// systemdUnit returns a unit that runs the agent as root, since its directory is root's, with few of root's powers. The
// agent needs CAP_SYS_PTRACE to see which connection an sshd has open: ptrace(2), PTRACE_MODE_READ.
func systemdUnit(agent, directory string) string {
	writable := ""
	if directory != host.DefaultDirectory {
		writable = "ReadWritePaths=" + directory + "\n" // its socket and spool are there
	}
	return `[Unit]
Description=` + serviceMark + `
Documentation=https://github.com/sallyport/sallyport
Wants=network-online.target
After=network-online.target
StartLimitIntervalSec=0

[Service]
ExecStart=` + agent + `
Restart=always
RestartSec=2
NoNewPrivileges=yes
CapabilityBoundingSet=CAP_CHOWN CAP_DAC_OVERRIDE CAP_DAC_READ_SEARCH CAP_FOWNER ` +
		`CAP_KILL CAP_SETUID CAP_SETGID CAP_SYS_CHROOT CAP_SYS_PTRACE
ProtectSystem=full
` + writable + `ProtectHome=read-only
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectControlGroups=yes
PrivateDevices=yes
PrivateTmp=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
MemoryDenyWriteExecute=yes
SystemCallArchitectures=native

[Install]
WantedBy=multi-user.target
`
}

// initScript returns a script for a System V init, based on start-stop-daemon(8).
func initScript(name string, agent []string) string {
	return `#!/bin/sh
### BEGIN INIT INFO
# Provides:          ` + name + `
# Required-Start:    $remote_fs $network
# Required-Stop:     $remote_fs $network
# Default-Start:     2 3 4 5
# Default-Stop:      0 1 6
# Short-Description: ` + serviceMark + `
### END INIT INFO
PATH=/usr/sbin:/usr/bin:/sbin:/bin
PIDFILE=/run/` + name + `.pid
case "$1" in
start)
	start-stop-daemon --start --oknodo --background --make-pidfile --pidfile "$PIDFILE" --exec ` +
		agent[0] + ` -- ` + strings.Join(agent[1:], " ") + `
	;;
stop)
	start-stop-daemon --stop --oknodo --retry TERM/10/KILL/5 --remove-pidfile --pidfile "$PIDFILE" --exec ` + agent[0] + `
	;;
restart | force-reload)
	"$0" stop
	"$0" start
	;;
status)
	start-stop-daemon --status --pidfile "$PIDFILE" --exec ` + agent[0] + `
	;;
*)
	echo "Usage: $0 {start|stop|restart|force-reload|status}" >&2
	exit 3
	;;
esac
`
}

// StartAgent starts the enrollment's agent as a process of its own unless it runs already. Machines without a service
// manager need it after a boot.
func StartAgent(directory string) error {
	m, err := readManifest(directory)
	if err != nil {
		return err
	}
	program := agentProgram(directory)
	if m != nil {
		for _, c := range m.Changes {
			if c.Kind == madeProcess {
				program = c.Program
			}
		}
	}
	return startDetached(program, directory)
}

// StopAgent ends the enrollment's agent, however it was started, and reports whether it ran. It returns when the agent
// has ended. Processes that the agent started go on, as an un-enrollment may be among them.
func StopAgent(ctx context.Context, directory string) (ran bool, err error) {
	agent, runs := agentDaemon("", directory).Running()
	if !runs {
		return false, nil
	}
	if err := daemon.Stop(ctx, agent); err != nil {
		return true, fault.Wrap(err, fault.WrongState, fault.Agent, "The agent of %s (process %d) does not end: %v.",
			directory, agent.PID, err)
	}
	return true, nil
}

// AgentLog returns the file to which an agent logs that is a process of its own. Other agents log where their service
// does.
func AgentLog(directory string) string { return filepath.Join(directory, host.LogFile) }

// agentDaemon returns the enrollment's agent as a process of its own.
func agentDaemon(program, directory string) daemon.Daemon {
	socket, _ := host.Places(directory)
	return daemon.Daemon{
		Name: "agent", Program: program, Args: agentCommand(program, directory)[1:],
		Log: AgentLog(directory), Record: host.ProcessRecord(socket),
	}
}

func startDetached(program, directory string) error {
	agent := agentDaemon(program, directory)
	if _, runs := agent.Running(); runs {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(agent.Record), 0o755); err != nil { // /run is empty after a boot
		return err
	}
	_, err := agent.Start()
	return err
}

// undoService stops the unit and makes systemd forget it. The unit's file has a record of its own, but is removed here,
// so that systemd sees it gone. A unit whose file is gone may still run: systemd keeps it until it has stopped.
func (c change) undoService(ctx context.Context) error {
	if _, err := os.Lstat(c.Path); errors.Is(err, fs.ErrNotExist) {
		if !systemdRuns() {
			return nil
		}
		_ = command(ctx, "systemctl", "stop", c.Name+".service") // fails if it was never started
		err := ignoreMissing(os.Remove("/etc/systemd/system/multi-user.target.wants/" + c.Name + ".service"))
		return errors.Join(err, command(ctx, "systemctl", "daemon-reload"))
	}
	if err := command(ctx, "systemctl", "disable", "--now", c.Name+".service"); err != nil {
		return err
	}
	return errors.Join(os.Remove(c.Path), command(ctx, "systemctl", "daemon-reload"))
}

// undoInit stops the service and removes its script from the runlevels, even if the script itself is gone.
func (c change) undoInit(ctx context.Context) error {
	if _, err := os.Lstat(c.Path); errors.Is(err, fs.ErrNotExist) {
		if _, err := exec.LookPath("update-rc.d"); err != nil {
			return nil
		}
		return command(ctx, "update-rc.d", c.Name, "remove")
	}
	if err := command(ctx, c.Path, "stop"); err != nil {
		return err
	}
	return errors.Join(os.Remove(c.Path), command(ctx, "update-rc.d", c.Name, "remove"))
}
