package hostproto

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseMessage(t *testing.T) {
	tests := []struct {
		line string
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
		{`{"ping":{},"pong":{}}`, false},
		{`{"ping":{}} {"ping":{}}`, false},
		{`{"id":-1,"ping":{}}`, false},
		{`[{"ping":{}}]`, false},
	}
	for _, test := range tests {
		_, err := ParseMessage([]byte(test.line))
		if (err == nil) != test.ok {
			t.Errorf("ParseMessage(%q): %v", test.line, err)
		}
		if err != nil && !errors.Is(err, ErrMalformed) {
			t.Errorf("ParseMessage(%q): %v is not ErrMalformed", test.line, err)
		}
	}
}

func FuzzMessage(f *testing.F) {
	for _, seed := range []string{
		`{"id":1,"hello":{"version":1,"report":{"hostname":"h","addresses":["192.0.2.1"],"users":["a"]}}}`,
		`{"id":2,"grant":{"requestId":"r","osUser":"u","blob":{"text":"t","signature":"AA==","signer":"AA=="}}}`,
		`{"welcome":{"time":"2026-11-22T02:02:10Z","grants":[]}}`, `{"release":{"eventId":"e"}}`, `{"ping":{}}`, "{}\n{}",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		reader := bufio.NewReaderSize(strings.NewReader(string(data)), 16)
		for {
			line, err := readLine(reader)
			if err != nil {
				return
			}
			message, err := ParseMessage(line)
			if err != nil {
				continue
			}
			written, err := json.Marshal(message)
			if err != nil {
				continue // a time that RFC 3339 cannot write
			}
			again, err := ParseMessage(written)
			if err != nil {
				t.Fatalf("%q was read, written as %q and not read again: %v", line, written, err)
			}
			if rewritten, _ := json.Marshal(again); string(rewritten) != string(written) {
				t.Fatalf("%q changed to %q", written, rewritten)
			}
		}
	})
}

func TestReadLine(t *testing.T) {
	long := strings.Repeat("x", MaxMessage-1)
	tests := []struct {
		name, input string
		lines       []string
		err         error
	}{
		{"lines", "a\n\nb\n", []string{"a", "", "b"}, io.EOF},
		{"longest", long + "\n", []string{long}, io.EOF},
		{"too long", long + "x\n", nil, ErrTooLong},
		{"endless", long + long, nil, ErrTooLong},
		{"cut off", "a\nb", []string{"a"}, io.ErrUnexpectedEOF},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			reader := bufio.NewReaderSize(strings.NewReader(test.input), 1024)
			var lines []string
			for {
				line, err := readLine(reader)
				if err != nil {
					if !errors.Is(err, test.err) {
						t.Errorf("ended with %v, want %v", err, test.err)
					}
					break
				}
				lines = append(lines, string(line))
			}
			if diff := cmp.Diff(test.lines, lines); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// Messages of many senders arrive whole, each sender's in order.
func TestSendIsConcurrent(t *testing.T) {
	near, far := net.Pipe()
	sender, receiver := NewStream(near), NewStream(far)
	defer sender.Close()
	const senders, each = 8, 100
	var wg sync.WaitGroup
	for s := range senders {
		wg.Go(func() {
			for i := range each {
				if err := sender.Send(Message{ID: uint64(i), Revoke: &Revoke{RequestID: fmt.Sprint(s)}}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	next := make(map[string]uint64)
	for range senders * each {
		m, err := receiver.Receive(0)
		if err != nil {
			t.Fatal(err)
		}
		if m.ID != next[m.Revoke.RequestID] {
			t.Fatalf("sender %s: got %d, want %d", m.Revoke.RequestID, m.ID, next[m.Revoke.RequestID])
		}
		next[m.Revoke.RequestID]++
	}
	wg.Wait()
}

func TestSendRefusesWhatIsTooLong(t *testing.T) {
	near, far := net.Pipe()
	defer far.Close()
	err := NewStream(near).Send(Message{Revoke: &Revoke{RequestID: strings.Repeat("x", MaxMessage)}})
	if !errors.Is(err, ErrTooLong) {
		t.Errorf("got %v", err)
	}
}

// An end that stops reading costs a bounded amount of memory, and then the connection.
func TestSendGivesUpOnASlowReader(t *testing.T) {
	near, far := net.Pipe()
	defer far.Close()
	stream := NewStream(near)
	message := Message{Revoke: &Revoke{RequestID: strings.Repeat("x", MaxMessage/2)}}
	var wg sync.WaitGroup
	wg.Go(func() { stream.Send(message) })
	if _, err := far.Read(make([]byte, 1)); err != nil { // now that Send is writing, and will not get further
		t.Fatal(err)
	}
	var err error
	for range 4 * maxBacklog / MaxMessage {
		if err = stream.Send(message); err != nil {
			break
		}
	}
	if !errors.Is(err, ErrTooSlow) {
		t.Errorf("got %v", err)
	}
	wg.Wait()
	if err := stream.Send(message); err == nil {
		t.Error("the stream goes on after it failed")
	}
}
