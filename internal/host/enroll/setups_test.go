package enroll_test

import (
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/internal/testkit/wait"
)

// setups returns the scenarios of machines whose sshd is configured or started in an unusual way.
func setups() map[string]func(*testing.T) {
	return map[string]func(*testing.T){
		"command by an option":     commandByOption,
		"options of sshd":          optionsOfSSHD,
		"no pid file":              noPIDFile,
		"directory comes and goes": directoryComesAndGoes,

		"principals command":           principalsCommand,
		"principals command matched":   principalsCommandMatched,
		"principals command elsewhere": principalsCommandElsewhere,
		"existing command is slow":     existingSlow,
		"one attempt only":             oneAttempt,
		"only RSA":                     onlyRSA,
		"key and password":             keyAndPassword,
		"users by address":             usersByAddress,
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
	wait.For(t, "sshd to listen", func() bool {
		return exec.Command("ssh-keyscan", "-t", "ed25519", "127.0.0.1").Run() == nil
	})
}

// commandByOption: Amazon's own package starts sshd with its AuthorizedKeysCommand as an option, which takes precedence
// over every file. Enrollment succeeded, and every push was denied. Now it is refused, and nothing is changed.
func commandByOption(t *testing.T) {
	m := newMachine(t, nil)
	restartSSHD(t, "-o", "AuthorizedKeysCommand /bin/echo %u %f", "-o", "AuthorizedKeysCommandUser nobody")
	before := snapshot(t)
	output, err := m.enroll(t)
	if err == nil || !strings.Contains(output, "/bin/echo %u %f") ||
		!strings.Contains(output, "restart sshd, and enroll again") {
		t.Errorf("%v\n%s", err, output)
	}
	before.same(t)

	// If the daemon of an enrolled machine is started that way later, the status names the option.
	restartSSHD(t)
	m.mustEnroll(t)
	m.bothWork(t)
	restartSSHD(t, "-o", "AuthorizedKeysCommand /bin/echo %u %f", "-o", "AuthorizedKeysCommandUser nobody")
	status, err := exec.Command(hostProgram, "status").CombinedOutput()
	if err == nil || !strings.Contains(string(status), "options that sshd is started with") {
		t.Errorf("%v\n%s", err, status)
	}
}

// optionsOfSSHD: a daemon reads another file, and listens where an option says.
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

// noPIDFile: an sshd that writes no PidFile was never told to reload. Enrollment and status reported success, and every
// push was denied.
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

// configured appends lines to sshd's configuration.
func configured(lines string) func(t *testing.T) {
	return func(t *testing.T) {
		edit(t, sshdConfig, func(text string) string { return text + "\n" + lines + "\n" })
	}
}

// certify makes an authority, a program that names alice's principal, and a certificate for it, in a file beside its
// key.
func certify(t *testing.T) (key string) {
	t.Helper()
	key = "/root/certified"
	run(t, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", "/etc/ssh/authority")
	run(t, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key)
	run(t, "ssh-keygen", "-q", "-s", "/etc/ssh/authority", "-I", "alice", "-n", "ops-of-alice", key+".pub")
	must(t, os.WriteFile("/usr/local/bin/principals", []byte("#!/bin/sh\necho ops-of-$1\n"), 0o755))
	return key
}

const principalsLines = "AuthorizedPrincipalsCommand /usr/local/bin/principals %u\n" +
	"AuthorizedPrincipalsCommandUser nobody\n"

// principalsCommand: OpenSSH before 9.4 ignores an AuthorizedPrincipalsCommand that comes after an
// AuthorizedKeysCommand. Ours came first, and everybody who logged in by a certificate was locked out.
func principalsCommand(t *testing.T) {
	var key string
	m := newMachine(t, func(t *testing.T) {
		key = certify(t)
		configured("TrustedUserCAKeys /etc/ssh/authority.pub\n" + principalsLines)(t)
	})
	must(t, login("alice", key))
	settle(t)
	before := snapshot(t)
	output := m.mustEnroll(t)
	if strings.Contains(output, "by a certificate") {
		t.Errorf("a certificate was not tried:\n%s", output)
	}
	m.bothWork(t)
	if err := login("alice", key); err != nil {
		t.Errorf("by a certificate: %v", err)
	}
	if login("root", key) == nil {
		t.Error("alice's certificate lets root in")
	}
	run(t, hostProgram, "unenroll")
	before.same(t)
	must(t, login("alice", key))
}

// principalsCommandMatched: the same in a Match block that also has a command for keys.
func principalsCommandMatched(t *testing.T) {
	var key string
	m := newMachine(t, func(t *testing.T) {
		key = certify(t)
		configured("TrustedUserCAKeys /etc/ssh/authority.pub\nMatch User alice\n" + principalsLines +
			"AuthorizedKeysCommand /bin/true\nAuthorizedKeysCommandUser nobody\n")(t)
	})
	must(t, login("alice", key))
	m.mustEnroll(t)
	m.bothWork(t)
	if err := login("alice", key); err != nil {
		t.Errorf("by a certificate: %v", err)
	}
}

// principalsCommandElsewhere: one Match block names the principals and a later one the keys, so a block of ours before
// both would hide the principals. Enrollment is refused, and nothing is changed; on a later OpenSSH it succeeds.
func principalsCommandElsewhere(t *testing.T) {
	var key string
	m := newMachine(t, func(t *testing.T) {
		key = certify(t)
		configured("TrustedUserCAKeys /etc/ssh/authority.pub\nMatch Group alice\n" + principalsLines +
			"Match User alice\nAuthorizedKeysCommand /bin/true\nAuthorizedKeysCommandUser nobody\n")(t)
	})
	must(t, login("alice", key))
	settle(t)
	before := snapshot(t)
	output, err := m.enroll(t)
	if err == nil || !strings.Contains(output, "authorizedprincipalscommand for alice") {
		t.Errorf("%v\n%s", err, output)
	}
	before.same(t)
	must(t, login("alice", key))
}

// existingSlow: the existing command answers after six seconds, with more than a megabyte, the key at its end.
func existingSlow(t *testing.T) {
	key := t.TempDir() + "/third"
	public := writeKey(t, key)
	must(t, os.WriteFile("/usr/local/share/third.pub", []byte(public.Type()+" "+base64Key(public)+"\n"), 0o644))
	m := newMachine(t, func(t *testing.T) {
		must(t, os.WriteFile("/usr/local/bin/existing-keys", []byte(`#!/bin/sh
sleep 6
[ "$1" = alice ] || exit 0
yes '# a line of a long answer' | head -c 1500000
echo
cat /usr/local/share/third.pub
`), 0o755))
		configured("AuthorizedKeysCommand /usr/local/bin/existing-keys\nAuthorizedKeysCommandUser nobody\n")(t)
	})
	must(t, login("alice", key))
	output := m.mustEnroll(t)
	if strings.Contains(output, "A key of the AuthorizedKeysCommand") {
		t.Errorf("no key of the command was tried:\n%s", output)
	}
	if err := login("alice", key); err != nil {
		t.Errorf("by a key of the existing command: %v", err)
	}
	begin := time.Now()
	if err := m.pushedLogin(t, "alice"); err != nil {
		t.Errorf("by a pushed key: %v", err)
	}
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("a pushed key waits %v for the existing command", took)
	}
}

func oneAttempt(t *testing.T) {
	m := newMachine(t, configured("MaxAuthTries 1"))
	m.mustEnroll(t)
	m.bothWork(t)
}

// onlyRSA: an sshd accepts only RSA keys, signed by one algorithm, and has one.
func onlyRSA(t *testing.T) {
	const ordinary, pushed = "/root/rsa", "/root/pushed"
	m := newMachine(t, func(t *testing.T) {
		for _, path := range []string{ordinary, pushed} {
			run(t, "ssh-keygen", "-q", "-t", "rsa", "-b", "3072", "-N", "", "-f", path)
		}
		run(t, "sh", "-c", "ls /etc/ssh/ssh_host_rsa_key || ssh-keygen -q -t rsa -N '' -f /etc/ssh/ssh_host_rsa_key")
		run(t, "sh", "-c", "cat /root/rsa.pub >>/home/alice/.ssh/authorized_keys")
		configured("PubkeyAcceptedAlgorithms rsa-sha2-512\nHostKey /etc/ssh/ssh_host_rsa_key\nRequiredRSASize 3072")(t)
	})
	must(t, login("alice", ordinary))
	m.mustEnroll(t)
	text, err := os.ReadFile(pushed + ".pub")
	must(t, err)
	key, _, _, _, err := ssh.ParseAuthorizedKey(text)
	must(t, err)
	m.plane.push(t, "alice", key)
	for _, path := range []string{ordinary, pushed} {
		if err := login("alice", path); err != nil {
			t.Errorf("by %s: %v", path, err)
		}
	}
}

// keyAndPassword: a key alone let nobody in, so no login could be tried, and enrollment was refused.
func keyAndPassword(t *testing.T) {
	m := newMachine(t, nil)
	for _, methods := range []string{"publickey,password", "password,publickey"} {
		edit(t, sshdConfig, func(text string) string { return text + "\nMatch all\nAuthenticationMethods " + methods + "\n" })
		restartSSHD(t)
		output := m.mustEnroll(t)
		if !strings.Contains(output, "Not tried: ") || !strings.Contains(output, "AuthenticationMethods") {
			t.Errorf("%s: it is not said what was not tried:\n%s", methods, output)
		}
		if status := run(t, hostProgram, "status"); !strings.Contains(status, "asks us") {
			t.Errorf("%s: the status is\n%s", methods, status)
		}
		run(t, hostProgram, "unenroll")
		edit(t, sshdConfig, func(text string) string { return text[:strings.Index(text, "\nMatch all")] })
	}
}

// usersByAddress: sshd lets nobody in from the machine itself, from where a login is tried.
func usersByAddress(t *testing.T) {
	m := newMachine(t, configured("PermitRootLogin no\nAllowUsers alice@10.20.0.0/16"))
	output := m.mustEnroll(t)
	if !strings.Contains(output, "Not tried: A login of alice") || !strings.Contains(output, "10.20.0.1") {
		t.Errorf("it is not said what was not tried:\n%s", output)
	}
	run(t, hostProgram, "unenroll")

	// A block that disables our helper for those addresses is noticed.
	edit(t, sshdConfig, func(text string) string {
		return text + "\nMatch Address 10.20.0.0/16\n\tAuthorizedKeysCommand none\n"
	})
	if output, err := m.enroll(t); err == nil {
		t.Errorf("nobody who may log in would be asked of us:\n%s", output)
	}
}

// directoryComesAndGoes: with Debian 11's ssh.socket systemd starts an sshd for each connection, and removes /run/sshd
// whenever one ends. Enrollment failed if somebody's session ended in the meantime.
func directoryComesAndGoes(t *testing.T) {
	m := newMachine(t, nil)
	pid, err := os.ReadFile("/run/sshd.pid")
	must(t, err)
	run(t, "kill", strings.TrimSpace(string(pid)))
	wait.For(t, "sshd to end", func() bool { _, err := os.Stat("/run/sshd.pid"); return os.IsNotExist(err) })
	socket, err := net.Listen("tcp", ":22") // as ssh.socket waits for connections
	must(t, err)
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			case <-time.After(100 * time.Millisecond):
				os.Remove("/run/sshd")
			}
		}
	}()
	m.mustEnroll(t)
	status := run(t, hostProgram, "status")
	close(stop)
	<-stopped
	must(t, socket.Close())
	if !strings.Contains(status, "asks us") {
		t.Errorf("the status is\n%s", status)
	}
	must(t, os.MkdirAll("/run/sshd", 0o755))
	run(t, "/usr/sbin/sshd")
	m.bothWork(t)
}
