package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/sallyport/sallyport/internal/ca"
	"github.com/sallyport/sallyport/internal/clock"
	"github.com/sallyport/sallyport/internal/host"
	"github.com/sallyport/sallyport/internal/hostproto"
	"github.com/sallyport/sallyport/internal/keyblob"
	"github.com/sallyport/sallyport/internal/testkit/isolated"
	"github.com/sallyport/sallyport/internal/testkit/wait"
)

// The tests here run the program as the process it is: this test binary becomes it.
const becomeProgram = "SALLYPORT_HOST_TEST_BECOME_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(becomeProgram) != "" {
		main()
		return
	}
	os.Exit(isolated.Run(m))
}

const (
	instanceID = "i-0123456789abcdef0"
	publicKey  = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ1xMgAZ3UGSnR3kR4jCXE5bI6qLF3lF0D2oXLGyhVhz"
	// fingerprint is publicKey's, as ssh-keygen -lf shows it.
	fingerprint = "SHA256:HJuR0YAFdO4/luQdnoaff70Rl1w9XARQymYh/AWHDIg"
)

func program(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, os.Args[0], args...)
	cmd.Env = append(os.Environ(), becomeProgram+"=1", "GORACE=atexit_sleep_ms=0")
	return cmd
}

// enrolled is a machine that was enrolled with an authority of the test.
type enrolled struct {
	directory string
	config    host.Config
	authority *ca.Authority
	signer    keyblob.Signer
}

func newEnrolled(t *testing.T, server string) enrolled {
	t.Helper()
	authority, err := ca.New("000000000001", time.Now(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := authority.Signer("on-prem-1", "sallyport", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	e := enrolled{directory: t.TempDir(), authority: authority, signer: signer}
	e.config = host.Config{
		Server: server, InstanceID: instanceID,
		Socket: filepath.Join(e.directory, "s"), Spool: filepath.Join(e.directory, "releases"),
	}
	if err := errors.Join(host.SaveIdentity(e.directory, key, authority.Certificate().Raw), e.config.Save(e.directory)); err != nil {
		t.Fatal(err)
	}
	return e
}

func (e enrolled) grant(t *testing.T, change func(*keyblob.Statement)) hostproto.Grant {
	t.Helper()
	s := keyblob.Statement{
		Expires: time.Now().Add(time.Minute), InstanceID: instanceID, Caller: "arn:aws:iam::000000000001:user/alice",
		RequestID: "r1", OSUser: "root", PublicKey: publicKey,
	}
	if change != nil {
		change(&s)
	}
	blob, err := keyblob.Sign(s, e.signer)
	if err != nil {
		t.Fatal(err)
	}
	return hostproto.Grant{RequestID: s.RequestID, OSUser: s.OSUser, Blob: blob, Until: clock.Uptime() + keyblob.Lifetime}
}

// clocks are those of a control plane on this machine.
func clocks() *hostproto.Clocks { return &hostproto.Clocks{Time: time.Now(), Uptime: clock.Uptime()} }

// live is a grant as the agent hands it out.
func live(grant hostproto.Grant) host.Live {
	return host.Live{Grant: grant, Ends: clock.Uptime() + keyblob.Lifetime}
}

// keys runs the keys helper and returns what it prints. It must succeed whatever happens.
func (e enrolled) keys(t *testing.T, args ...string) string {
	t.Helper()
	out, status := e.runKeys(t, args...)
	if status != 0 {
		t.Errorf("keys %q ends with %d", args, status)
	}
	return out
}

// runKeys runs the keys helper and returns what it prints, and its exit status, -1 for a signal. What it says beside that
// must be another command's.
func (e enrolled) runKeys(t *testing.T, args ...string) (out string, status int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), wait.Patience)
	defer cancel()
	cmd := program(ctx, append([]string{"keys", "--directory", e.directory}, args...)...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	text, err := cmd.Output()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Errorf("keys %q: %v", args, err)
	}
	if said := stderr.String(); said != "" && said != "noise\n" {
		t.Errorf("keys %q: %s", args, said)
	}
	return string(text), cmd.ProcessState.ExitCode()
}

// fakeAgent answers every question with what reply says, or never if it says nothing.
func (e enrolled) fakeAgent(t *testing.T, reply func(question map[string]string) any) {
	t.Helper()
	listener, err := net.Listen("unix", e.config.Socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { conn.Close() })
			line, _ := bufio.NewReader(conn).ReadBytes('\n')
			var question map[string]string
			json.Unmarshal(line, &question)
			switch answer := reply(question).(type) {
			case nil: // hangs
			case string:
				conn.Write([]byte(answer))
				conn.Close()
			default:
				json.NewEncoder(conn).Encode(answer)
			}
		}
	}()
}

