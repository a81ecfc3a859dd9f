package enroll_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/internal/testkit/debian"
	"github.com/sallyport/sallyport/internal/testkit/prerequisite"
	"github.com/sallyport/sallyport/internal/testkit/wait"
)

// machine is the Debian of a scenario: sshd runs, and alice and root have an ordinary key.
type machine struct {
	plane    *standIn
	ordinary string // file of the ordinary private key
	booted   bool   // systemd is its first process, and it is entered by ssh
}

const sshdConfig = "/etc/ssh/sshd_config"

// newMachine prepares the Debian, with changes to sshd's configuration made before sshd starts.
func newMachine(t *testing.T, configure func(t *testing.T)) *machine {
	t.Helper()
	m := newUsers(t)
	if configure != nil {
		configure(t)
	}
	run(t, "/usr/sbin/sshd")
	m.plane = startStandIn(t)
	wait.For(t, "sshd to listen", func() bool { _, err := os.Stat("/run/sshd.pid"); return err == nil })
	return m
}

// bootMachine prepares the Debian and boots it.
func bootMachine(t *testing.T) *machine {
	t.Helper()
	if err := debian.CanBoot(); err != nil {
		prerequisite.Missing(t, err)
	}
	m := newUsers(t)
	m.booted = true
	m.plane = startStandIn(t)
	power, err := debian.Boot()
	must(t, err)
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(power.Journal())
		}
		if err := power.Off(); err != nil {
			t.Error(err)
		}
	})
	m.awaitUp(t)
	return m
}

// awaitUp waits until systemd has finished booting.
func (m *machine) awaitUp(t *testing.T) {
	t.Helper()
	wait.For(t, "the machine to be up", func() bool {
		return m.command("systemctl", "is-system-running", "--wait").Run() == nil
	})
}

// reboot reboots the machine, and returns when its agent has started again by itself.
func (m *machine) reboot(t *testing.T) {
	t.Helper()
	m.plane.relinked(t, func() {
		_, _ = unlessLost(m.commander("sh", "-c", "echo; systemctl reboot")) // which ends the ssh session too
	})
}

// units lists systemd's units except for sessions and mounts, and checks that none failed and nothing is left in /run.
func (m *machine) units(t *testing.T) string {
	t.Helper()
	m.awaitUp(t) // it never returns on a machine with a failed unit
	if left := m.run(t, "find", "/run", "/tmp", "-name", "*sallyport*"); left != "" {
		t.Errorf("left are %s", left)
	}
	return m.run(t, "systemctl", "list-unit-files", "--type=service,socket,timer") +
		m.run(t, "systemctl", "list-units", "--all", "--plain", "--no-legend", "--type=service", "*sallyport*")
}

// command runs a program on the machine, as root.
func (m *machine) command(argv ...string) *exec.Cmd {
	if m.booted {
		argv = slices.Clone(argv)
		for i, word := range argv { // ssh gives them to a shell
			argv[i] = "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
		}
		argv = append([]string{"ssh", "-i", m.ordinary, "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no",
			"-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR", "root@127.0.0.1"}, argv...)
	}
	return exec.Command(argv[0], argv[1:]...)
}

// commander returns a function that makes such a command, for unlessLost.
func (m *machine) commander(argv ...string) func() *exec.Cmd {
	return func() *exec.Cmd { return m.command(argv...) }
}

// run runs a program on the machine and fails the test if it fails.
func (m *machine) run(t *testing.T, argv ...string) string {
	t.Helper()
	output, err := unlessLost(m.commander(argv...))
	if err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(argv, " "), err, output)
	}
	return output
}

// unlessLost runs a command, and runs it again if it was an ssh that lost its connection before it could be refused.
// sshd answers nobody at the instant of a reload, nor does Debian 11's ssh.socket when another connection ends. A
// connection made at that instant is lost, and the next one gets in.
func unlessLost(command func() *exec.Cmd) (output string, err error) {
	text, err := command().CombinedOutput()
	if lostConnection(string(text), err) {
		time.Sleep(200 * time.Millisecond)
		text, err = command().CombinedOutput()
	}
	return string(text), err
}

