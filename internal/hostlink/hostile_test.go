package hostlink_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/coder/websocket"

	"github.com/sallyport/sallyport/internal/ca"
	"github.com/sallyport/sallyport/internal/fault"
	"github.com/sallyport/sallyport/internal/host"
	"github.com/sallyport/sallyport/internal/hostproto"
	"github.com/sallyport/sallyport/internal/testkit/wait"
)

// talk opens a link by hand, to say on it what an agent would not.
func (d *deployment) talk(m *machine) (*hostproto.Stream, func()) {
	d.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), wait.Patience)
	ws, _, err := websocket.Dial(ctx, "https://"+d.address+hostproto.LinkPath, &websocket.DialOptions{HTTPClient: d.client(m.key)})
	if err != nil {
		d.t.Fatal(err)
	}
	session, stream, err := hostproto.Dialed(ws)
	if err != nil {
		d.t.Fatal(err)
	}
	return stream, func() {
		session.Close()
		cancel()
	}
}

func TestHostileAgents(t *testing.T) {
	d := newDeployment(t, 0)
	hello := hostproto.Message{ID: 1, Hello: &hostproto.Hello{Version: hostproto.Version}}
	tests := []struct {
		name string
		say  func(*hostproto.Stream)
	}{
		{"no hello", func(s *hostproto.Stream) { s.Send(hostproto.Message{Ping: &hostproto.Ping{}}) }},
		{"version 0", func(s *hostproto.Stream) { s.Send(hostproto.Message{Hello: &hostproto.Hello{}}) }},
		{"hello twice", func(s *hostproto.Stream) {
			s.Send(hello)
			s.Send(hello)
		}},
		{"plays the control plane", func(s *hostproto.Stream) {
			s.Send(hello)
			s.Send(hostproto.Message{Welcome: &hostproto.Welcome{}})
		}},
		{"waits for no acknowledgement", func(s *hostproto.Stream) {
			s.Send(hello)
			for i := range 10_000 {
				release := hostproto.Message{ID: uint64(i + 2), Release: &hostproto.Release{EventID: fmt.Sprint(i), RequestID: "r"}}
				if s.Send(release) != nil {
					return
				}
			}
		}},
		{"acknowledges what was not asked", func(s *hostproto.Stream) {
			s.Send(hello)
			s.Send(hostproto.Message{ID: 99, Ack: &hostproto.Ack{}})
			s.Send(hostproto.Message{Dismiss: &hostproto.Dismiss{}})
		}},
	}
	for i, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			m := d.enroll(fmt.Sprintf("i-%d", i))
			stream, hangUp := d.talk(m)
			defer hangUp()
			test.say(stream)
			for {
				if _, err := stream.Receive(wait.Patience); err != nil {
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

// An agent that does not answer costs the caller the deadline, here its own, and nobody else anything.
func TestSilentAgent(t *testing.T) {
	d := newDeployment(t, 0)
	m := d.enroll("i-silent")
	stream, hangUp := d.talk(m)
	defer hangUp()
	if err := stream.Send(hostproto.Message{ID: 1, Hello: &hostproto.Hello{Version: 1}}); err != nil {
		t.Fatal(err)
	}
	d.wait("the link", func() bool { return d.links.Linked(m.id) })
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	if err := d.links.Deliver(ctx, d.grant(m.id, "r1", "admin")); !fault.Is(err, fault.Unavailable) {
		t.Errorf("got %v", err)
	}
	hangUp()
	d.wait("the end", func() bool { return !d.links.Linked(m.id) })
	if err := d.deliver(d.grant(m.id, "r2", "admin")); !fault.Is(err, fault.Unavailable) {
		t.Errorf("got %v", err)
	}
}

// A key was acknowledged that sshd would not take, and whoever pushed it was told Success and then denied. The machine
// says why it refuses a key, and its reason reaches the caller: as text on one line, whoever wrote it.
func TestRefusalReachesTheCaller(t *testing.T) {
	d := newDeployment(t, 0)
	m := d.enroll("i-1")
	stream, hangUp := d.talk(m)
	defer hangUp()
	if err := stream.Send(hostproto.Message{ID: 1, Hello: &hostproto.Hello{Version: 1}}); err != nil {
		t.Fatal(err)
	}
	d.wait("the link", func() bool { return d.links.Linked(m.id) })
	for _, test := range []struct {
		ack   hostproto.Ack
		kind  fault.Kind
		about string
		says  string
	}{
		{hostproto.Ack{Code: hostproto.AckRefused, Message: "sshd does not ask us."}, fault.WrongState, "instance", "i-1 now. sshd does not ask us."},
		{hostproto.Refused("", "The disk is full."), fault.WrongState, "instance", "The disk is full."},
		{hostproto.Refused(hostproto.SubjectUser, "Its account %q expired.", "admin"), fault.Invalid, "os-user", `Its account "admin" expired.`},
		{hostproto.Refused(hostproto.SubjectKey, "sshd accepts %s.", "ssh-rsa"), fault.Invalid, "public-key", "sshd accepts ssh-rsa."},
		{hostproto.Ack{Code: hostproto.AckRefused, Subject: "something newer", Message: "So it is."}, fault.WrongState, "instance", "So it is."},
		{hostproto.Ack{Code: "something newer", Message: "no"}, fault.Unavailable, "instance", "could not take the key: no"},
		{hostproto.Ack{Code: hostproto.AckRefused, Message: "a\x1b[31mb\r\nc\u202ed \xff"}, fault.WrongState, "instance", "now. a [31mb c d"},
		{hostproto.Ack{Code: hostproto.AckRefused, Message: strings.Repeat("é", 1000)}, fault.WrongState, "instance", strings.Repeat("é", 299) + "…"},
	} {
		answered := make(chan error, 1)
		go func() { answered <- d.deliver(d.grant(m.id, "r1", "admin")) }()
		for {
			message, err := stream.Receive(wait.Patience)
			if err != nil {
				t.Fatal(err)
			}
			if message.Grant != nil {
				if err := stream.Send(hostproto.Message{ID: message.ID, Ack: &test.ack}); err != nil {
					t.Fatal(err)
				}
				break
			}
		}
		f := fault.Of(<-answered)
		if f.Kind != test.kind || f.Resource != test.about || !strings.Contains(f.Message, test.says) {
			t.Errorf("%+v came as %v of %q: %s", test.ack, f.Kind, f.Resource, f.Message)
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
	stream, hangUp := d.talk(m)
	defer hangUp()
	d.instances.terminate(m.id)
	d.links.Dismiss(context.Background(), m.id)                                                // finds no link: there is none yet
	stream.Send(hostproto.Message{ID: 1, Hello: &hostproto.Hello{Version: hostproto.Version}}) // fails if the end is quick
	for {
		message, err := stream.Receive(wait.Patience)
		if err != nil {
			break
		}
		if message.Welcome != nil {
			t.Error("a terminated instance is welcomed")
		}
	}
	d.wait("the end", func() bool { return !d.links.Linked(m.id) })
}

// The same race with an honest agent: it learns that its enrollment is over.
func TestTerminatedWhileConnecting(t *testing.T) {
	d := newDeployment(t, 0)
	m := d.enroll("i-late")
	report := m.link.Report
	m.link.Report = func(ctx context.Context) hostproto.Report { // between its being recognized and its hello
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

// A stolen host sends pings of the multiplexer beneath the messages, for each of which it would start a goroutine,
// and reads no answer: thousands in one write, millions a second.
func TestFloodOfMultiplexerPings(t *testing.T) {
	d := newDeployment(t, 0)
	m := d.enroll("i-flood")
	ctx, cancel := context.WithTimeout(context.Background(), wait.Patience)
	defer cancel()
	ws, _, err := websocket.Dial(ctx, "https://"+d.address+hostproto.LinkPath, &websocket.DialOptions{HTTPClient: d.client(m.key)})
	if err != nil {
		t.Fatal(err)
	}
	defer ws.CloseNow()
	ping := []byte{0, 2, 0, 1, 0, 0, 0, 0, 0, 0, 0, 7} // version, type, flag SYN, stream, number
	flood := bytes.Repeat(ping, 5000)
	before := runtime.NumGoroutine()
	for range 200 {
		if err = ws.Write(ctx, websocket.MessageBinary, flood); err != nil {
			break
		}
	}
	if err == nil {
		_, _, err = ws.Read(ctx)
	}
	if err == nil || ctx.Err() != nil {
		t.Errorf("the connection goes on: %v", err)
	}
	if more := runtime.NumGoroutine() - before; more > 1000 {
		t.Errorf("%d goroutines were started", more)
	}
}

// A stranger enrolls with a token of their own making, under the name of somebody else. What the trail keeps of it
// can be looked up, and holds nothing a stranger said but the token's id.
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
	token, err := hostproto.FormatToken(hostproto.Token{Server: "https://" + d.address, Fingerprint: fingerprint, ID: "root", Secret: make([]byte, 32)})
	if err != nil {
		t.Fatal(err)
	}
	body, err := json.Marshal(hostproto.Enroll{Token: token, Report: hostproto.Report{Hostname: "\x1b]0;owned\x07\n" + strings.Repeat("x", 100_000)}})
	if err != nil {
		t.Fatal(err)
	}
	response, err := d.client(key).Post("https://"+d.address+hostproto.EnrollPath, "application/json", bytes.NewReader(body))
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