// The keys helper believes its agent nothing that the authority did not sign.
func TestKeysVerifies(t *testing.T) {
	stranger := newEnrolled(t, "https://127.0.0.1:1")
	e := newEnrolled(t, "https://127.0.0.1:1")
	good := e.grant(t, nil)
	tampered, unsigned, renamed, chopped := good, good, good, good
	tampered.Blob.Text = strings.Replace(good.Blob.Text, "AAAAIJ1x", "AAAAIJ1y", 1)
	unsigned.Blob.Signature = nil
	renamed.RequestID = "r2"
	chopped.Blob.Text = strings.TrimSuffix(good.Blob.Text, "\n")
	replies := make(chan any, 1)
	e.fakeAgent(t, func(map[string]string) any { return <-replies })

	type answer struct {
		Time   time.Time
		Grants []host.Live
	}
	with := func(grants ...hostproto.Grant) answer {
		a := answer{Time: time.Now()}
		for _, grant := range grants {
			a.Grants = append(a.Grants, live(grant))
		}
		return a
	}
	ending := func(in time.Duration) answer {
		return answer{time.Now(), []host.Live{{Grant: good, Ends: clock.Uptime() + in}}}
	}
	tests := []struct {
		name  string
		args  []string
		reply any
		want  string
	}{
		{"found", []string{"root", fingerprint}, with(good), publicKey + "\n"},
		{"without fingerprint", []string{"root"}, with(good), publicKey + "\n"},
		{"not found", []string{"root", fingerprint}, with(), ""},
		{"tampered", []string{"root", fingerprint}, with(tampered), ""},
		{"unsigned", []string{"root", fingerprint}, with(unsigned), ""},
		{"another request's", []string{"root", fingerprint}, with(renamed), ""},
		{"cut off", []string{"root", fingerprint}, with(chopped), ""},
		{"another authority's", []string{"root", fingerprint}, with(stranger.grant(t, nil)), ""},
		{"another user's", []string{"alice", fingerprint}, with(good), ""},
		{"another instance's", []string{"root"}, with(e.grant(t, func(s *keyblob.Statement) { s.InstanceID = "i-2" })), ""},
		{"expired by the server's clock", []string{"root"}, answer{time.Now().Add(time.Hour), []host.Live{live(good)}}, ""},
		{"signed by a clock that was ahead", []string{"root"}, answer{time.Now().Add(-time.Hour), []host.Live{live(good)}}, ""},
		{"over by the machine's uptime", []string{"root"}, ending(0), ""},
		{"would live too long", []string{"root"}, ending(2 * time.Minute), ""},
		{"no time", []string{"root"}, answer{time.Time{}, []host.Live{live(good)}}, ""},
		{"another key", []string{"root", "SHA256:xxxx"}, with(good), ""},
		{"good among bad", []string{"root", fingerprint}, with(tampered, good, unsigned), publicKey + "\n"},
		{"no JSON", []string{"root", fingerprint}, "ssh-ed25519 AAAA\n", ""},
		{"cut off in the middle", []string{"root", fingerprint}, `{"grants":[`, ""},
		{"no user", nil, with(good), ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			replies <- test.reply
			if got := e.keys(t, test.args...); got != test.want {
				t.Errorf("printed %q, want %q", got, test.want)
			}
		})
	}
}

// Whatever the agent does, the command that sshd had before us has its say as sshd gave it: its output, however long, its
// exit status, and its time. Of a key that is one of ours it is not asked. Its keys that came after six seconds, or after
// a megabyte, let in before enrollment and not after.
func TestKeysChain(t *testing.T) {
	agents := map[string]func(t *testing.T, e enrolled){
		"agent answers": func(t *testing.T, e enrolled) {
			grant := e.grant(t, nil)
			e.fakeAgent(t, func(map[string]string) any {
				return map[string]any{"time": time.Now(), "grants": []host.Live{live(grant)}}
			})
		},
		"agent hangs": func(t *testing.T, e enrolled) { e.fakeAgent(t, func(map[string]string) any { return nil }) },
		"agent dead": func(t *testing.T, e enrolled) {
			listener, err := net.Listen("unix", e.config.Socket)
			if err != nil {
				t.Fatal(err)
			}
			listener.(*net.UnixListener).SetUnlinkOnClose(false)
			listener.Close()
		},
		"no agent": func(*testing.T, enrolled) {},
	}
	commands := []struct {
		name    string
		command []string
		want    string
		status  int
	}{
		{"no command", nil, "", 0},
		{"prints", []string{"/bin/sh", "-c", "echo $0 $1; echo more", "a", "b c"}, "a b c\nmore\n", 0},
		{"is slow", []string{"/bin/sh", "-c", "sleep 6; echo key"}, "key\n", 0},
		{"prints much", []string{"/bin/sh", "-c", "yes | head -c 4000000; echo key"}, strings.Repeat("y\n", 2000000) + "key\n", 0},
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
			e := newEnrolled(t, "https://127.0.0.1:1")
			agent(t, e)
			for _, c := range commands {
				args := []string{"root", fingerprint}
				if c.command != nil {
					args = append(append(args, "--"), c.command...)
				}
				want, status := c.want, c.status
				switch {
				case name == "agent answers":
					want, status = publicKey+"\n", 0
				case c.name == "never ends":
					continue // sshd would wait for it, too
				}
				if got, ended := e.runKeys(t, args...); got != want || ended != status {
					t.Errorf("%s: printed %.300q and ended with %d, want %.300q and %d", c.name, got, ended, want, status)
				}
			}
		})
	}
}

