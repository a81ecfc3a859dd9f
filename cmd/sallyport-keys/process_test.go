package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/clock"
	"github.com/sallyport/sallyport/internal/host/keys"
	"github.com/sallyport/sallyport/internal/testkit/isolated"
	"github.com/sallyport/sallyport/internal/testkit/prerequisite"
	"github.com/sallyport/sallyport/internal/testkit/wait"
)

// The tests run the program as a process of its own: the test binary becomes it.
const becomeProgram = "SALLYPORT_KEYS_TEST_BECOME_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(becomeProgram) != "" {
		main()
		return
	}
	os.Exit(isolated.Run(m))
}

const (
	publicKey = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ1xMgAZ3UGSnR3kR4jCXE5bI6qLF3lF0D2oXLGyhVhz"
	// fingerprint is that of publicKey, as ssh-keygen -lf shows it.
	fingerprint = "SHA256:HJuR0YAFdO4/luQdnoaff70Rl1w9XARQymYh/AWHDIg"
)

// run runs the keys helper and returns its output and exit status, -1 for a signal. The helper must print nothing else
// by itself.
func run(t *testing.T, args ...string) (out string, status int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), wait.Patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0], args...)
	cmd.Env = append(os.Environ(), becomeProgram+"=1", "GORACE=atexit_sleep_ms=0")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	text, err := cmd.Output()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Errorf("%q: %v", args, err)
	}
	if said := stderr.String(); said != "" && said != "noise\n" {
		t.Errorf("%q: %s", args, said)
	}
	return string(text), cmd.ProcessState.ExitCode()
}

// listenAs listens as the user, who may make a socket there.
func listenAs(t *testing.T, socket string, user int) net.Listener {
	t.Helper()
	if os.Geteuid() != 0 {
		prerequisite.Missing(t, "the agent is root's, and so must be what poses as it")
	}
	listening := make(chan net.Listener)
	go func() {
		defer close(listening)
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		const unchanged = ^uintptr(0)
		if _, _, errno := syscall.RawSyscall(syscall.SYS_SETRESUID, unchanged, uintptr(user), unchanged); errno != 0 {
			t.Error(errno)
			return
		}
		// The kernel records who calls listen(2). Package net could call it on another thread.
		fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
		err = errors.Join(err, syscall.Bind(fd, &syscall.SockaddrUnix{Name: socket}), syscall.Listen(fd, 64))
		file := os.NewFile(uintptr(fd), socket)
		defer file.Close()
		listener, listenErr := net.FileListener(file)
		if err = errors.Join(err, listenErr); err != nil {
			t.Error(err)
			return
		}
		listening <- listener
	}()
	listener := <-listening
	if listener == nil {
		t.FailNow()
	}
	t.Cleanup(func() { listener.Close() })
	return listener
}

// serve answers every question with what answer returns. If that is empty, it never answers.
func serve(t *testing.T, listener net.Listener, answer func() string) {
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { conn.Close() })
			asked := bufio.NewReader(conn)
			asked.Discard(len(keys.About))
			keys.ReadQuestion(asked) // unread data would make the kernel report an error to the helper
			if text := answer(); text != "" {
				io.WriteString(conn, text)
				conn.Close()
			}
		}
	}()
}

// root is the user id that the agent must have.
const root = 0

// handingOut returns the answer of an agent that hands out publicKey for the given time.
func handingOut(life time.Duration) string {
	return string(keys.AppendAnswer(nil, []keys.Key{{Ends: clock.Uptime() + life, Line: publicKey}}))
}

// The helper prints the keys that its agent hands out, but none that is over, in another form, or incomplete. sshd
// reads options in front of a key, so the helper rejects an answer that has any.
func TestAnswers(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "s")
	answers := make(chan string, 1)
	serve(t, listenAs(t, socket, root), func() string { return <-answers })
	good := handingOut(30 * time.Second)
	ends := good[:strings.Index(good, " ")]
	for name, test := range map[string]struct{ answer, want string }{
		"found":                        {good, publicKey + "\n"},
		"two keys":                     {strings.TrimSuffix(good, "\n") + good, publicKey + "\n" + publicKey + "\n"},
		"not found":                    {"\n", ""},
		"over by the machine's uptime": {handingOut(0), ""},
		"would live too long":          {handingOut(2 * time.Minute), ""},
		"one that is over beside":      {strings.TrimSuffix(good, "\n") + handingOut(0), ""},
		"cut off":                      {good[:len(good)-1], ""},
		"cut off within the key":       {good[:len(good)-9], ""},
		"no end":                       {publicKey + "\n\n", ""},
		"options":                      {ends + ` command="sh",restrict ` + publicKey + "\n\n", ""},
		"one option":                   {ends + " cert-authority " + publicKey + "\n\n", ""},
		"a comment":                    {strings.TrimSuffix(good, "\n\n") + " #\n\n", ""},
		"another line":                 {ends + " " + publicKey + "\r" + publicKey + "\n\n", ""},
		"nonsense":                     {"{\"grants\":[]}\n", ""},
		"too long":                     {strings.Repeat("x", 17<<20), ""},
	} {
		t.Run(name, func(t *testing.T) {
			answers <- test.answer
			if got, status := run(t, socket, "root", fingerprint); got != test.want || status != 0 {
				t.Errorf("printed %q and ended with %d, want %q", got, status, test.want)
			}
		})
	}
}

