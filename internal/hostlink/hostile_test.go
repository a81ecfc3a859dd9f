package hostlink_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unicode"

	"github.com/sallyport/sallyport/internal/ca"
	"github.com/sallyport/sallyport/internal/fault"
	"github.com/sallyport/sallyport/internal/host"
	"github.com/sallyport/sallyport/internal/hostproto"
	"github.com/sallyport/sallyport/internal/testkit/wait"
)

// talk opens a link by hand, to send what an agent would not send.
func (d *deployment) talk(m *machine) *hostproto.Conn {
	d.t.Helper()
	conn, _, err := hostproto.Dial(d.t.Context(), d.client(m.key), "https://"+d.address, m.id)
	if err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(conn.Close)
	return conn
}

// hello opens a link by hand and sends hello. The machine is linked when it returns.
func (d *deployment) hello(m *machine, hello hostproto.Hello) *hostproto.Conn {
	d.t.Helper()
	conn := d.talk(m)
	d.say(conn, hostproto.Message{Hello: &hello})
	d.wait("the link", func() bool { return d.links.Linked(m.id) })
	return conn
}

func (d *deployment) say(conn *hostproto.Conn, m hostproto.Message) {
	d.t.Helper()
	if err := conn.Send(d.t.Context(), m); err != nil {
		d.t.Fatal(err)
	}
}

func TestHostileAgents(t *testing.T) {
	d := newDeployment(t, 0)
	hello := hostproto.Message{Hello: &hostproto.Hello{}}
	tests := map[string][]hostproto.Message{
		"no hello":                        {{Ping: &hostproto.Ping{}}},
		"hello twice":                     {hello, hello},
		"plays the control plane":         {hello, {Welcome: &hostproto.Welcome{}}},
		"acknowledges what was not asked": {hello, {ID: 99, Ack: &hostproto.Ack{}}, {Dismiss: &hostproto.Dismiss{}}},
		"waits for no acknowledgement":    {hello},
		"says nothing that we know":       {hello, {}},
	}
	for i := range 10_000 {
		release := &hostproto.Release{EventID: fmt.Sprint(i), RequestID: "r"}
		tests["waits for no acknowledgement"] = append(tests["waits for no acknowledgement"],
			hostproto.Message{ID: uint64(i + 2), Release: release})
	}
	for name, says := range tests {
		t.Run(name, func(t *testing.T) {
			m := d.enroll("i-" + name)
			conn := d.talk(m)
			for _, message := range says {
				if conn.Send(t.Context(), message) != nil {
					break // the link was closed
				}
			}
			for {
				if _, err := conn.Receive(wait.Patience); err != nil {
					break
				}
			}
			d.wait("the end", func() bool { return !d.links.Linked(m.id) })
		})
	}
	honest := d.linked("i-honest")
	if err := d.deliver(d.grant(honest.id, "r1", "admin")); err != nil {
		t.Errorf("an honest host suffers: %v", err)
	}
}

// An agent that does not answer costs the caller the deadline, which is the caller's own here, and costs others
// nothing.
func TestSilentAgent(t *testing.T) {
	d := newDeployment(t, 0)
	m := d.enroll("i-silent")
	conn := d.hello(m, hostproto.Hello{})
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	if err := d.links.Deliver(ctx, d.grant(m.id, "r1", "admin")); !fault.Is(err, fault.Unavailable) {
		t.Errorf("got %v", err)
	}
	conn.Close()
	d.wait("the end", func() bool { return !d.links.Linked(m.id) })
	if err := d.deliver(d.grant(m.id, "r2", "admin")); !fault.Is(err, fault.Unavailable) {
		t.Errorf("got %v", err)
	}
}