// lostConnection reports whether ssh failed before it could be refused. In the middle of a key exchange it prints
// nothing about that at the log level of these tests.
func lostConnection(output string, err error) bool {
	var exit *exec.ExitError
	return errors.As(err, &exit) && exit.ExitCode() == 255 && (output == "" ||
		strings.Contains(output, "Connection reset") || strings.Contains(output, "Connection closed by remote host"))
}

// newUsers makes the Debian's users.
func newUsers(t *testing.T) *machine {
	t.Helper()
	m := &machine{ordinary: "/root/ordinary"}
	public := writeKey(t, m.ordinary)
	run(t, "useradd", "--create-home", "--shell", "/bin/sh", "--password", "*", "alice")
	for _, home := range []string{"/root", "/home/alice"} {
		must(t, os.MkdirAll(home+"/.ssh", 0o700))
		must(t, os.WriteFile(home+"/.ssh/authorized_keys", ssh.MarshalAuthorizedKey(public), 0o600))
	}
	run(t, "chown", "-R", "alice:alice", "/home/alice/.ssh")
	return m
}

// writeKey makes a key and writes its private half for ssh.
func writeKey(t *testing.T, path string) ssh.PublicKey {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	must(t, err)
	block, err := ssh.MarshalPrivateKey(private, "")
	must(t, err)
	must(t, os.WriteFile(path, pem.EncodeToMemory(block), 0o600))
	key, err := ssh.NewPublicKey(public)
	must(t, err)
	return key
}

// login logs in with the stock client.
func login(user, key string) error {
	output, err := unlessLost(func() *exec.Cmd {
		return exec.Command("ssh", "-i", key, "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes",
			"-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR",
			"-o", "ConnectionAttempts=5", user+"@127.0.0.1", "echo in as $(id -un)")
	})
	if err == nil && !strings.Contains(output, "in as "+user) {
		err = fmt.Errorf("the output is %q", output)
	}
	if err != nil {
		return fmt.Errorf("%w: %s", err, output)
	}
	return nil
}

// pushedLogin pushes a fresh key and logs in with it.
func (m *machine) pushedLogin(t *testing.T, user string) error {
	t.Helper()
	path := filepath.Join(t.TempDir(), "pushed")
	m.plane.push(t, user, writeKey(t, path))
	return login(user, path)
}

// enroll runs sallyport-host enroll.
func (m *machine) enroll(t *testing.T, flags ...string) (output string, err error) {
	t.Helper()
	token := m.plane.token(t)
	return unlessLost(func() *exec.Cmd {
		cmd := m.command(append([]string{hostProgram, "enroll", "-"}, flags...)...)
		cmd.Stdin = strings.NewReader(token)
		return cmd
	})
}

func (m *machine) mustEnroll(t *testing.T, flags ...string) string {
	t.Helper()
	output, err := m.enroll(t, flags...)
	if err != nil {
		log, _ := os.ReadFile("/etc/sallyport/agent.log")
		t.Fatalf("enroll: %v\n%s\n%s", err, output, log)
	}
	return output
}

// loggingIn logs in repeatedly by the ordinary key until the returned function is called, which fails the test if a
// login failed.
func (m *machine) loggingIn(t *testing.T) (end func()) {
	t.Helper()
	stop, done := make(chan struct{}), make(chan error, 1)
	go func() {
		for {
			select {
			case <-stop:
				done <- nil
				return
			default:
			}
			if err := login("alice", m.ordinary); err != nil {
				done <- err
				return
			}
		}
	}()
	return func() {
		t.Helper()
		close(stop)
		if err := <-done; err != nil {
			t.Errorf("an ordinary login failed meanwhile: %v", err)
		}
	}
}

// bothWork checks that ordinary and pushed keys let people in, and that no other key does.
func (m *machine) bothWork(t *testing.T) {
	t.Helper()
	for _, user := range []string{"alice", "root"} {
		if err := login(user, m.ordinary); err != nil {
			t.Errorf("%s by the ordinary key: %v", user, err)
		}
	}
	if err := m.pushedLogin(t, "alice"); err != nil {
		t.Errorf("alice by a pushed key: %v", err)
	}
	stranger := filepath.Join(t.TempDir(), "stranger")
	writeKey(t, stranger)
	if login("alice", stranger) == nil {
		t.Error("a key that nobody allowed lets alice in")
	}
}

