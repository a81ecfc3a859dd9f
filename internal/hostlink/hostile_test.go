package hostlink_test

import (
	"context"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/sallyport/sallyport/internal/fault"
	"github.com/sallyport/sallyport/internal/hostproto"
)

// talk opens a link by hand, to say on it what an agent would not.
func (d *deployment) talk(m *machine) (*hostproto.Stream, func()) {
	d.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
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
				if _, err := stream.Receive(patience); err != nil {
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
