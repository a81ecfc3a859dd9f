package enroll_test

import (
	"bufio"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/internal/testkit/wait"
)

func scenarios() map[string]func(*testing.T) {
	return map[string]func(*testing.T){
		"plain":                     plain,
		"init script":               initScript,
		"no clock":                  noClock,
		"systemd":                   systemd,
		"ssh socket":                sshSocket,
		"private sshd":              privateSSHD,
		"beside a control plane":    besideControlPlane,
		"existing command works":    existingWorks,
		"existing command matched":  existingMatched,
		"existing command fails":    existingFails,
		"existing command unsafe":   existingUnsafe,
		"helper fails":              helperFails,
		"broken configuration":      brokenConfiguration,
		"refused by sshd at last":   refusedAtLast,
		"no include":                noInclude,
		"drop-in that comes before": earlierDropIn,
		"allow users":               allowUsers,
		"nobody may log in":         nobodyMayLogIn,
		"match block":               matchBlock,
		"killed":                    killed,
		"interrupted":               interrupted,
		"bad token":                 badToken,
		"dismissed":                 dismissed,
		"operator's group":          operatorsGroup,
		"read-only usr":             readOnlyUsr,
		"full disk":                 fullDisk,
		"file in the way":           fileInTheWay,
		"unit file lost":            unitFileLost,
		"directory lost":            directoryLost,
		"repair":                    repair,
	}
}

func plain(t *testing.T) {
	m := newMachine(t, nil)
	settle(t)
	before := snapshot(t)
	end := m.loggingIn(t)
	output := m.mustEnroll(t)
	end()
	if !strings.Contains(output, standInInstance) {
		t.Errorf("the output does not name the instance:\n%s", output)
	}
	if !strings.Contains(output, "There is no systemd here") {
		t.Errorf("the output does not say that the agent will not come back after a boot:\n%s", output)
	}
	m.bothWork(t)
	wait.For(t, "the release to be reported", func() bool {
		m.plane.mu.Lock()
		defer m.plane.mu.Unlock()
		return len(m.plane.released) > 0
	})
	status := run(t, hostProgram, "status", "--output", "json")
	for _, want := range []string{`"enrolled": true`, `"linked": true`, `"sshd": "asks us"`} {
		if !strings.Contains(status, want) {
			t.Errorf("status lacks %s:\n%s", want, status)
		}
	}
	if output, err := m.enroll(t); err == nil || !strings.Contains(output, "enrolled already, as "+standInInstance) {
		t.Errorf("a second enrollment: %v\n%s", err, output)
	}
	m.plane.stop() // unenroll needs no control plane
	end = m.loggingIn(t)
	run(t, hostProgram, "unenroll")
	end()
	before.same(t)
	if err := login("alice", m.ordinary); err != nil {
		t.Error(err)
	}
	again, err := exec.Command(hostProgram, "unenroll").CombinedOutput()
	if err == nil || !strings.Contains(string(again), "not enrolled") {
		t.Errorf("a second unenroll: %v\n%s", err, again)
	}
}

// A board whose clock had no battery booted with a time years in the past. Its control plane's certificate was not yet
// valid then: the board could not be enrolled, and after a boot it was locked out until somebody set its clock.
func noClock(t *testing.T) {
	m := newMachine(t, nil)
	m.plane.ahead.Store(int64(2 * 365 * 24 * time.Hour))
	if output := m.mustEnroll(t); !strings.Contains(output, "This machine's clock is 17520h0m0s behind") {
		t.Errorf("the output does not say that the clock is wrong:\n%s", output)
	}
	m.bothWork(t)
	m.plane.ahead.Store(-int64(2 * 365 * 24 * time.Hour)) // now the control plane's clock is wrong
	if err := m.pushedLogin(t, "alice"); err != nil {
		t.Errorf("by a key that was pushed after the control plane's clock was set: %v", err)
	}
}

func initScript(t *testing.T) {
	m := newMachine(t, nil)
	settle(t)
	before := snapshot(t)
	m.mustEnroll(t, "--service", "sysv")
	m.bothWork(t)
	run(t, "/etc/init.d/sallyport-host", "restart")
	wait.For(t, "the agent to be back", func() bool { return exec.Command(hostProgram, "status").Run() == nil })
	run(t, hostProgram, "unenroll")
	before.same(t)
}

