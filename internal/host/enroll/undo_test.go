package enroll_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// The operators of a machine had a group named sallyport. An enrollment that failed removed it, with its members.
func operatorsGroup(t *testing.T) {
	m := newMachine(t, nil)
	run(t, "groupadd", "sallyport")
	run(t, "usermod", "--append", "--groups", "sallyport", "alice")
	theirs := run(t, "getent", "group", "sallyport")
	same := func() {
		t.Helper()
		if now, err := exec.Command("getent", "group", "sallyport").Output(); err != nil || string(now) != theirs {
			t.Errorf("the operators' group is %q, and was %q", now, theirs)
		}
	}
	token := m.plane.token(t)
	m.plane.mu.Lock()
	clear(m.plane.tokens) // so that enrollment fails after it has made its user
	m.plane.mu.Unlock()
	if output, err := exec.Command(hostProgram, "enroll", token).CombinedOutput(); err == nil {
		t.Errorf("a spent token: %s", output)
	}
	same()
	m.mustEnroll(t)
	m.bothWork(t)
	run(t, hostProgram, "unenroll")
	same()
}

// On a machine whose /usr is read-only, enrollment says so before it changes anything. Rolling back failed there, on a
// directory that had never been made.
func readOnlyUsr(t *testing.T) {
	m := newMachine(t, nil)
	settle(t)
	before := snapshot(t)
	must(t, unix.Mount("/usr", "/usr", "", unix.MS_BIND, ""))
	must(t, unix.Mount("", "/usr", "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY, ""))
	output, err := m.enroll(t)
	if err == nil || !strings.Contains(output, "/usr/lib cannot be written: read-only file system") {
		t.Errorf("%v\n%s", err, output)
	}
	if strings.Contains(output, "not undone") || strings.Contains(output, "server's log") {
		t.Errorf("the rollback failed, or the cause is hidden:\n%s", output)
	}
	must(t, unix.Unmount("/usr", 0))
	before.same(t)
	m.mustEnroll(t)
	m.bothWork(t)
	must(t, os.RemoveAll("/usr/lib/sallyport"))
	must(t, unix.Mount("/usr", "/usr", "", unix.MS_BIND, ""))
	must(t, unix.Mount("", "/usr", "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY, ""))
	run(t, hostProgram, "unenroll")
	m.noTrace(t)
}

// On a machine with a full disk, enrollment reported an internal error, and referred to a log that the machine does not
// have.
func fullDisk(t *testing.T) {
	m := newMachine(t, nil)
	must(t, os.MkdirAll("/usr/lib/sallyport", 0o755))
	must(t, unix.Mount("tmpfs", "/usr/lib/sallyport", "tmpfs", 0, "size=64k,mode=755"))
	output, err := m.enroll(t)
	if err == nil || !strings.Contains(output, "/usr/lib/sallyport/") ||
		!strings.Contains(output, "no space left on device") {
		t.Errorf("%v\n%s", err, output)
	}
	if strings.Contains(output, "server's log") || strings.Contains(output, "not undone") {
		t.Errorf("the cause is hidden, or the rollback failed:\n%s", output)
	}
	must(t, unix.Unmount("/usr/lib/sallyport", 0))
	m.mustEnroll(t)
}

// A file of somebody else's at a path that enrollment needs was only found after the token was used up.
func fileInTheWay(t *testing.T) {
	m := newMachine(t, nil)
	settle(t)
	const path = "/etc/ssh/sshd_config.d/00-sallyport-host.conf"
	must(t, os.WriteFile(path, []byte("# mine\n"), 0o644))
	before := snapshot(t)
	output, err := m.enroll(t)
	if err == nil || !strings.Contains(output, path+" exists already") {
		t.Errorf("%v\n%s", err, output)
	}
	m.plane.mu.Lock()
	if len(m.plane.tokens) != 1 {
		t.Error("the token was used up")
	}
	m.plane.mu.Unlock()
	before.same(t)
	must(t, os.Remove(path))
	m.mustEnroll(t)
}

// The unit's file was removed by hand. Un-enrolling left the agent running.
func unitFileLost(t *testing.T) {
	m := bootMachine(t)
	m.mustEnroll(t)
	m.run(t, "rm", "/etc/systemd/system/sallyport-host.service")
	m.run(t, "systemctl", "daemon-reload")
	m.run(t, hostProgram, "unenroll")
	if left, err := m.command("pgrep", "--full", "sallyport-host agent").Output(); err == nil {
		t.Errorf("the agent runs on: %s", left)
	}
	m.units(t)
	m.mustEnroll(t)
	m.bothWork(t)
}

// /etc/sallyport was removed, and enrollment's records with it. Neither unenroll nor enroll worked after that, and sshd
// went on naming the helper. Everything that bears enrollment's mark must be found and undone all the same.
func directoryLost(t *testing.T) {
	m := newMachine(t, nil)
	settle(t)
	m.mustEnroll(t)
	must(t, os.RemoveAll("/etc/sallyport"))
	if output, err := exec.Command(hostProgram, "enroll", "--repair").CombinedOutput(); err == nil ||
		!strings.Contains(string(output), "enroll the machine anew") {
		t.Errorf("without an identity there is nothing to repair: %v\n%s", err, output)
	}
	end := m.loggingIn(t)
	run(t, hostProgram, "unenroll")
	end()
	m.noTrace(t)

	m.mustEnroll(t)
	m.bothWork(t)
	must(t, os.RemoveAll("/etc/sallyport"))
	m.mustEnroll(t) // without an un-enrollment first
	m.bothWork(t)

	must(t, os.Remove("/etc/sallyport/manifest.json")) // now only the records are lost
	if output, err := m.enroll(t); err == nil || !strings.Contains(output, "enrolled already, as "+standInInstance) {
		t.Errorf("%v\n%s", err, output)
	}
	run(t, hostProgram, "unenroll")
	m.noTrace(t)
}

// noTrace fails the test if anything that enrollment makes is there, by name.
func (m *machine) noTrace(t *testing.T) {
	t.Helper()
	if left := run(t, "find", "/etc", "/usr/lib", "/var/lib", "/run", "-name", "*sallyport*"); left != "" {
		t.Errorf("left are:\n%s", left)
	}
	if left, err := exec.Command("grep", "-r", "sallyport", "/etc/ssh", "/etc/passwd", "/etc/group").Output(); err == nil {
		t.Errorf("left are:\n%s", left)
	}
	if left, err := exec.Command("pgrep", "--full", "sallyport-host agent").Output(); err == nil {
		t.Errorf("the agent runs on: %s", left)
	}
	if err := login("alice", m.ordinary); err != nil {
		t.Error(err)
	}
}

// earlierRelease turns an enrollment into one of an earlier release, in which sallyport-host itself was the keys
// helper.
const earlierRelease = `
sed -i 's#/usr/lib/sallyport/sallyport-keys [^ ]*#/usr/lib/sallyport/sallyport-host keys --directory /etc/sallyport#' \
	/etc/ssh/sshd_config.d/00-sallyport-host.conf
rm /usr/lib/sallyport/sallyport-keys
kill -HUP $(cat /run/sshd.pid)`

// endAgent ends the agent and waits until it is gone.
const endAgent = "pkill --exact sallyport-host; " +
	"for i in $(seq 100); do pgrep --runstates RSD --exact sallyport-host >/dev/null || break; sleep 0.1; done"

// A configuration manager removed files that it did not know. status says what is missing, and fails; repair restores
// it, and the machine stays the same instance.
func repair(t *testing.T) {
	m := newMachine(t, nil)
	settle(t)
	before := snapshot(t)
	m.mustEnroll(t)
	for name, lose := range map[string]struct{ says, by string }{
		"the drop-in": {"00-sallyport-host.conf is gone",
			"rm /etc/ssh/sshd_config.d/00-sallyport-host.conf; kill -HUP $(cat /run/sshd.pid)"},
		"the helper":                      {"sallyport/sallyport-keys is gone", "rm /usr/lib/sallyport/sallyport-keys"},
		"the agent's program":             {"sallyport/sallyport-host is gone", "rm /usr/lib/sallyport/sallyport-host"},
		"the agent":                       {"does not answer", endAgent},
		"what an earlier release had not": {"has changed AuthorizedKeysCommand", earlierRelease},
		"everything but it": {"is gone",
			"rm -r /usr/lib/sallyport /etc/ssh/sshd_config.d/00-sallyport-host.conf; " + endAgent},
	} {
		run(t, "sh", "-c", lose.by)
		output, err := exec.Command(hostProgram, "status").CombinedOutput()
		if err == nil || !strings.Contains(string(output), lose.says) {
			t.Errorf("%s is lost, and status says: %v\n%s", name, err, output)
		}
		end := m.loggingIn(t)
		m.plane.relinked(t, func() { run(t, hostProgram, "enroll", "--repair") })
		end()
		m.bothWork(t)
		if status, err := exec.Command(hostProgram, "status").CombinedOutput(); err != nil ||
			!strings.Contains(string(status), standInInstance) {
			t.Errorf("%s was put back, and status says: %v\n%s", name, err, status)
		}
	}
	run(t, hostProgram, "unenroll")
	before.same(t)
}