// An agent that reads nothing costs those who push to it their time, however many they are, and costs others nothing.
// Its link ends.
func TestAgentThatDoesNotRead(t *testing.T) {
	d := newDeployment(t, 0)
	deaf, honest := d.enroll("i-deaf"), d.linked("i-honest")
	d.hello(deaf, hostproto.Hello{})
	grant, callers := d.grant(deaf.id, "r1", "admin"), 10_000 // more than the network holds
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	var taken atomic.Int32
	var pushing sync.WaitGroup
	for range callers {
		pushing.Go(func() {
			if err := d.links.Deliver(ctx, grant); err == nil {
				taken.Add(1)
			}
		})
	}
	if err := d.deliver(d.grant(honest.id, "r1", "admin")); err != nil {
		t.Errorf("an honest host suffers: %v", err)
	}
	pushing.Wait()
	if n := taken.Load(); n != 0 {
		t.Errorf("%d keys were taken by nobody", n)
	}
	d.wait("the end", func() bool { return !d.links.Linked(deaf.id) })
}

// A key was acknowledged that sshd would not accept, and the caller who pushed it was told Success and then denied. The
// machine says why it refuses a key, and its reason reaches the caller as text on one line, whatever the machine wrote.
func TestRefusalReachesTheCaller(t *testing.T) {
	d := newDeployment(t, 0)
	m := d.enroll("i-1")
	conn := d.hello(m, hostproto.Hello{})
	for _, test := range []struct {
		ack   hostproto.Ack
		kind  fault.Kind
		about string
		says  string
	}{
		{
			hostproto.Ack{Code: hostproto.AckRefused, Message: "sshd does not ask us."},
			fault.WrongState, "instance", "i-1 now. sshd does not ask us.",
		},
		{hostproto.Refused("", "The disk is full."), fault.WrongState, "instance", "The disk is full."},
		{
			hostproto.Refused(hostproto.SubjectUser, "Its account %q expired.", "admin"),
			fault.Invalid, "os-user", `Its account "admin" expired.`,
		},
		{
			hostproto.Refused(hostproto.SubjectKey, "sshd accepts %s.", "ssh-rsa"),
			fault.Invalid, "public-key", "sshd accepts ssh-rsa.",
		},
		{
			hostproto.Ack{Code: hostproto.AckRefused, Subject: "something newer", Message: "So it is."},
			fault.WrongState, "instance", "So it is.",
		},
		{hostproto.Ack{Code: "something newer", Message: "no"}, fault.Unavailable, "instance", "could not take the key: no"},
		{
			hostproto.Ack{Code: hostproto.AckRefused, Message: "a\x1b[31mb\r\nc\u202ed \xff"},
			fault.WrongState, "instance", "now. a [31mb c d",
		},
		{
			hostproto.Ack{Code: hostproto.AckRefused, Message: strings.Repeat("é", 1000)},
			fault.WrongState, "instance", strings.Repeat("é", 299) + "…",
		},
	} {
		answered := make(chan error, 1)
		go func() { answered <- d.deliver(d.grant(m.id, "r1", "admin")) }()
		for {
			message, err := conn.Receive(wait.Patience)
			if err != nil {
				t.Fatal(err)
			}
			if message.Grant != nil {
				d.say(conn, hostproto.Message{ID: message.ID, Ack: &test.ack})
				break
			}
		}
		f := fault.Of(<-answered)
		if f.Kind != test.kind || f.Subject.String() != test.about || !strings.Contains(f.Message, test.says) {
			t.Errorf("%+v came as %v of %q: %s", test.ack, f.Kind, f.Subject.String(), f.Message)
		}
		if strings.ContainsFunc(f.Message, func(r rune) bool { return !unicode.IsPrint(r) }) {
			t.Errorf("%q is not for a terminal", f.Message)
		}
	}
}

func TestAgentThatConnectsTooOften(t *testing.T) {
	d := newDeployment(t, 0)
	m := d.enroll("i-1")
	statuses := map[int]bool{}
	for range 40 {
		response, err := d.client(m.key).Get("https://" + d.address + hostproto.LinkPath)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		statuses[response.StatusCode] = true
	}
	if !statuses[http.StatusTooManyRequests] {
		t.Errorf("got only %v", statuses)
	}
}