// systemd runs as process 1. It starts the agent at a boot and whenever it ends, and forgets it after an un-enrollment.
func systemd(t *testing.T) {
	m := bootMachine(t)
	settle(t)
	before, unitsBefore := snapshot(t), m.units(t)
	same := func() {
		t.Helper()
		before.same(t)
		if diff := cmp.Diff(unitsBefore, m.units(t)); diff != "" {
			t.Errorf("systemd does not know what it knew before:\n%s", diff)
		}
	}
	end := m.loggingIn(t)
	output := m.mustEnroll(t, "--output", "json")
	end()
	if !strings.Contains(output, `"service": "systemd"`) {
		t.Errorf("the service is not systemd's:\n%s", output)
	}
	m.bothWork(t)
	if said := m.run(t, "systemd-analyze", "verify", "/etc/systemd/system/sallyport-host.service"); said != "" {
		t.Errorf("systemd does not take all of the unit:\n%s", said)
	}

	m.plane.relinked(t, func() { m.run(t, "systemctl", "kill", "--signal=KILL", "sallyport-host.service") })
	m.bothWork(t)
	m.reboot(t)
	m.bothWork(t)
	status := m.run(t, "systemctl", "status", "--no-pager", "sallyport-host.service")
	if !strings.Contains(status, "active (running)") {
		t.Error(status)
	}
	wait.For(t, "the system's log to tell of the key", func() bool {
		said := m.run(t, "journalctl", "--no-pager", "--identifier=sallyport-host")
		return strings.Contains(said, "providing the SSH key with fingerprint SHA256:")
	})

	end = m.loggingIn(t)
	m.run(t, hostProgram, "unenroll")
	end()
	same()
	m.mustEnroll(t)
	m.plane.dismiss()
	m.gone(t)
	same()
	if err := login("alice", m.ordinary); err != nil {
		t.Error(err)
	}
}

// sshSocket: systemd listens for sshd, and starts it for the first connection. So does Ubuntu.
func sshSocket(t *testing.T) {
	run(t, "systemctl", "disable", "ssh.service")
	run(t, "systemctl", "enable", "ssh.socket")
	run(t, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", "/etc/ssh/only")
	must(t, os.WriteFile("/etc/ssh/sshd_config.d/only.conf", []byte("HostKey /etc/ssh/only\n"), 0o644))
	m := bootMachine(t)
	settle(t)
	before := snapshot(t)
	end := m.loggingIn(t)
	m.mustEnroll(t)
	end()
	m.bothWork(t)
	end = m.loggingIn(t)
	m.run(t, hostProgram, "unenroll")
	end()
	before.same(t)

	m.mustEnroll(t)
	m.reboot(t)
	// Before the first connection sshd does not run, but its settings can be read.
	if keys := m.plane.hostKeys(); len(keys) != 1 {
		t.Errorf("the agent reports other host keys than sshd's: %q", keys)
	}
	m.plane.dismiss()
	m.gone(t)
	before.same(t)
	if err := login("alice", m.ordinary); err != nil {
		t.Error(err)
	}
	m.units(t)
}

func privateSSHD(t *testing.T) {
	const directory, config = "/var/lib/sallyport/first", "/opt/private/sshd_config"
	m := newMachine(t, nil)
	must(t, os.MkdirAll("/opt/private", 0o755))
	run(t, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", "/opt/private/key")
	must(t, os.WriteFile(config, []byte(
		"ListenAddress 127.0.0.1:2222\nHostKey /opt/private/key\nPidFile /run/private.pid\nUsePAM no\n"), 0o644))
	run(t, "/usr/sbin/sshd", "-f", config)
	wait.For(t, "the private sshd", func() bool { _, err := os.Stat("/run/private.pid"); return err == nil })
	before := snapshot(t)
	delete(before, "/run/private.pid")
	output := m.mustEnroll(t, "--directory", directory, "--sshd-config", config,
		"--keys-user", "nobody", "--service", "detached")
	if text, err := os.ReadFile(directory + "/host.json"); err != nil || !strings.Contains(string(text), `"127.0.0.1"`) {
		t.Errorf("the address that this sshd is bound to is not the one reported: %v\n%s", err, text)
	}
	if strings.Contains(output, "Note:") { // a detached agent is what was asked for
		t.Errorf("enrolling warns:\n%s", output)
	}
	for path := range snapshot(t) {
		if _, known := before[path]; !known && strings.HasPrefix(path, "/etc/") {
			t.Errorf("%s was made", path)
		}
	}
	pushed := t.TempDir() + "/pushed"
	m.plane.push(t, "alice", writeKey(t, pushed))
	said, err := exec.Command("ssh", "-p", "2222", "-i", pushed, "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no",
		"-o", "UserKnownHostsFile=/dev/null", "alice@127.0.0.1", "true").CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, said)
	}
	run(t, hostProgram, "unenroll", "--directory", directory)
	after := snapshot(t)
	delete(after, "/run/private.pid")
	if len(after) != len(before) {
		t.Errorf("%d files instead of %d", len(after), len(before))
	}
	for path, was := range before {
		if after[path] != was {
			t.Errorf("%s was %s and is %s", path, was, after[path])
		}
	}
}

