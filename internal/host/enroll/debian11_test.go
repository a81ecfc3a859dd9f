package enroll_test

import (
	"os"
	"strings"
	"testing"
)

// debian11 returns the scenarios for Debian 11, whose ssh.socket starts an sshd for each connection and removes
// /run/sshd whenever one ends.
func debian11() map[string]func(*testing.T) {
	return map[string]func(*testing.T){
		"an sshd for each connection": perConnection,
		"options of a unit":           unitOptions,
	}
}

// bootPerConnection boots a machine on which no daemon of sshd runs.
func bootPerConnection(t *testing.T) *machine {
	t.Helper()
	run(t, "systemctl", "disable", "ssh.service")
	run(t, "systemctl", "enable", "ssh.socket")
	return bootMachine(t)
}

func perConnection(t *testing.T) {
	m := bootPerConnection(t)
	settle(t)
	before := snapshot(t)
	end := m.loggingIn(t)
	output := m.mustEnroll(t)
	end()
	if strings.Contains(output, "Note:") {
		t.Errorf("enrolling warns:\n%s", output)
	}
	m.bothWork(t)
	m.plane.relinked(t, func() { m.run(t, "systemctl", "kill", "--signal=KILL", "sallyport-host.service") })
	m.bothWork(t)
	m.reboot(t)
	m.bothWork(t)
	if status := m.run(t, hostProgram, "status"); !strings.Contains(status, "asks us") {
		t.Errorf("the status is\n%s", status)
	}
	end = m.loggingIn(t)
	m.run(t, hostProgram, "unenroll")
	end()
	before.same(t)
	if err := login("alice", m.ordinary); err != nil {
		t.Error(err)
	}
	m.units(t)
}

// unitOptions: an AuthorizedKeysCommand was among the options with which systemd starts each sshd. No daemon ran whose
// options could be read: enrollment succeeded, and every push was denied.
func unitOptions(t *testing.T) {
	const defaults, dropIn = "/etc/default/ssh", "/etc/systemd/system/ssh@.service.d/keys.conf"
	m := bootPerConnection(t)
	usual, err := os.ReadFile(defaults)
	must(t, err)
	inDefaults := func() {
		edit(t, defaults, func(string) string {
			return "SSHD_OPTS='-o AuthorizedKeysCommand=/bin/true -oAuthorizedKeysCommandUser=nobody'\n"
		})
	}
	refused := func(command string) {
		t.Helper()
		settle(t)
		before := snapshot(t)
		output, err := m.enroll(t)
		if err == nil || !strings.Contains(output, "AuthorizedKeysCommand="+command+".") {
			t.Errorf("%v\n%s", err, output)
		}
		before.same(t)
	}
	inDefaults()
	refused("/bin/true")
	must(t, os.WriteFile(defaults, usual, 0o644))

	must(t, os.MkdirAll("/etc/systemd/system/ssh@.service.d", 0o755))
	must(t, os.WriteFile(dropIn, []byte("[Service]\nExecStart=\nExecStart=-/usr/sbin/sshd -i $SSHD_OPTS "+
		`-o "AuthorizedKeysCommand /bin/echo %%u %%f" -o "AuthorizedKeysCommandUser nobody"`+"\n"), 0o644))
	m.run(t, "systemctl", "daemon-reload")
	refused("/bin/echo %u %f")
	must(t, os.Remove(dropIn))
	m.run(t, "systemctl", "daemon-reload")

	// If that happens to an enrolled machine, its status names the option, and a push is refused with the reason.
	m.mustEnroll(t)
	m.bothWork(t)
	inDefaults()
	status, err := unlessLost(m.commander(hostProgram, "status"))
	if err == nil || !strings.Contains(status, "options that sshd is started with") {
		t.Errorf("%v\n%s", err, status)
	}
	m.plane.relinked(t, func() { m.run(t, "systemctl", "restart", "sallyport-host.service") }) // or a minute later
	ack := m.plane.grant(t, "alice", writeKey(t, "/root/pushed"))
	if ack.Code == "" || !strings.Contains(ack.Message, "options that sshd is started with") {
		t.Errorf("a push that opens nothing: %+v", ack)
	}
}
