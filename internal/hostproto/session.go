package hostproto

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/coder/websocket"
	"github.com/hashicorp/yamux"
)

// OpenTimeout is how long the ends take at most to agree on the control stream.
const OpenTimeout = 10 * time.Second

// Dialed makes the agent's end of a session of the WebSocket it dialed and opens the control stream. Closing
// the session ends everything.
func Dialed(ws *websocket.Conn) (*yamux.Session, *Stream, error) {
	session, err := yamux.Client(carry(ws), sessionConfig())
	if err != nil {
		ws.CloseNow()
		return nil, nil, fmt.Errorf("start the session: %w", err)
	}
	stream, err := session.Open()
	if err != nil {
		session.Close()
		return nil, nil, fmt.Errorf("open the control stream: %w", err)
	}
	return session, NewStream(stream), nil
}

// Accepted makes the control plane's end of a session and waits for the control stream, no longer than
// OpenTimeout. The machine can open no other.
func Accepted(ctx context.Context, ws *websocket.Conn) (*yamux.Session, *Stream, error) {
	session, err := yamux.Server(carry(ws), sessionConfig())
	if err != nil {
		ws.CloseNow()
		return nil, nil, fmt.Errorf("start the session: %w", err)
	}
	waiting, done := context.WithTimeout(ctx, OpenTimeout)
	defer done()
	stream, err := session.AcceptStreamWithContext(waiting)
	if err == nil {
		err = session.GoAway() // refuses further streams
	}
	if err != nil {
		session.Close()
		return nil, nil, fmt.Errorf("wait for the control stream: %w", err)
	}
	return session, NewStream(stream), nil
}

// sessionConfig keeps a link that does nothing cheap: the agent's Pings keep it alive, not yamux's own.
func sessionConfig() *yamux.Config {
	config := yamux.DefaultConfig()
	config.EnableKeepAlive = false
	config.AcceptBacklog = 8
	config.ConnectionWriteTimeout = WriteTimeout
	config.StreamOpenTimeout = OpenTimeout
	config.LogOutput = io.Discard // every failure also comes back as an error
	return config
}

// carrier is a WebSocket as yamux uses it: what websocket.NetConn is, without the deadlines that yamux does not
// use and their cost, which counts for a thousand links that idle.
type carrier struct {
	ws      *websocket.Conn
	message io.Reader // what is left of the message that is being read
	frames  frames    // what has been read
	held    []byte    // a header whose body is still to come
}

func carry(ws *websocket.Conn) *carrier {
	ws.SetReadLimit(-1) // messages are not gathered, but read as they come
	return &carrier{ws: ws}
}

// Read reads the messages' content as one stream.
func (c *carrier) Read(p []byte) (int, error) {
	for {
		if c.message == nil {
			kind, message, err := c.ws.Reader(context.Background())
			if err != nil {
				return 0, err
			}
			if kind != websocket.MessageBinary {
				return 0, fmt.Errorf("%w: a text frame", ErrMalformed)
			}
			c.message = message
		}
		n, err := c.message.Read(p)
		if errors.Is(err, io.EOF) {
			c.message, err = nil, nil
			if n == 0 {
				continue
			}
		}
		if refused := c.frames.check(p[:n]); refused != nil {
			return 0, refused
		}
		return n, err
	}
}

// Write sends yamux's header and body, which it writes one after the other, as one WebSocket message: half the
// frames, TLS records and system calls. Only yamux's send loop calls it.
func (c *carrier) Write(p []byte) (int, error) {
	if c.held == nil && len(p) == headerSize && p[1] == typeData && binary.BigEndian.Uint32(p[8:]) > 0 {
		c.held = append(c.held, p...)
		return len(p), nil
	}
	message := p
	if c.held != nil {
		message = append(c.held, p...)
		c.held = nil
	}
	if err := c.ws.Write(context.Background(), websocket.MessageBinary, message); err != nil {
		return 0, err
	}
	return len(p), nil
}

// yamux's frames: a header of version, type, flags (2 bytes), stream (4) and length (4), and for data a body of the
// length. https://github.com/hashicorp/yamux/blob/master/spec.md
const (
	headerSize = 12
	typeData   = 0
	typePing   = 2
)

// frames follows the frames in what the other end sends.
type frames struct {
	header [headerSize]byte // of the frame that is being read
	have   int              // bytes of it
	body   uint32           // bytes of a body that are still to come
}

// check refuses yamux's pings, which our ends do not send to each other: yamux starts a goroutine for each, and
// who sends millions and reads no answers would use up the control plane's memory.
func (f *frames) check(read []byte) error {
	for len(read) > 0 {
		if f.body > 0 {
			skip := min(uint64(f.body), uint64(len(read)))
			f.body -= uint32(skip)
			read = read[skip:]
			continue
		}
		n := copy(f.header[f.have:], read)
		read = read[n:]
		if f.have += n; f.have < headerSize {
			return nil
		}
		f.have = 0
		switch f.header[1] {
		case typePing:
			return fmt.Errorf("%w: a ping of the multiplexer", ErrMalformed)
		case typeData:
			f.body = binary.BigEndian.Uint32(f.header[8:])
		}
	}
	return nil
}

// Close closes at once, which ends Read and Write. The closing handshake could take seconds with an end that is
// gone.
func (c *carrier) Close() error { return c.ws.CloseNow() }