// besideControlPlane: a control plane that keeps its data where the README says outlives the enrollment of its machine.
func besideControlPlane(t *testing.T) {
	m := newMachine(t, nil)
	m.mustEnroll(t)
	must(t, os.MkdirAll("/var/lib/sallyport/data", 0o700))
	must(t, os.WriteFile("/var/lib/sallyport/data/credentials", nil, 0o600))
	run(t, hostProgram, "unenroll")
	if left := run(t, "find", "/var/lib/sallyport", "-type", "f"); left != "/var/lib/sallyport/data/credentials\n" {
		t.Errorf("in /var/lib/sallyport is left:\n%s", left)
	}
}

// existing enrolls a machine that has an AuthorizedKeysCommand: a script.
func existing(t *testing.T, script string) *machine {
	t.Helper()
	m := newMachine(t, func(t *testing.T) {
		must(t, os.WriteFile("/usr/local/bin/existing-keys", []byte("#!/bin/sh\n"+script), 0o755))
		edit(t, sshdConfig, func(text string) string {
			return text + "\nAuthorizedKeysCommand /usr/local/bin/existing-keys --user=%u \"two words\"\n" +
				"AuthorizedKeysCommandUser nobody\n"
		})
	})
	before := snapshot(t)
	m.mustEnroll(t)
	t.Cleanup(func() {
		run(t, hostProgram, "unenroll")
		before.same(t)
	})
	m.bothWork(t)
	return m
}

func existingWorks(t *testing.T) {
	key := t.TempDir() + "/third"
	public := writeKey(t, key)
	must(t, os.WriteFile("/usr/local/share/third.pub", []byte(public.Type()+" "+base64Key(public)+"\n"), 0o644))
	existing(t, `[ "$1" = --user=alice ] && [ "$2" = "two words" ] && cat /usr/local/share/third.pub; exit 0`)
	if err := login("alice", key); err != nil {
		t.Errorf("a key of the existing command: %v", err)
	}
	if login("root", key) == nil {
		t.Error("the existing command is not told who logs in")
	}
}

// existingMatched: a command holds for some logins only. Their pushed keys were accepted, and let nobody in.
func existingMatched(t *testing.T) {
	key := t.TempDir() + "/third"
	public := writeKey(t, key)
	m := newMachine(t, func(t *testing.T) {
		script := "#!/bin/sh\necho '" + public.Type() + " " + base64Key(public) + "'\n"
		must(t, os.WriteFile("/usr/local/bin/existing-keys", []byte(script), 0o755))
		edit(t, sshdConfig, func(text string) string {
			return text + "\nMatch User alice\n\tAuthorizedKeysCommand /usr/local/bin/existing-keys\n" +
				"\tAuthorizedKeysCommandUser nobody\n"
		})
	})
	before := snapshot(t)
	m.mustEnroll(t)
	m.bothWork(t)
	if err := login("alice", key); err != nil {
		t.Errorf("a key of alice's own command: %v", err)
	}
	if login("root", key) == nil {
		t.Error("alice's command counts for root")
	}
	if status := run(t, hostProgram, "status"); strings.Contains(status, "not for") {
		t.Errorf("the status is\n%s", status)
	}
	// The agent cannot serve a block that runs its command as another user. The status says so, and is healthy otherwise.
	edit(t, sshdConfig, func(text string) string {
		return text + "\nMatch User bob\n\tAuthorizedKeysCommand /usr/local/bin/existing-keys\n" +
			"\tAuthorizedKeysCommandUser daemon\n"
	})
	status := run(t, hostProgram, "status")
	if !strings.Contains(status, "not for") || !strings.Contains(status, "Match User bob") {
		t.Errorf("the status is\n%s", status)
	}
	edit(t, sshdConfig, func(text string) string { return text[:strings.Index(text, "\nMatch User bob")] })
	run(t, hostProgram, "unenroll")
	delete(before, sshdConfig) // which we have edited
	after := snapshot(t)
	delete(after, sshdConfig)
	before.equals(t, after)
}