// A command that others than root can change is not run, as sshd would not.
func TestKeysRefusesAnUnsafeCommand(t *testing.T) {
	e := newEnrolled(t, "https://127.0.0.1:1")
	script := filepath.Join(t.TempDir(), "command") // below /tmp, where anybody can write
	if err := os.WriteFile(script, []byte("#!/bin/sh\necho key\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	if got := e.keys(t, "root", "--", script); got != "" {
		t.Errorf("printed %q", got)
	}
}

func TestKeysOfAMachineThatIsNotEnrolled(t *testing.T) {
	e := enrolled{directory: t.TempDir()}
	if got := e.keys(t, "root", fingerprint, "--", "/bin/sh", "-c", "echo key"); got != "key\n" {
		t.Errorf("printed %q", got)
	}
}

// controlPlane is a control plane with one host and nothing behind it.
type controlPlane struct {
	server *httptest.Server
	grants []hostproto.Grant

	mu       sync.Mutex
	taking   bool // acknowledges releases
	releases []hostproto.Release
	dismiss  bool
}

func (c *controlPlane) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	dismiss, taking := c.dismiss, c.taking
	c.mu.Unlock()
	if dismiss {
		w.WriteHeader(http.StatusGone)
		return
	}
	ws, err := websocket.Accept(w, r, nil)
	if err != nil {
		return
	}
	session, stream, err := hostproto.Accepted(context.Background(), ws)
	if err != nil {
		return
	}
	defer session.Close()
	for {
		m, err := stream.Receive(wait.Patience)
		switch {
		case err != nil:
			return
		case m.Hello != nil:
			err = stream.Send(hostproto.Message{ID: m.ID, Welcome: &hostproto.Welcome{Version: 1, Grants: c.grants}, Clocks: clocks()})
		case m.Ping != nil:
			err = stream.Send(hostproto.Message{ID: m.ID, Pong: &hostproto.Pong{}, Clocks: clocks()})
		case m.Release != nil:
			c.mu.Lock()
			c.releases = append(c.releases, *m.Release)
			c.mu.Unlock()
			if taking {
				err = stream.Send(hostproto.Message{ID: m.ID, Ack: &hostproto.Ack{}})
			}
		}
		if err != nil {
			return
		}
	}
}

func (c *controlPlane) take() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.taking = true
}

func (c *controlPlane) told() []hostproto.Release {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.releases[:len(c.releases):len(c.releases)]
}

// A release that the agent handed out is told to the control plane even if the agent is killed at once, and under
// the same id, so that it is one event.
func TestReleaseSurvivesTheAgent(t *testing.T) {
	plane := &controlPlane{}
	plane.server = httptest.NewUnstartedServer(plane)
	e := newEnrolled(t, "https://"+plane.server.Listener.Addr().String())
	plane.grants = []hostproto.Grant{e.grant(t, nil)}
	plane.server.TLS = e.authority.ServerTLS(nil, time.Now)
	plane.server.StartTLS()
	defer plane.server.Close()
	if plane.server.TLS.ClientAuth != tls.RequestClientCert {
		t.Fatal("the server does not ask for client certificates")
	}

	agent := e.startAgent(t)
	wait.For(t, "the key", func() bool { return e.keys(t, "root", fingerprint) == publicKey+"\n" })
	wait.For(t, "the release", func() bool { return len(plane.told()) > 0 })
	first := plane.told()[0]
	if err := agent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	agent.Wait()
	if got := e.keys(t, "root", fingerprint); got != "" {
		t.Errorf("without an agent: printed %q", got)
	}
	before := len(plane.told())
	plane.take()
	agent = e.startAgent(t)
	wait.For(t, "the releases' acknowledgement", func() bool {
		text, err := os.ReadFile(e.config.Spool)
		if err != nil {
			t.Fatal(err)
		}
		return len(bytes.TrimSpace(text)) == 0
	})
	if again := plane.told()[before]; again.EventID != first.EventID || again.RequestID != "r1" || again.OSUser != "root" {
		t.Errorf("told %+v, then %+v", first, again)
	}
	if err := agent.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := agent.Wait(); err != nil {
		t.Errorf("the agent was asked to end and: %v", err)
	}
	if _, err := os.Stat(e.config.Socket); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket is still there: %v", err)
	}
}

func (e enrolled) startAgent(t *testing.T) *exec.Cmd {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	cmd := program(ctx, "agent", "--directory", e.directory)
	cmd.Stderr = t.Output()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		cmd.Wait()
	})
	return cmd
}
