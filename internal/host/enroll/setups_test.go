package enroll_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/internal/testkit/wait"
)

// setups are machines whose sshd is set up or started in a way of its own.
func setups() map[string]func(*testing.T) {
	return map[string]func(*testing.T){
		"command by an option": commandByOption,
		"options of sshd":      optionsOfSSHD,
		"no pid file":          noPIDFile,
	}
}

// restartSSHD ends the daemon and starts it with the arguments.
func restartSSHD(t *testing.T, arguments ...string) {
	t.Helper()
	pid, err := os.ReadFile("/run/sshd.pid")
	must(t, err)
	run(t, "kill", strings.TrimSpace(string(pid)))
	wait.For(t, "sshd to end", func() bool { _, err := os.Stat("/run/sshd.pid"); return os.IsNotExist(err) })
	run(t, append([]string{"/usr/sbin/sshd"}, arguments...)...)
	wait.For(t, "sshd to listen", func() bool { return exec.Command("ssh-keyscan", "-t", "ed25519", "127.0.0.1").Run() == nil })
}

// commandByOption: Amazon's own package starts sshd with its AuthorizedKeysCommand as an option, which beats every file.
// Enrollment succeeded, and every push was denied. It is refused, and nothing is changed.
func commandByOption(t *testing.T) {
	m := newMachine(t, nil)
	restartSSHD(t, "-o", "AuthorizedKeysCommand /bin/echo %u %f", "-o", "AuthorizedKeysCommandUser nobody")
	before := snapshot(t)
	output, err := m.enroll(t)
	if err == nil || !strings.Contains(output, "/bin/echo %u %f") || !strings.Contains(output, "restart sshd, and enroll again") {
		t.Errorf("%v\n%s", err, output)
	}
	before.same(t)

	// The daemon of an enrolled machine is started so later: the status says what beats us.
	restartSSHD(t)
	m.mustEnroll(t)
	m.bothWork(t)
	restartSSHD(t, "-o", "AuthorizedKeysCommand /bin/echo %u %f", "-o", "AuthorizedKeysCommandUser nobody")
	status, err := exec.Command(hostProgram, "status").CombinedOutput()
	if err == nil || !strings.Contains(string(status), "options that sshd was started with") {
		t.Errorf("%v\n%s", err, status)
	}
}

// optionsOfSSHD: a daemon that reads another file, and listens where an option says.
func optionsOfSSHD(t *testing.T) {
	m := newMachine(t, func(t *testing.T) {
		must(t, os.MkdirAll("/etc/ssh/other", 0o755))
		must(t, os.WriteFile("/etc/ssh/other/sshd_config", []byte("UsePAM yes\nPubkeyAuthentication no\n"), 0o644))
	})
	restartSSHD(t, "-f", "/etc/ssh/other/sshd_config", "-o", "PubkeyAuthentication=yes", "-oListenAddress 127.0.0.1:22")
	settle(t)
	before := snapshot(t)
	output := m.mustEnroll(t)
	if !strings.Contains(output, "reads /etc/ssh/other/sshd_config") {
		t.Errorf("the configuration is not named:\n%s", output)
	}
	m.bothWork(t)
	if status := run(t, hostProgram, "status"); !strings.Contains(status, "asks us") {
		t.Errorf("the status is\n%s", status)
	}
	run(t, hostProgram, "unenroll")
	before.same(t)
	if err := login("alice", m.ordinary); err != nil {
		t.Error(err)
	}
}

// noPIDFile: an sshd that writes no PidFile was never told to reload. Enrollment and status were content, and every push
// was denied.
func noPIDFile(t *testing.T) {
	m := newMachine(t, nil)
	edit(t, sshdConfig, func(text string) string { return text + "\nPidFile none\n" })
	restartSSHD(t)
	settle(t)
	before := snapshot(t)
	end := m.loggingIn(t)
	output := m.mustEnroll(t)
	end()
	if strings.Contains(output, "no daemon") {
		t.Errorf("sshd is not found:\n%s", output)
	}
	m.bothWork(t)
	run(t, hostProgram, "unenroll")
	before.same(t)
	if err := login("alice", m.ordinary); err != nil {
		t.Error(err)
	}
}