// existingFails: sshd ignores the keys of a command that fails. Enrollment mistook that for a failure of its own
// helper, and refused.
func existingFails(t *testing.T) {
	key := t.TempDir() + "/third"
	public := writeKey(t, key)
	existing(t, "echo '"+public.Type()+" "+base64Key(public)+"'; exit 3\n")
	if login("alice", key) == nil {
		t.Error("sshd takes a key of a command that fails")
	}
}

// helperFails: a helper that cannot run, on a file system mounted noexec, is not mistaken for an existing command that
// fails as before.
func helperFails(t *testing.T) {
	m := newMachine(t, configured("AuthorizedKeysCommand /bin/false\nAuthorizedKeysCommandUser nobody"))
	must(t, os.MkdirAll("/usr/lib/sallyport", 0o755))
	run(t, "mount", "-t", "tmpfs", "-o", "noexec,mode=0755", "tmpfs", "/usr/lib/sallyport")
	if output, err := m.enroll(t); err == nil || !strings.Contains(output, "not content with the keys helper") {
		t.Errorf("%v\n%s", err, output)
	}
	run(t, "umount", "/usr/lib/sallyport")
	if output := m.mustEnroll(t); strings.Count(output, "/bin/false) fails for root") != 1 {
		t.Errorf("it is not said once that the existing command fails:\n%s", output)
	}
	m.bothWork(t)
}

// existingUnsafe: sshd refuses to run a command that others may write, and must go on refusing.
func existingUnsafe(t *testing.T) {
	m := newMachine(t, func(t *testing.T) {
		must(t, os.WriteFile("/usr/local/bin/existing-keys", []byte("#!/bin/sh\n"), 0o777))
		must(t, os.Chmod("/usr/local/bin/existing-keys", 0o777))
		edit(t, sshdConfig, func(text string) string {
			return text + "\nAuthorizedKeysCommand /usr/local/bin/existing-keys\nAuthorizedKeysCommandUser nobody\n"
		})
	})
	before := snapshot(t)
	if output, err := m.enroll(t); err == nil || !strings.Contains(output, "chmod go-w /usr/local/bin/existing-keys") {
		t.Errorf("%v\n%s", err, output)
	}
	before.same(t)
}

func brokenConfiguration(t *testing.T) {
	m := newMachine(t, nil)
	edit(t, sshdConfig, func(text string) string { return text + "\nNoSuchKeyword yes\n" })
	before := snapshot(t)
	if output, err := m.enroll(t); err == nil || !strings.Contains(output, "NoSuchKeyword") {
		t.Errorf("%v\n%s", err, output)
	}
	before.same(t)
}

// refusedAtLast: an sshd objects to the drop-in only once it is installed.
func refusedAtLast(t *testing.T) {
	m := newMachine(t, nil)
	must(t, os.Mkdir("/usr/lib/real", 0o755))
	run(t, "cp", "/usr/sbin/sshd", "/usr/lib/real/sshd")
	must(t, os.Remove("/usr/sbin/sshd")) // the daemon goes on with it
	must(t, os.WriteFile("/usr/sbin/sshd", []byte(`#!/bin/sh
case "$*" in "-t -f /etc/ssh/sshd_config")
	[ -e /etc/ssh/sshd_config.d/00-sallyport-host.conf ] && { echo "injected fault" >&2; exit 255; };;
esac
exec /usr/lib/real/sshd "$@"
`), 0o755))
	settle(t)
	before := snapshot(t)
	end := m.loggingIn(t)
	output, err := m.enroll(t)
	end()
	if err == nil || !strings.Contains(output, "injected fault") ||
		!strings.Contains(output, "terminate-instances --instance-ids "+standInInstance) {
		t.Errorf("%v\n%s", err, output)
	}
	before.same(t)
}