// A stolen host opens its connection, is recognized, and holds its hello back until the instance is terminated.
// The link that the late hello brings up must not stay.
func TestHelloHeldBackUntilTermination(t *testing.T) {
	d := newDeployment(t, 0)
	m := d.enroll("i-stolen")
	conn := d.talk(m)
	d.instances.terminate(m.id)
	d.links.Dismiss(context.Background(), m.id)                          // there is no link yet
	conn.Send(t.Context(), hostproto.Message{Hello: &hostproto.Hello{}}) // may fail: the link may already be closed
	for {
		message, err := conn.Receive(wait.Patience)
		if err != nil {
			break
		}
		if message.Welcome != nil {
			t.Error("a terminated instance is welcomed")
		}
	}
	d.wait("the end", func() bool { return !d.links.Linked(m.id) })
}

// The same race with an honest agent: it is told that its enrollment has ended.
func TestTerminatedWhileConnecting(t *testing.T) {
	d := newDeployment(t, 0)
	m := d.enroll("i-late")
	report := m.link.Report
	m.link.Report = func(ctx context.Context) hostproto.Report { // after it was recognized and before its hello
		d.instances.terminate(m.id)
		return report(ctx)
	}
	select {
	case err := <-d.run(m):
		if !errors.Is(err, host.ErrDismissed) {
			t.Errorf("the agent ended with %v", err)
		}
	case <-time.After(wait.Patience):
		t.Fatal("the agent goes on")
	}
}

// A stolen host sends WebSocket pings as fast as it can, and reads none of the answers. They cost the control plane no
// more than the one goroutine that reads them, and the link ends because an answer cannot be written.
func TestFloodOfPings(t *testing.T) {
	d := newDeployment(t, 0)
	m := d.enroll("i-flood")
	config, err := d.clientTLS(mustCertificate(t, m.key))
	if err != nil {
		t.Fatal(err)
	}
	conn, err := tls.Dial("tcp", d.address, config)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"+
		"Sec-WebSocket-Protocol: sallyport-host.%d\r\n\r\n", hostproto.LinkPath, hostproto.Version)
	answer := make([]byte, 4096)
	if n, err := conn.Read(answer); err != nil || !strings.HasPrefix(string(answer[:n]), "HTTP/1.1 101 ") {
		t.Fatalf("%q, %v", answer[:n], err)
	}
	// final ping, masked with zeros: RFC 6455, section 5.2
	ping := append([]byte{0x89, 0x80 | 125, 0, 0, 0, 0}, make([]byte, 125)...)
	flood := bytes.Repeat(ping, 1000)
	before, most := runtime.NumGoroutine(), 0
	conn.SetWriteDeadline(time.Now().Add(wait.Patience))
	for err == nil {
		_, err = conn.Write(flood)
		most = max(most, runtime.NumGoroutine()-before)
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error("the connection goes on")
	}
	if most > 100 {
		t.Errorf("%d goroutines were started", most)
	}
}

// A stranger enrolls with a token of their own making, under somebody else's name. The trail's event can be looked up,
// and holds nothing that the stranger sent but the token's id.
func TestStrangersEnrollmentInTheTrail(t *testing.T) {
	d := newDeployment(t, 0)
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	fingerprint, err := ca.Fingerprint(d.authority.Certificate().Raw)
	if err != nil {
		t.Fatal(err)
	}
	token, err := hostproto.FormatToken(hostproto.Token{
		Server: "https://" + d.address, Fingerprint: fingerprint, ID: "root", Secret: make([]byte, 32),
	})
	if err != nil {
		t.Fatal(err)
	}
	body, err := json.Marshal(hostproto.Enroll{
		Token: token, Report: hostproto.Report{Hostname: "\x1b]0;owned\x07\n" + strings.Repeat("x", 100_000)},
	})
	if err != nil {
		t.Fatal(err)
	}
	response, err := d.client(key).Post("https://"+d.address+hostproto.EnrollPath,
		"application/json", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	events := d.written()
	if response.StatusCode != http.StatusForbidden || len(events) != 1 {
		t.Fatalf("%s, %d events", response.Status, len(events))
	}
	e := events[0]
	if e.Region != region || e.Name != "EnrollHost" || e.ErrorCode == "" {
		t.Errorf("nobody finds it: %+v", e)
	}
	if e.Identity.Username() != "" || e.Parameters["hostTokenId"] != "root" || len(e.Parameters) != 1 {
		t.Errorf("the stranger wrote into the trail: %+v %v", e.Identity, e.Parameters)
	}
}
