package hostproto

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/coder/websocket"
)

// WriteTimeout is how long the other end may take to accept a message before the connection is closed.
const WriteTimeout = 5 * time.Second

// Errors of a Conn, besides those of its WebSocket.
var (
	ErrTooLong   = errors.New("hostproto: a message is longer than MaxMessage")
	ErrMalformed = errors.New("hostproto: not a message")
	ErrTooSlow   = errors.New("hostproto: the other end reads too slowly")
	ErrSilent    = errors.New("hostproto: the other end has said nothing for too long")
)

// Conn exchanges Messages over a WebSocket, each as one text message of JSON. Its methods are safe for concurrent use.
// The first error of reading or writing ends the Conn, and every method returns that error from then on. A Conn starts
// no goroutine: its user must call Receive again and again.
type Conn struct {
	ws      *websocket.Conn
	writing chan struct{} // holds one element while a message is written
	ended   chan struct{} // closed when err is set

	mu      sync.Mutex
	err     error
	lastID  uint64
	waiting map[uint64]chan<- Message // for the Ack of each Call, by its ID
}

// Accept upgrades an agent's request to a Conn. If it returns an error, it has answered the request.
func Accept(w http.ResponseWriter, r *http.Request) (*Conn, error) {
	ws, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{subprotocol(Version)}})
	if err != nil {
		return nil, err
	}
	return newConn(ws), nil
}

// Dial opens a Conn to the control plane at the URL, https://HOST:PORT, for the agent of the instance. The client must
// show the agent's key. If the control plane refuses, Dial also returns its response, for ReadRefusal.
func Dial(ctx context.Context, client *http.Client, server, instanceID string) (*Conn, *http.Response, error) {
	ws, response, err := websocket.Dial(ctx, server+LinkPath, &websocket.DialOptions{
		HTTPClient:   client,
		HTTPHeader:   http.Header{InstanceHeader: {instanceID}},
		Subprotocols: []string{subprotocol(Version)},
	})
	if err != nil {
		return nil, response, err
	}
	if ws.Subprotocol() == "" { // the first control planes accepted any version
		ws.CloseNow()
		return nil, response, errors.New(VersionProblem(Version, 1))
	}
	return newConn(ws), response, nil
}

func newConn(ws *websocket.Conn) *Conn {
	ws.SetReadLimit(MaxMessage)
	return &Conn{
		ws: ws, writing: make(chan struct{}, 1), ended: make(chan struct{}), waiting: make(map[uint64]chan<- Message),
	}
}

// Send writes a Message. It waits for earlier messages to be written, until the context is done, and then for the other
// end to accept the message, for WriteTimeout at most. Nothing is queued for an end that reads slowly.
func (c *Conn) Send(ctx context.Context, m Message) error {
	text, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("encode a message: %w", err)
	}
	if len(text) > MaxMessage {
		return c.fail(ErrTooLong)
	}
	select {
	case c.writing <- struct{}{}:
		defer func() { <-c.writing }()
	case <-c.ended:
		return c.err
	case <-ctx.Done():
		return ctx.Err()
	}
	patience := time.AfterFunc(WriteTimeout, func() { c.fail(ErrTooSlow) })
	defer patience.Stop()
	if err := c.ws.Write(context.Background(), websocket.MessageText, text); err != nil {
		return c.fail(err)
	}
	return nil
}

// Call sends a Message under a new ID and returns its Ack. It returns an error when the context is done or the Conn
// ends.
func (c *Conn) Call(ctx context.Context, m Message) (Message, error) {
	answer := make(chan Message, 1)
	c.mu.Lock()
	c.lastID++
	m.ID = c.lastID
	c.waiting[m.ID] = answer
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		delete(c.waiting, m.ID)
		c.mu.Unlock()
	}()
	if err := c.Send(ctx, m); err != nil {
		return Message{}, err
	}
	select {
	case ack := <-answer:
		return ack, nil
	case <-c.ended:
		return Message{}, c.err
	case <-ctx.Done():
		return Message{}, ctx.Err()
	}
}

// Receive returns the next Message that is not an Ack, and passes each Ack to its Call. The Conn ends when no message
// arrives for the duration silence. Only one goroutine may call Receive at a time.
func (c *Conn) Receive(silence time.Duration) (Message, error) {
	for {
		m, err := c.read(silence)
		if err != nil {
			return Message{}, c.fail(err)
		}
		if m.Ack == nil {
			return m, nil
		}
		c.mu.Lock()
		answer := c.waiting[m.ID]
		delete(c.waiting, m.ID)
		c.mu.Unlock()
		if answer != nil { // nil if the Call has ended
			answer <- m // buffered: does not block
		}
	}
}

func (c *Conn) read(silence time.Duration) (Message, error) {
	patience := time.AfterFunc(silence, func() { c.fail(ErrSilent) })
	defer patience.Stop()
	kind, text, err := c.ws.Read(context.Background())
	if err != nil {
		return Message{}, err
	}
	if kind != websocket.MessageText {
		return Message{}, fmt.Errorf("%w: a binary frame", ErrMalformed)
	}
	return ParseMessage(text)
}

// Ended returns a channel that is closed when the Conn has ended.
func (c *Conn) Ended() <-chan struct{} { return c.ended }

// Close ends the Conn at once. It skips the WebSocket's closing handshake, which takes seconds if the other end is
// gone.
func (c *Conn) Close() { c.fail(net.ErrClosed) }

// fail ends the Conn with err, unless it has ended already, and returns the error that ended it.
func (c *Conn) fail(err error) error {
	c.mu.Lock()
	if c.err == nil {
		c.err = err
		close(c.ended)
	}
	c.mu.Unlock()
	c.ws.CloseNow()
	return c.err
}

// ParseMessage parses a Message. It returns ErrMalformed (wrapped) unless the text is a JSON object in which exactly
// one message is set. It ignores fields that it does not know.
func ParseMessage(text []byte) (Message, error) {
	var m Message
	if err := json.Unmarshal(text, &m); err != nil {
		return Message{}, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	set := 0
	for _, present := range [...]bool{m.Hello != nil, m.Report != nil, m.Release != nil, m.Welcome != nil, m.Grant != nil,
		m.Revoke != nil, m.Dismiss != nil, m.Bye != nil, m.Ping != nil, m.Ack != nil} {
		if present {
			set++
		}
	}
	if set != 1 {
		return Message{}, fmt.Errorf("%w: it says %d things instead of one", ErrMalformed, set)
	}
	return m, nil
}