func noInclude(t *testing.T) {
	m := newMachine(t, func(t *testing.T) {
		edit(t, sshdConfig, func(text string) string { return strings.Replace(text, "\nInclude ", "\n# Include ", 1) })
	})
	settle(t)
	before := snapshot(t)
	m.mustEnroll(t)
	m.bothWork(t)
	content, err := os.ReadFile(sshdConfig)
	must(t, err)
	if n := strings.Count(string(content), "\nInclude "); n != 1 {
		t.Errorf("%d Include lines:\n%s", n, content)
	}
	run(t, hostProgram, "unenroll")
	before.same(t)
}

// earlierDropIn sets an AuthorizedKeysCommand in a file that sshd reads before ours: ours must still win.
func earlierDropIn(t *testing.T) {
	m := newMachine(t, func(t *testing.T) {
		must(t, os.WriteFile("/etc/ssh/sshd_config.d/00-first.conf", []byte(
			"AuthorizedKeysCommand /bin/true\nAuthorizedKeysCommandUser nobody\n"), 0o644))
	})
	before := snapshot(t)
	m.mustEnroll(t)
	m.bothWork(t)
	// Somebody edits the file meanwhile: their edit stays.
	edit(t, sshdConfig, func(text string) string { return text + "# an edit\n" })
	run(t, hostProgram, "unenroll")
	edit(t, sshdConfig, func(text string) string { return strings.TrimSuffix(text, "# an edit\n") })
	after := snapshot(t)
	delete(before, sshdConfig)
	delete(before, "/etc/ssh")
	delete(after, sshdConfig)
	delete(after, "/etc/ssh")
	for path, was := range before {
		if after[path] != was {
			t.Errorf("%s was %s and is %s", path, was, after[path])
		}
	}
}

func allowUsers(t *testing.T) {
	m := newMachine(t, func(t *testing.T) {
		edit(t, sshdConfig, func(text string) string { return text + "\nPermitRootLogin no\nAllowUsers alice\n" })
	})
	output := m.mustEnroll(t, "--output", "json")
	if !strings.Contains(output, `"testLogin": "alice"`) {
		t.Errorf("the test login was not alice's:\n%s", output)
	}
	if err := m.pushedLogin(t, "alice"); err != nil {
		t.Error(err)
	}
	ack := m.plane.grant(t, "root", writeKey(t, "/root/pushed"))
	if ack.Code == "" || !strings.Contains(ack.Message, "PermitRootLogin") {
		t.Errorf("a push for root, whom sshd forbids to log in: %+v", ack)
	}
}

func nobodyMayLogIn(t *testing.T) {
	m := newMachine(t, func(t *testing.T) {
		edit(t, sshdConfig, func(text string) string { return text + "\nAllowUsers somebody-else\n" })
	})
	settle(t)
	before := snapshot(t)
	if output, err := m.enroll(t); err == nil || !strings.Contains(output, "--skip-test-login") {
		t.Errorf("%v\n%s", err, output)
	}
	before.same(t)
	m.mustEnroll(t, "--skip-test-login")
	run(t, hostProgram, "unenroll")
	before.same(t)

	// There was no login to try the reloaded sshd with either. When an admin stops sshd later, un-enrolling must not
	// mistake that for its own doing and start it again.
	m.mustEnroll(t, "--skip-test-login")
	pid, err := os.ReadFile("/run/sshd.pid")
	must(t, err)
	run(t, "kill", strings.TrimSpace(string(pid)))
	wait.For(t, "sshd to end", func() bool { _, err := os.Stat("/run/sshd.pid"); return os.IsNotExist(err) })
	run(t, hostProgram, "unenroll")
	if _, err := os.Stat("/run/sshd.pid"); !os.IsNotExist(err) {
		t.Errorf("un-enrolling has started an sshd that was stopped: %v", err)
	}
	before.same(t)
}

