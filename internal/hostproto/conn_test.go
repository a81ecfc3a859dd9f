package hostproto

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/sallyport/sallyport/internal/testkit/wait"
)

// dialed returns both ends of a connection.
func dialed(t *testing.T) (agent, plane *Conn) {
	t.Helper()
	accepted := make(chan *Conn, 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, err := Accept(w, r)
		if err != nil {
			t.Error(err)
		}
		accepted <- conn
	}))
	t.Cleanup(server.Close)
	agent, _, err := Dial(t.Context(), server.Client(), server.URL, "i-1")
	if err != nil {
		t.Fatal(err)
	}
	plane = <-accepted
	t.Cleanup(agent.Close)
	t.Cleanup(plane.Close)
	return agent, plane
}

func TestParseMessage(t *testing.T) {
	tests := []struct {
		text string
		ok   bool
	}{
		{`{"ping":{}}`, true},
		{`{"id":7,"ack":{"code":"failed"}}`, true},
		{`{"ping":{},"something newer":1}`, true},
		{``, false},
		{`{}`, false},
		{`null`, false},
		{`{"id":1}`, false},
		{`{"ping":null}`, false},
		{`{"ping":{},"ack":{}}`, false},
		{`{"ping":{}} {"ping":{}}`, false},
		{`{"id":-1,"ping":{}}`, false},
		{`[{"ping":{}}]`, false},
	}
	for _, test := range tests {
		_, err := ParseMessage([]byte(test.text))
		if (err == nil) != test.ok {
			t.Errorf("ParseMessage(%q): %v", test.text, err)
		}
		if err != nil && !errors.Is(err, ErrMalformed) {
			t.Errorf("ParseMessage(%q): %v is not ErrMalformed", test.text, err)
		}
	}
}

