package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport/sallyport/internal/daemon"
	"github.com/sallyport/sallyport/internal/durable"
)

// privateSSHD is our own OpenSSH server beside the system's, with its own configuration and host keys, and its own port
// on loopback.
type privateSSHD struct {
	directory string
	port      int
	program   string // absolute path of sshd
}

func (s privateSSHD) config() string  { return filepath.Join(s.directory, "sshd_config") }
func (s privateSSHD) pidFile() string { return filepath.Join(s.directory, "sshd.pid") }
func (s privateSSHD) hostKey() string { return filepath.Join(s.directory, "ssh_host_ed25519_key") }

// daemon returns sshd as a daemon. sshd runs in the foreground of its session, so that its process is known. -e sends
// its log to the daemon's.
func (s privateSSHD) daemon() daemon.Daemon {
	return daemon.Daemon{
		Name: "private SSH server", Program: s.program, Args: []string{"-D", "-e", "-f", s.config()},
		Log: filepath.Join(s.directory, "sshd.log"), Record: filepath.Join(s.directory, "sshd.process"),
	}
}

// portLine returns the line of the configuration that sets the port.
func (s privateSSHD) portLine() string { return "Port " + strconv.Itoa(s.port) }

// text returns the configuration before enrollment adds its lines.
func (s privateSSHD) text() string {
	return strings.Join([]string{
		"# A private OpenSSH server made by `sallyport up`. The system's own is /etc/ssh/sshd_config, which is not touched.",
		s.portLine(),
		"ListenAddress " + loopback,
		"HostKey " + s.hostKey(),
		"PidFile " + s.pidFile(),
		"PermitRootLogin prohibit-password",
		"PasswordAuthentication no",
		"KbdInteractiveAuthentication no",
		"UsePAM yes",
		"X11Forwarding no",
		"PrintMotd no",
		"AcceptEnv LANG LC_*",
		"Subsystem sftp internal-sftp",
		"",
	}, "\n")
}

// prepare writes the configuration and host key if they are missing, sets the port, and lets sshd check the result.
func (s privateSSHD) prepare() error {
	if err := errors.Join(os.MkdirAll(s.directory, 0o755), makeRunSSHD()); err != nil {
		return err
	}
	if _, err := os.Stat(s.hostKey()); errors.Is(err, fs.ErrNotExist) {
		keygen := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "sallyport up", "-f", s.hostKey())
		out, err := keygen.CombinedOutput()
		if err != nil {
			return fmt.Errorf("make a host key: %w: %s", err, bytes.TrimSpace(out))
		}
	}
	text, err := os.ReadFile(s.config())
	switch {
	case errors.Is(err, fs.ErrNotExist):
		text = []byte(s.text())
	case err != nil:
		return err
	default: // enrolled before: only the port may have to change
		lines := strings.Split(string(text), "\n")
		for i, line := range lines {
			if strings.HasPrefix(line, "Port ") {
				lines[i] = s.portLine()
			}
		}
		text = []byte(strings.Join(lines, "\n"))
	}
	if err := durable.WriteFile(s.config(), text, 0o644); err != nil {
		return err
	}
	out, err := exec.Command(s.program, "-t", "-f", s.config()).CombinedOutput()
	if err != nil {
		return fmt.Errorf("sshd -t does not accept %s: %s", s.config(), bytes.TrimSpace(out))
	}
	return nil
}

// makeRunSSHD makes the privilege separation directory. Without it sshd neither starts nor lets anybody in. Debian's
// service makes it at each start and removes it when it ends.
func makeRunSSHD() error { return os.MkdirAll("/run/sshd", 0o755) }

// start starts the server and waits until it answers.
func (s privateSSHD) start() error {
	process, err := s.daemon().Start()
	if err != nil {
		return err
	}
	address := net.JoinHostPort(loopback, strconv.Itoa(s.port))
	for deadline := time.Now().Add(upTime); ; time.Sleep(20 * time.Millisecond) {
		if !process.Alive() {
			return fmt.Errorf("sshd ended at once:\n%s", s.daemon().Tail())
		}
		if _, err := os.Stat(s.pidFile()); err == nil {
			if conn, err := net.DialTimeout("tcp", address, time.Second); err == nil {
				conn.Close()
				return nil
			}
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("sshd does not answer on %s:\n%s", address, s.daemon().Tail())
		}
	}
}