// matchBlock: logins for which sshd is configured to ask no command stay that way, and enroll says so.
func matchBlock(t *testing.T) {
	m := newMachine(t, func(t *testing.T) {
		edit(t, sshdConfig, func(text string) string {
			return text + "\nMatch User bob\n  AuthorizedKeysCommand none\n"
		})
	})
	output := m.mustEnroll(t)
	if !strings.Contains(output, "Match User bob") {
		t.Errorf("the Match block is not named:\n%s", output)
	}
	m.bothWork(t)
}

// killed kills enroll at each of its steps; unenroll, or enroll again, cleans up.
func killed(t *testing.T) {
	m := newMachine(t, nil)
	settle(t)
	before := snapshot(t)
	for i, step := range []string{
		"Install the keys helper", "Choose the keys helper's user", "Enroll with",
		"Wait for the link", "Write sshd's configuration", "Reload sshd",
	} {
		m.enrollUntil(t, step, os.Kill)
		if err := login("alice", m.ordinary); err != nil {
			t.Errorf("killed at %q: %v", step, err)
		}
		if i%2 == 1 {
			m.mustEnroll(t)
		}
		run(t, hostProgram, "unenroll")
		before.same(t)
	}
}

// interrupted: Ctrl-C rolls back.
func interrupted(t *testing.T) {
	m := newMachine(t, nil)
	settle(t)
	before := snapshot(t)
	m.enrollUntil(t, "Wait for the link", os.Interrupt)
	before.same(t)
}

// enrollUntil sends the signal when the step is announced, and waits for the program to end.
func (m *machine) enrollUntil(t *testing.T, step string, signal os.Signal) {
	t.Helper()
	cmd := exec.Command(hostProgram, "enroll", "-")
	cmd.Stdin = strings.NewReader(m.plane.token(t))
	progress, err := cmd.StderrPipe()
	must(t, err)
	must(t, cmd.Start())
	scanner := bufio.NewScanner(progress)
	scanner.Split(bufio.ScanWords)
	seen := ""
	for scanner.Scan() {
		seen += scanner.Text() + " "
		if signal != nil && strings.Contains(seen, step) {
			must(t, cmd.Process.Signal(signal))
			signal = nil
		}
	}
	if cmd.Wait() == nil {
		t.Fatalf("enroll succeeded before it could be stopped at %q: %s", step, seen)
	}
}

func badToken(t *testing.T) {
	m := newMachine(t, nil)
	settle(t)
	before := snapshot(t)
	cmd := exec.Command(hostProgram, "enroll")
	cmd.Env = append(os.Environ(), "SALLYPORT_HOST_TOKEN=nonsense")
	if output, err := cmd.CombinedOutput(); err == nil || !strings.Contains(string(output), "The enrollment token") {
		t.Errorf("%v\n%s", err, output)
	}
	before.same(t)
	spent := m.plane.token(t)
	m.plane.mu.Lock()
	clear(m.plane.tokens)
	m.plane.mu.Unlock()
	cmd = exec.Command(hostProgram, "enroll", spent)
	if output, err := cmd.CombinedOutput(); err == nil || !strings.Contains(string(output), "The token is not valid") {
		t.Errorf("%v\n%s", err, output)
	}
	before.same(t)
	impostor := startStandIn(t)
	m.plane.url = impostor.url // the token pins the real one's authority, and the impostor answers
	cmd = exec.Command(hostProgram, "enroll", m.plane.token(t))
	if output, err := cmd.CombinedOutput(); err == nil || !strings.Contains(string(output), "not the one") {
		t.Errorf("%v\n%s", err, output)
	}
	before.same(t)
}

// gone waits until an un-enrollment in the background has ended.
func (m *machine) gone(t *testing.T) {
	t.Helper()
	wait.For(t, "the enrollment to go", func() bool { _, err := os.Stat("/etc/sallyport"); return os.IsNotExist(err) })
	wait.For(t, "unenroll to end", func() bool { return !runs("unenroll\x00--dismissed") })
}

// dismissed: TerminateInstances at the control plane un-enrolls the machine.
func dismissed(t *testing.T) {
	m := newMachine(t, nil)
	settle(t)
	before := snapshot(t)
	m.mustEnroll(t)
	m.plane.dismiss()
	m.gone(t)
	before.same(t)
	if err := login("alice", m.ordinary); err != nil {
		t.Error(err)
	}
}