// tree describes a file system: for each path what it is, and its times.
type tree map[string]string

// looseTime reports whether the path's time may change, but not its content: useradd and userdel rewrite the users'
// files and sshd its PID file, and a login writes logs.
func looseTime(path string) bool {
	switch path {
	case "/etc", "/etc/passwd", "/etc/passwd-", "/etc/shadow", "/etc/shadow-", "/etc/group", "/etc/group-",
		"/etc/gshadow", "/etc/gshadow-", "/etc/subuid", "/etc/subuid-", "/etc/subgid", "/etc/subgid-",
		"/run", "/var/tmp":
		return true
	}
	return strings.HasPrefix(path, "/etc/rc") && strings.HasSuffix(path, ".d") // update-rc.d rewrites all links
}

// notOurs reports whether logins, sshd or systemd write the path themselves.
func notOurs(path string) bool {
	switch path {
	case "/run/sshd.pid", "/run/utmp", "/run/motd.dynamic", "/etc/.pwd.lock", "/var/log", "/root/.ssh",
		"/home/alice/.cache":
		return true
	case "/etc/systemd/system/multi-user.target.wants": // systemctl removes its link and does not restore the time
		return true
	}
	return strings.HasPrefix(path, "/var/tmp/systemd-private-") || strings.HasPrefix(path, "/var/log/")
}

func snapshot(t *testing.T) tree {
	t.Helper()
	found := tree{}
	for _, top := range []string{"/etc", "/usr", "/var", "/run", "/root", "/home", "/opt", "/srv", "/tmp"} {
		must(t, filepath.WalkDir(top, func(path string, entry fs.DirEntry, err error) error {
			if err != nil || notOurs(path) || strings.HasPrefix(path, "/tmp/Test") {
				return err
			}
			info, err := entry.Info()
			if err != nil {
				return err
			}
			stat := info.Sys().(*syscall.Stat_t)
			text := fmt.Sprintf("%v %d:%d", info.Mode(), stat.Uid, stat.Gid)
			if info.Mode().IsRegular() {
				text += fmt.Sprintf(" %d bytes", info.Size())
				if !strings.HasPrefix(path, "/usr/") {
					content, err := os.ReadFile(path)
					if err != nil {
						return err
					}
					text += fmt.Sprintf(" %x", sha256.Sum256(content))
				}
			}
			if !looseTime(path) && path != "/tmp" {
				text += " " + info.ModTime().UTC().Format(time.RFC3339Nano)
			}
			found[path] = text
			return nil
		}))
	}
	return found
}

// settle brings the backups of the users' files to the state that any change of a user leaves, so that only
// enrollment's own changes show.
func settle(t *testing.T) {
	t.Helper()
	run(t, "useradd", "--system", "--user-group", "--no-create-home", "settle")
	run(t, "userdel", "settle")
	for _, path := range []string{"/etc/passwd", "/etc/shadow", "/etc/group", "/etc/gshadow"} {
		content, err := os.ReadFile(path)
		must(t, err)
		must(t, os.WriteFile(path+"-", content, 0o600))
	}
}

// same fails the test if anything of an enrollment is left.
func (before tree) same(t *testing.T) {
	t.Helper()
	before.equals(t, snapshot(t))
}

func (before tree) equals(t *testing.T, after tree) {
	t.Helper()
	if diff := cmp.Diff(before, after); diff != "" {
		t.Errorf("not as it was before:\n%s", diff)
	}
	output, err := exec.Command("/usr/sbin/sshd", "-T").Output()
	if err == nil && bytes.Contains(output, []byte("sallyport")) {
		t.Error("sshd's configuration still speaks of us")
	}
	if runs("sallyport-host\x00agent") {
		t.Error("an agent still runs")
	}
}

// runs reports whether a process has the words in its command line, each of which ends in a NUL.
func runs(words string) bool {
	processes, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, path := range processes {
		if line, err := os.ReadFile(path); err == nil && bytes.Contains(line, []byte(words)) {
			return true
		}
	}
	return false
}

func edit(t *testing.T, path string, change func(string) string) {
	t.Helper()
	content, err := os.ReadFile(path)
	must(t, err)
	must(t, os.WriteFile(path, []byte(change(string(content))), 0o644))
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
