package enroll_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/internal/testkit/wait"
)

// lost returns the scenarios of things that operators remove, or make impossible to write.
func lost() map[string]func(*testing.T) {
	return map[string]func(*testing.T){
		"etc ssh read-only":           readOnlySSH,
		"other configuration is lost": otherConfigurationLost,
		"group has members":           groupHasMembers,
		"run is lost":                 runLost,
		"keys user is lost":           keysUserLost,
		"spool full":                  spoolFull,
	}
}

// /etc/ssh was mounted read-only. The token was used up before enrollment found out.
func readOnlySSH(t *testing.T) {
	m := newMachine(t, nil)
	settle(t)
	before := snapshot(t)
	must(t, unix.Mount("/etc/ssh", "/etc/ssh", "", unix.MS_BIND, ""))
	must(t, unix.Mount("", "/etc/ssh", "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY, ""))
	output, err := m.enroll(t)
	if err == nil || !strings.Contains(output, "/etc/ssh/sshd_config.d cannot be written: read-only file system") {
		t.Errorf("%v\n%s", err, output)
	}
	m.plane.mu.Lock()
	if len(m.plane.tokens) != 1 {
		t.Error("the token was used up")
	}
	m.plane.mu.Unlock()
	must(t, unix.Unmount("/etc/ssh", 0))
	before.same(t)
	m.mustEnroll(t)
}

// The manifest of an enrollment with --sshd-config was lost. Repair and unenroll looked at the system's configuration
// instead, and left the lines in the other one.
func otherConfigurationLost(t *testing.T) {
	m := newMachine(t, nil)
	run(t, "sh", "-c", `mkdir /etc/other
		grep -v ^Include /etc/ssh/sshd_config > /etc/other/sshd_config
		printf 'PidFile /run/other.pid\nPort 2222\n' >> /etc/other/sshd_config
		/usr/sbin/sshd -f /etc/other/sshd_config`)
	wait.For(t, "the other sshd to listen", func() bool { _, err := os.Stat("/run/other.pid"); return err == nil })
	m.mustEnroll(t, "--sshd-config", "/etc/other/sshd_config")
	must(t, os.Remove("/etc/sallyport/manifest.json"))
	run(t, hostProgram, "enroll", "--repair")
	run(t, hostProgram, "status")
	must(t, os.Remove("/etc/sallyport/manifest.json"))
	run(t, hostProgram, "unenroll")
	if left, err := exec.Command("grep", "-r", "sallyport", "/etc/other").Output(); err == nil {
		t.Errorf("left are:\n%s", left)
	}
	m.noTrace(t)
}

// An operator added alice to the group that enrollment had made. Un-enrolling took the group, and her membership.
func groupHasMembers(t *testing.T) {
	m := newMachine(t, nil)
	m.mustEnroll(t)
	run(t, "usermod", "--append", "--groups", "sallyport", "alice")
	run(t, hostProgram, "unenroll")
	if group := run(t, "getent", "group", "sallyport"); !strings.HasSuffix(group, ":alice\n") {
		t.Errorf("the group is %q", group)
	}
	if exec.Command("getent", "passwd", "sallyport").Run() == nil {
		t.Error("the user is left")
	}
	m.mustEnroll(t)
	m.bothWork(t)
}

// /run/sallyport was removed by hand. The agent went on, linked: pushes succeeded and opened nothing, and neither
// unenroll nor repair found it.
func runLost(t *testing.T) {
	m := newMachine(t, nil)
	m.mustEnroll(t)
	must(t, os.RemoveAll("/run/sallyport"))
	wait.For(t, "the agent to end", func() bool { return !runs("sallyport-host\x00agent") })
	run(t, hostProgram, "enroll", "--repair")
	m.bothWork(t)
	must(t, os.RemoveAll("/run/sallyport"))
	run(t, hostProgram, "unenroll")
	wait.For(t, "the agent to end", func() bool { return !runs("sallyport-host\x00agent") })
	m.noTrace(t)
}

// The keys helper's user was removed. sshd asked no helper any more, and status called that healthy.
func keysUserLost(t *testing.T) {
	m := newMachine(t, nil)
	m.mustEnroll(t)
	run(t, "userdel", "sallyport")
	output, err := exec.Command(hostProgram, "status").CombinedOutput()
	if err == nil || !strings.Contains(string(output), "the user sallyport, who does not exist") {
		t.Errorf("%v\n%s", err, output)
	}
	run(t, hostProgram, "enroll", "--repair")
	m.bothWork(t)
	run(t, hostProgram, "status")
}

// The disk of the spool was full. status said that pushed keys work.
func spoolFull(t *testing.T) {
	m := newMachine(t, nil)
	const disk = "/var/lib/sallyport"
	must(t, os.MkdirAll(disk, 0o755))
	must(t, unix.Mount("tmpfs", disk, "tmpfs", 0, "size=64k,mode=755"))
	if output, err := m.enroll(t); err == nil || !strings.Contains(output, "no space left on device") {
		t.Errorf("%v\n%s", err, output)
	}
	m.plane.mu.Lock()
	if len(m.plane.tokens) != 1 {
		t.Error("the token was used up")
	}
	m.plane.mu.Unlock()

	must(t, unix.Mount("", disk, "", unix.MS_REMOUNT, "size=16m,mode=755"))
	m.mustEnroll(t)
	run(t, "pkill", "--exact", "sallyport-host")
	must(t, os.Remove(disk+"/host/releases"))
	_ = exec.Command("dd", "if=/dev/zero", "of="+disk+"/full").Run() // ends when nothing is left
	m.plane.relinked(t, func() { must(t, exec.Command("setsid", hostProgram, "agent").Start()) })
	output, err := exec.Command(hostProgram, "status").CombinedOutput()
	if err == nil || !strings.Contains(string(output), "no space left on device") ||
		!strings.Contains(string(output), disk) {
		t.Errorf("%v\n%s", err, output)
	}
	must(t, os.Remove(disk+"/full"))
	run(t, hostProgram, "status")
	m.bothWork(t)
}
