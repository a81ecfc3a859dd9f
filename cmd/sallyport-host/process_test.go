package main

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/ca"
	"github.com/sallyport/sallyport/internal/clock"
	"github.com/sallyport/sallyport/internal/host"
	"github.com/sallyport/sallyport/internal/host/keys"
	"github.com/sallyport/sallyport/internal/hostproto"
	"github.com/sallyport/sallyport/internal/keyblob"
	"github.com/sallyport/sallyport/internal/testkit/isolated"
	"github.com/sallyport/sallyport/internal/testkit/wait"
)

// The tests run the program as a process of its own: the test binary becomes it.
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
	// fingerprint is that of publicKey, as ssh-keygen -lf shows it.
	fingerprint = "SHA256:HJuR0YAFdO4/luQdnoaff70Rl1w9XARQymYh/AWHDIg"
)

func program(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, os.Args[0], args...)
	cmd.Env = append(os.Environ(), becomeProgram+"=1", "GORACE=atexit_sleep_ms=0")
	return cmd
}

// enrolled is an enrolled machine, with an authority of the test.
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
	err = host.SaveIdentity(e.directory, key, authority.Certificate().Raw)
	if err := errors.Join(err, e.config.Save(e.directory)); err != nil {
		t.Fatal(err)
	}
	return e
}

func (e enrolled) grant(t *testing.T) hostproto.Grant {
	t.Helper()
	s := keyblob.Statement{
		Expires: time.Now().Add(time.Minute), InstanceID: instanceID, Caller: "arn:aws:iam::000000000001:user/alice",
		RequestID: "r1", OSUser: "root", PublicKey: publicKey,
	}
	blob, err := keyblob.Sign(s, e.signer)
	if err != nil {
		t.Fatal(err)
	}
	return hostproto.Grant{RequestID: s.RequestID, OSUser: s.OSUser, Blob: blob, Until: clock.Uptime() + keyblob.Lifetime}
}

// clocks returns the clocks of a control plane on this machine.
func clocks() *hostproto.Clocks { return &hostproto.Clocks{Time: time.Now(), Uptime: clock.Uptime()} }

// keys runs the keys helper against the enrollment's agent, which runs as this user, and returns its output.
func (e enrolled) keys(t *testing.T) string {
	t.Helper()
	var out strings.Builder
	helper := keys.Helper{
		Socket: e.config.Socket, Question: keys.Question{User: "root", Fingerprint: fingerprint},
		AgentUser: uint32(os.Geteuid()), Uptime: clock.Uptime, Out: &out, Log: func(line string) { t.Error(line) },
	}
	helper.Run()
	return out.String()
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
	conn, err := hostproto.Accept(w, r)
	if err != nil {
		return
	}
	defer conn.Close()
	for err == nil {
		var m hostproto.Message
		if m, err = conn.Receive(wait.Patience); err != nil {
			return
		}
		answer := hostproto.Message{ID: m.ID, Ack: &hostproto.Ack{}}
		switch {
		case m.Hello != nil:
			answer = hostproto.Message{Welcome: &hostproto.Welcome{Grants: c.grants}, Clocks: clocks()}
		case m.Ping != nil:
			answer.Clocks = clocks()
		case m.Release != nil:
			c.mu.Lock()
			c.releases = append(c.releases, *m.Release)
			c.mu.Unlock()
			if !taking {
				continue
			}
		}
		err = conn.Send(r.Context(), answer)
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

// A release that the agent handed out is reported to the control plane even if the agent is killed at once. It is
// reported under the same id, so that it is one event.
func TestReleaseSurvivesTheAgent(t *testing.T) {
	plane := &controlPlane{}
	plane.server = httptest.NewUnstartedServer(plane)
	e := newEnrolled(t, "https://"+plane.server.Listener.Addr().String())
	plane.grants = []hostproto.Grant{e.grant(t)}
	plane.server.TLS = e.authority.ServerTLS(nil, time.Now)
	plane.server.StartTLS()
	defer plane.server.Close()
	if plane.server.TLS.ClientAuth != tls.RequestClientCert {
		t.Fatal("the server does not ask for client certificates")
	}

	agent := e.startAgent(t)
	wait.For(t, "the key", func() bool { return e.keys(t) == publicKey+"\n" })
	wait.For(t, "the release", func() bool { return len(plane.told()) > 0 })
	first := plane.told()[0]
	if err := agent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	agent.Wait()
	if got := e.keys(t); got != "" {
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
