package host

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/internal/hostproto"
	"github.com/sallyport/sallyport/internal/testkit/debian"
	"github.com/sallyport/sallyport/internal/testkit/prerequisite"
	"github.com/sallyport/sallyport/internal/testkit/wait"
)

func TestMain(m *testing.M) { os.Exit(debian.Main(m)) }

// A key was acknowledged for accounts that sshd, PAM or the shell turn away: the push succeeded, and the login was
// denied. Whatever the account and sshd's configuration, the agent must say what sshd does: it refuses no user whom an
// ordinary key lets in, and accepts none whom it does not.
func TestJudgesAsSSHDDoes(t *testing.T) {
	if !debian.Inside() {
		debian.Rerun(t, debian.Bookworm, nil)
		return
	}
	users := makeAccounts(t)
	for name, config := range map[string]string{
		"with PAM":                "UsePAM yes\n",
		"without PAM":             "UsePAM no\n",
		"AllowUsers":              "UsePAM yes\nAllowUsers plain m*ller DOM+* nobody@*\n",
		"AllowUsers by address":   "UsePAM yes\nAllowUsers *@127.0.0.0/8\n",
		"DenyUsers":               "UsePAM yes\nDenyUsers pl?in ntpsec\nDenyUsers mina*\n",
		"AllowGroups":             "UsePAM yes\nAllowGroups staff friends\n",
		"DenyGroups":              "UsePAM yes\nDenyGroups fr*\n",
		"no root":                 "UsePAM yes\nPermitRootLogin no\n",
		"root for commands":       "UsePAM yes\nPermitRootLogin forced-commands-only\n",
		"no keys":                 "UsePAM yes\nPubkeyAuthentication no\n",
		"keys for some":           "UsePAM yes\nPubkeyAuthentication no\nMatch User plain,1digit\nPubkeyAuthentication yes\n",
		"addresses and PAM":       "UsePAM yes\nMatch Address 203.0.113.0/24\nPermitRootLogin no\nAllowUsers nobody\n",
		"another command for one": "UsePAM yes\nMatch User mina\nAuthorizedKeysCommand /bin/false\nPubkeyAuthentication no\n",
		"no Ed25519 for a group":  "UsePAM yes\nMatch Group friends\nPubkeyAcceptedAlgorithms ecdsa-sha2-nistp256\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // so it runs after "closed", which closes the machine to everybody
			d := startSSHD(t, config)
			machine := NewMachine(NewWatch(Config{SSHDConfig: d.config}, d.directory, quiet), time.Now, quiet)
			for _, user := range users {
				if !strings.HasSuffix(name, "PAM") && !slices.Contains(someUsers, user) {
					continue
				}
				ack := machine.Judge(t.Context(), user, d.publicKey)
				output, err := d.login(t.Context(), user)
				if (ack.Code == "") != (err == nil) {
					t.Errorf("%s: the agent says %q %q; the login: %v %s", user, ack.Code, ack.Message, err, output)
				}
				if ack.Code != "" && ack.Code != hostproto.AckUnknownUser && ack.Message == "" {
					t.Errorf("%s: refused as %+v, without a reason", user, ack)
				}
				// The advice was once `chage -E -1`, which only prints chage's usage.
				if strings.Contains(ack.Message, "chage ") && !strings.HasSuffix(ack.Message, " "+user) {
					t.Errorf("%s: the advice names no account: %q", user, ack.Message)
				}
			}
		})
	}
	t.Run("closed", func(t *testing.T) {
		d := startSSHD(t, "UsePAM yes\n")
		machine := NewMachine(NewWatch(Config{SSHDConfig: d.config}, d.directory, quiet), time.Now, quiet)
		for _, file := range nologinFiles {
			write(t, file, "Closed.\n", 0o644)
			for _, user := range []string{"root", "plain"} {
				ack := machine.Judge(t.Context(), user, d.publicKey)
				output, err := d.login(t.Context(), user)
				if (ack.Code == "") != (err == nil) {
					t.Errorf("%s, %s: the agent says %+v; the login: %v %s", file, user, ack, err, output)
				}
			}
			if err := os.Remove(file); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// someUsers are the accounts whose logins depend on sshd's configuration.
var someUsers = []string{"root", "plain", "mina", "service", "1digit", "DOM+bob", "müller", "nobody-here"}

// makeAccounts creates accounts of every kind in the Debian, and returns their names and some names without an account.
func makeAccounts(t *testing.T) []string {
	t.Helper()
	script := `
groupadd friends
useradd -m -s /bin/sh -p '*' plain
useradd -m -s /bin/sh -p '*' -G friends mina
useradd -m -s /bin/sh -p '!' locked
useradd -m -s /bin/sh -p '*' -e "$(date -d yesterday +%F)" expired
useradd -m -s /bin/sh -p '*' -e "$(date +%F)" expirestoday
useradd -m -s /bin/sh -p '*' -e "$(date -d tomorrow +%F)" expirestomorrow
useradd -m -s /bin/sh -p '*' -e 1970-01-02 disabled
useradd -m -s /bin/sh -p '*' mustchange; chage -d 0 mustchange
useradd -m -s /bin/sh -p '*' stale; chage -d "$(date -d '10 days ago' +%F)" -M 5 stale
useradd -m -s /bin/sh -p '*' lastday; chage -d "$(date -d '5 days ago' +%F)" -M 5 lastday
useradd -m -s /bin/sh -p '*' inactive; chage -d "$(date -d '10 days ago' +%F)" -M 5 -I 2 inactive
useradd -m -s /bin/sh -p '*' future; chage -d "$(date -d 'next year' +%F)" -M 5 future
useradd -m -s /usr/sbin/nologin -p '*' service
useradd -m -s /bin/false -p '*' falsely
useradd -m -s /bin/gone -p '*' goneshell
useradd -m -s /etc/passwd -p '*' fileshell
useradd -m -s /usr/lib -p '*' dirshell
useradd -m -s '' -p '*' noshell
echo '1digit:x:3001:3001::/home/plain:/bin/sh
DOM+bob:x:3002:3002::/home/plain:/bin/sh
müller:x:3003:3003::/home/plain:/bin/sh
DOM\anna:x:3004:3004::/home/plain:/bin/sh
1234:x:3005:3005::/home/plain:/bin/sh
noshadow:x:3006:3006::/home/plain:/bin/sh' >> /etc/passwd
for name in 1digit DOM+bob müller 'DOM\anna' 1234; do printf '%s:*:19000:0:99999:7:::\n' "$name" >> /etc/shadow; done
`
	if output, err := exec.Command("bash", "-exc", script).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	return []string{"root", "plain", "mina", "locked", "expired", "expirestoday", "expirestomorrow",
		"disabled", "mustchange", "stale", "lastday", "inactive", "future", "service", "falsely", "goneshell",
		"fileshell", "dirshell", "noshell", "1digit", "DOM+bob", "müller", `DOM\anna`, "1234", "noshadow",
		"nobody-here", "0", "99"}
}

// testSSHD is a real sshd on loopback. It asks the agent of an enrollment that does not exist, and accepts one ordinary
// key for everybody.
type testSSHD struct {
	directory string // of the enrollment, which does not exist
	config    string
	pidFile   string
	port      int
	publicKey string
	private   string // the file of the ordinary key
	stop      func()
}

const keysCommandLines = `AuthorizedKeysCommand /bin/true /etc/sallyport-test/run/host.sock %u %f
AuthorizedKeysCommandUser nobody
`

func startSSHD(t *testing.T, lines string) testSSHD {
	t.Helper()
	program, err := exec.LookPath("sshd")
	if err != nil {
		program = "/usr/sbin/sshd"
	}
	if _, err := os.Stat(program); err != nil || os.Geteuid() != 0 {
		prerequisite.Missing(t, "an OpenSSH server, as root")
	}
	base := t.TempDir()
	for path := base; path != "/" && path != os.TempDir(); path = filepath.Dir(path) {
		if err := os.Chmod(path, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	d := testSSHD{
		directory: "/etc/sallyport-test", config: filepath.Join(base, "sshd_config"), pidFile: filepath.Join(base, "pid"),
		port: freePort(t), private: filepath.Join(base, "key"),
	}
	d.publicKey = writePair(t, d.private)
	writePair(t, filepath.Join(base, "host_key"))
	write(t, filepath.Join(base, "authorized"), d.publicKey+"\n", 0o644)
	d.write(t, lines)
	if err := os.MkdirAll("/run/sshd", 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "-D", "-e", "-f", d.config)
	var said strings.Builder
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	d.stop = func() {
		cmd.Process.Kill()
		cmd.Wait()
	}
	t.Cleanup(func() {
		d.stop()
		if t.Failed() {
			t.Log(said.String())
		}
	})
	wait.For(t, "sshd to start", func() bool { _, err := os.Stat(d.pidFile); return err == nil })
	return d
}

// write writes the configuration: the AuthorizedKeysCommand, and the lines.
func (d testSSHD) write(t *testing.T, lines string) {
	t.Helper()
	d.writeAll(t, keysCommandLines+lines)
}

// writeAll writes the configuration: sshd's places and keys, and the lines.
func (d testSSHD) writeAll(t *testing.T, lines string) {
	t.Helper()
	base := filepath.Dir(d.config)
	write(t, d.config, fmt.Sprintf(`Port %d
ListenAddress 127.0.0.1
HostKey %s/host_key
PidFile %s
StrictModes no
AuthorizedKeysFile %s/authorized
%s`, d.port, base, d.pidFile, base, lines), 0o644)
}

// reload makes the daemon read its configuration again, and returns when it has.
func (d testSSHD) reload(t *testing.T) {
	t.Helper()
	before := stat(t, d.pidFile)
	text, err := os.ReadFile(d.pidFile)
	if err != nil {
		t.Fatal(err)
	}
	if output, err := exec.Command("kill", "-HUP", strings.TrimSpace(string(text))).CombinedOutput(); err != nil {
		t.Fatalf("%v %s", err, output)
	}
	wait.For(t, "sshd to read its configuration", func() bool {
		after, err := os.Stat(d.pidFile)
		return err == nil && after.Size() > 0 && !(os.SameFile(before, after) && before.ModTime().Equal(after.ModTime()))
	})
}

// login logs in with the ordinary key.
func (d testSSHD) login(ctx context.Context, user string) (output []byte, err error) {
	ctx, cancel := context.WithTimeout(ctx, wait.Patience)
	defer cancel()
	return exec.CommandContext(ctx, "ssh", "-i", d.private, "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes",
		"-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR",
		"-p", strconv.Itoa(d.port), "-l", user, "127.0.0.1", "true").CombinedOutput()
}

// writePair makes a key pair, writes the private key to the path and the public key beside it, and returns the public
// key.
func writePair(t *testing.T, path string) (publicKey string) {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(private, "")
	if err != nil {
		t.Fatal(err)
	}
	key, err := ssh.NewPublicKey(private.Public())
	if err != nil {
		t.Fatal(err)
	}
	line := strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key)))
	write(t, path, string(pem.EncodeToMemory(block)), 0o600)
	write(t, path+".pub", line+"\n", 0o644)
	return line
}

func write(t *testing.T, path, text string, mode os.FileMode) {
	t.Helper()
	if err := errors.Join(os.WriteFile(path, []byte(text), mode), os.Chmod(path, mode)); err != nil {
		t.Fatal(err)
	}
}

func freePort(t *testing.T) int {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().(*net.TCPAddr).Port
}

// The users of a directory service are in no file. The name services know their shells and groups.
func TestUsersOfADirectory(t *testing.T) {
	d := startSSHD(t, "UsePAM yes\nAllowGroups \"domain users\"\n")
	bin := t.TempDir()
	write(t, filepath.Join(bin, "getent"), `#!/bin/sh
case "$1 $3" in
"passwd anna@corp") echo 'anna@corp:*:70001:70001::/home/anna:/bin/sh' ;;
"passwd jo@corp") echo 'jo@corp:*:70002:70001::/home/jo:/bin/sh' ;;
"passwd bb@corp") echo 'bb@corp:*:70005:70001::/home/bb:/bin/sh' ;;
"passwd svc@corp") echo 'svc@corp:*:70003:70001::/:/sbin/nologin' ;;
"passwd gone@corp") echo 'gone@corp:*:70004:70001::/home/gone:/bin/sh' ;;
"shadow gone@corp") echo 'gone@corp:*:19000:::::1:' ;;
"passwd down@corp") exec sleep 60 ;;
*) exit 2 ;;
esac
`, 0o755)
	write(t, filepath.Join(bin, "id"), `#!/bin/sh
[ "$3" = bb@corp ] && exit 1
[ "$3" = jo@corp ] && printf 'guests\0' || printf 'domain users\0other\0'
`, 0o755)
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	machine := NewMachine(NewWatch(Config{SSHDConfig: d.config}, d.directory, quiet), time.Now, quiet)
	for user, want := range map[string]hostproto.Ack{
		"anna@corp": {},
		"jo@corp":   {Code: hostproto.AckRefused, Subject: hostproto.SubjectUser, Message: "AllowGroups"},
		"bb@corp":   {}, // its groups cannot be found out
		"svc@corp":  {Code: hostproto.AckRefused, Subject: hostproto.SubjectUser, Message: "shell"},
		"gone@corp": {Code: hostproto.AckRefused, Subject: hostproto.SubjectUser, Message: "expired"},
		"down@corp": {Code: hostproto.AckFailed, Message: "look up"},
		"eve@corp":  {Code: hostproto.AckUnknownUser},
	} {
		got := machine.Judge(t.Context(), user, d.publicKey)
		if got.Code != want.Code || got.Subject != want.Subject || !strings.Contains(got.Message, want.Message) {
			t.Errorf("%s: %+v, want %+v", user, got, want)
		}
	}
}