// A user who could make a socket in the place of the agent's, in a directory that was left open to all, would decide
// who logs in.
func TestSocketOfSomebodyElse(t *testing.T) {
	directory := t.TempDir()
	for path := directory; path != os.TempDir() && path != "/"; path = filepath.Dir(path) {
		if err := os.Chmod(path, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	const nobody = 65534
	for user, want := range map[int]string{root: publicKey + "\n", nobody: ""} {
		socket := filepath.Join(directory, strconv.Itoa(user))
		serve(t, listenAs(t, socket, user), func() string { return handingOut(30 * time.Second) })
		if got, status := run(t, socket, "root", fingerprint); got != want || status != 0 {
			t.Errorf("an agent of user %d: printed %q and ended with %d, want %q", user, got, status, want)
		}
	}
}

// Whatever the agent does, the command that sshd had before us runs as sshd would run it: with its output, however
// long, its exit status, and its time. It is not asked about a key that is one of ours. Its keys that came after six
// seconds, or after a megabyte, let users in before enrollment and not after.
func TestKeysChain(t *testing.T) {
	agents := map[string]func(t *testing.T, socket string){
		"agent answers": func(t *testing.T, socket string) {
			serve(t, listenAs(t, socket, root), func() string { return handingOut(30 * time.Second) })
		},
		"agent hangs": func(t *testing.T, socket string) {
			serve(t, listenAs(t, socket, root), func() string { return "" })
		},
		"agent dead": func(t *testing.T, socket string) { listenAs(t, socket, root).Close() }, // its socket is left
		"no agent":   func(*testing.T, string) {},
	}
	const megabytes = "yes | head -c 4000000; echo key"
	commands := []struct {
		name    string
		command []string
		want    string
		status  int
	}{
		{"no command", nil, "", 0},
		{"prints", []string{"/bin/sh", "-c", "echo $0 $1; echo more", "a", "b c"}, "a b c\nmore\n", 0},
		{"is slow", []string{"/bin/sh", "-c", "sleep 6; echo key"}, "key\n", 0},
		{"prints much", []string{"/bin/sh", "-c", megabytes}, strings.Repeat("y\n", 2000000) + "key\n", 0},
		{"fails", []string{"/bin/sh", "-c", "echo half; exit 3"}, "half\n", 3},
		{"is killed", []string{"/bin/sh", "-c", "echo half; kill -9 $$"}, "half\n", -1},
		{"is not there", []string{"/nonexistent/command"}, "", 0},
		{"is not absolute", []string{"sh", "-c", "echo key"}, "", 0},
		{"complains", []string{"/bin/sh", "-c", "echo noise >&2; echo key"}, "key\n", 0},
		{"never ends", []string{"/bin/sh", "-c", "echo half; sleep 600"}, "half\n", -1},
	}
	for name, agent := range agents {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			socket := filepath.Join(t.TempDir(), "s")
			agent(t, socket)
			for _, c := range commands {
				args := []string{socket, "root", fingerprint}
				if c.command != nil {
					args = append(append(args, "--"), c.command...)
				}
				want, status := c.want, c.status
				switch {
				case name == "agent answers":
					want, status = publicKey+"\n", 0
				case c.name == "never ends":
					continue // sshd would wait for such a command, too
				}
				if got, ended := run(t, args...); got != want || ended != status {
					t.Errorf("%s: printed %.300q and ended with %d, want %.300q and %d", c.name, got, ended, want, status)
				}
			}
		})
	}
}

// A command that users other than root can change is not run, as sshd would not run it.
func TestKeysRefusesAnUnsafeCommand(t *testing.T) {
	script := filepath.Join(t.TempDir(), "command") // in /tmp, where anybody can write
	if err := os.WriteFile(script, []byte("#!/bin/sh\necho key\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	if got, status := run(t, "/nonexistent/socket", "root", "--", script); got != "" || status != 0 {
		t.Errorf("printed %q and ended with %d", got, status)
	}
}

func TestKeysOfAMachineThatIsNotEnrolled(t *testing.T) {
	got, status := run(t, "/nonexistent/socket", "root", fingerprint, "--", "/bin/sh", "-c", "echo key")
	if got != "key\n" || status != 0 {
		t.Errorf("printed %q and ended with %d", got, status)
	}
	if got, status := run(t); got != "" || status != 0 {
		t.Errorf("without arguments: printed %q and ended with %d", got, status)
	}
}