func FuzzMessage(f *testing.F) {
	for _, seed := range []string{
		`{"hello":{"hostname":"h","version":"v","machine":"m"}}`,
		`{"id":1,"report":{"hostname":"h","addresses":["192.0.2.1"],"users":["a"]}}`,
		`{"id":2,"grant":{"requestId":"r","osUser":"u","blob":{"text":"t","signature":"AA==","signer":"AA=="}}}`,
		`{"welcome":{"grants":[]},"clocks":{"time":"2026-11-22T02:02:10Z","uptime":7}}`, `{"release":{"eventId":"e"}}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		message, err := ParseMessage(text)
		if err != nil {
			return
		}
		written, err := json.Marshal(message)
		if err != nil {
			return // a time that RFC 3339 cannot write
		}
		again, err := ParseMessage(written)
		if err != nil {
			t.Fatalf("%q was read, written as %q and not read again: %v", text, written, err)
		}
		if rewritten, _ := json.Marshal(again); string(rewritten) != string(written) {
			t.Fatalf("%q changed to %q", written, rewritten)
		}
	})
}

// Messages of many senders arrive whole, each sender's in order.
func TestSendIsConcurrent(t *testing.T) {
	sender, receiver := dialed(t)
	const senders, each = 8, 100
	var sending sync.WaitGroup
	for s := range senders {
		sending.Go(func() {
			for i := range each {
				m := Message{ID: uint64(i), Revoke: &Revoke{RequestID: fmt.Sprint(s)}}
				if err := sender.Send(t.Context(), m); err != nil {
					t.Error(err)
				}
			}
		})
	}
	next := make(map[string]uint64)
	for range senders * each {
		m, err := receiver.Receive(wait.Patience)
		if err != nil {
			t.Fatal(err)
		}
		if m.ID != next[m.Revoke.RequestID] {
			t.Fatalf("sender %s: got %d, want %d", m.Revoke.RequestID, m.ID, next[m.Revoke.RequestID])
		}
		next[m.Revoke.RequestID]++
	}
	sending.Wait()
}

// Both ends make many calls at once, with the same IDs. Each call gets its own answer, in whatever order they come.
func TestCallsOfBothEnds(t *testing.T) {
	agent, plane := dialed(t)
	const questions = 100
	var asking sync.WaitGroup
	for name, conn := range map[string]*Conn{"agent": agent, "plane": plane} {
		go func() { // answers with the question, the later one first
			var held Message
			for {
				m, err := conn.Receive(wait.Patience)
				if err != nil {
					return
				}
				if held.Revoke == nil {
					held = m
					continue
				}
				for _, asked := range []Message{m, held} {
					conn.Send(context.Background(), Message{ID: asked.ID, Ack: &Ack{Message: asked.Revoke.RequestID}})
				}
				held = Message{}
			}
		}()
		for i := range questions {
			question := fmt.Sprint(name, i)
			asking.Go(func() {
				answer, err := conn.Call(t.Context(), Message{Revoke: &Revoke{RequestID: question}})
				if err != nil || answer.Ack.Message != question {
					t.Errorf("%s was answered with %+v, %v", question, answer.Ack, err)
				}
			})
		}
	}
	asking.Wait()
	for _, conn := range []*Conn{agent, plane} {
		if n := len(conn.waiting); n != 0 {
			t.Errorf("%d calls are still waited for", n)
		}
	}
}

// A call waits no longer than its context, and no longer than the connection lasts. An answer that comes later, or that
// no call asked for, is dropped.
func TestCallWithoutAnAnswer(t *testing.T) {
	agent, plane := dialed(t)
	short, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, err := plane.Call(short, Message{Ping: &Ping{}}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	for _, id := range []uint64{1, 2, 99} {
		if err := agent.Send(t.Context(), Message{ID: id, Ack: &Ack{}}); err != nil {
			t.Fatal(err)
		}
	}
	agent.Send(t.Context(), Message{Ping: &Ping{}})
	if m, err := plane.Receive(wait.Patience); err != nil || m.Ping == nil {
		t.Errorf("the next message is %+v, %v", m, err)
	}
	ended := make(chan error, 1)
	go func() {
		_, err := plane.Call(t.Context(), Message{Ping: &Ping{}})
		ended <- err
	}()
	go plane.Receive(wait.Patience)
	if _, err := agent.Receive(wait.Patience); err != nil { // the first ping
		t.Fatal(err)
	}
	if _, err := agent.Receive(wait.Patience); err != nil {
		t.Fatal(err)
	}
	agent.Close()
	if err := <-ended; err == nil {
		t.Error("a question was answered by nobody")
	}
	if err := agent.Send(t.Context(), Message{Ping: &Ping{}}); !errors.Is(err, net.ErrClosed) {
		t.Errorf("a closed connection sends: %v", err)
	}
}

func TestSendRefusesWhatIsTooLong(t *testing.T) {
	agent, _ := dialed(t)
	err := agent.Send(t.Context(), Message{Revoke: &Revoke{RequestID: strings.Repeat("x", MaxMessage)}})
	if !errors.Is(err, ErrTooLong) {
		t.Errorf("got %v", err)
	}
}

func TestReceiveRefuses(t *testing.T) {
	short := `{"ping":{}}`
	longest := short + strings.Repeat(" ", MaxMessage-len(short))
	tests := []struct {
		name string
		kind websocket.MessageType
		text string
		want error // nil for a message
	}{
		{"a message", websocket.MessageText, short, nil},
		{"longest", websocket.MessageText, longest, nil},
		{"too long", websocket.MessageText, longest + " ", websocket.ErrMessageTooBig},
		{"binary", websocket.MessageBinary, short, ErrMalformed},
		{"no message", websocket.MessageText, "{}", ErrMalformed},
		{"empty", websocket.MessageText, "", ErrMalformed},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			agent, plane := dialed(t)
			go agent.ws.Write(t.Context(), test.kind, []byte(test.text))
			if _, err := plane.Receive(wait.Patience); !errors.Is(err, test.want) {
				t.Errorf("got %v, want %v", err, test.want)
			}
			select {
			case <-plane.Ended():
				if test.want == nil {
					t.Error("the connection has ended")
				}
			default:
				if test.want != nil {
					t.Error("the connection goes on")
				}
			}
		})
	}
}

func TestReceiveGivesUpOnSilence(t *testing.T) {
	_, plane := dialed(t)
	if _, err := plane.Receive(10 * time.Millisecond); !errors.Is(err, ErrSilent) {
		t.Errorf("got %v", err)
	}
	if err := plane.Send(t.Context(), Message{Ping: &Ping{}}); !errors.Is(err, ErrSilent) {
		t.Errorf("the connection goes on after it failed: %v", err)
	}
}

// Sending to an end that stopped reading takes as long as the sender allows, and then ends the connection. Nothing is
// queued.
func TestSendGivesUpOnASlowReader(t *testing.T) {
	agent, _ := dialed(t)
	message := Message{Revoke: &Revoke{RequestID: strings.Repeat("x", MaxMessage/2)}}
	first := make(chan error, 1)
	go func() {
		for { // until the network's buffers are full
			if err := agent.Send(context.Background(), message); err != nil {
				first <- err
				return
			}
		}
	}()
	var err error
	for err == nil {
		hurried, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		err = agent.Send(hurried, message)
		cancel()
	}
	if !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, ErrTooSlow) {
		t.Errorf("got %v", err)
	}
	if err := <-first; !errors.Is(err, ErrTooSlow) {
		t.Errorf("got %v", err)
	}
	if err := agent.Send(t.Context(), message); !errors.Is(err, ErrTooSlow) {
		t.Errorf("the connection goes on after it failed: %v", err)
	}
}
