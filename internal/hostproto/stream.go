package hostproto

import (
	"bufio"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

// WriteTimeout is how long the other end may take to accept what it is sent, before the link is given up.
const WriteTimeout = 5 * time.Second

// maxBacklog bounds, in bytes, what waits to be written to an end that reads slowly.
const maxBacklog = 4 * MaxMessage

// The errors of a Stream, beside those of its connection.
var (
	ErrTooLong   = errors.New("hostproto: a message is longer than MaxMessage")
	ErrMalformed = errors.New("hostproto: not a message")
	ErrTooSlow   = errors.New("hostproto: the other end reads too slowly")
)

// Stream exchanges Messages over a connection.
type Stream struct {
	conn   net.Conn
	reader *bufio.Reader

	mu      sync.Mutex
	backlog []byte // lines to be written
	writing bool   // somebody is writing them
	err     error  // why nothing can be written any more
}

// NewStream returns a Stream over the connection, which it owns.
func NewStream(conn net.Conn) *Stream {
	return &Stream{conn: conn, reader: bufio.NewReaderSize(conn, 512)}
}

// Send writes a Message. It is safe for concurrent use: what is sent while another Send is writing goes out
// with that one's next write, so that success says only that the Message is on its way. The first error ends
// the Stream.
func (s *Stream) Send(message Message) error {
	line, err := json.Marshal(message)
	if err != nil {
		return fmt.Errorf("encode a message: %w", err)
	}
	if len(line) >= MaxMessage {
		return ErrTooLong
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil && len(s.backlog)+len(line) > maxBacklog {
		s.fail(ErrTooSlow)
	}
	if s.err != nil {
		return s.err
	}
	s.backlog = append(append(s.backlog, line...), '\n')
	if s.writing {
		return nil
	}
	s.writing = true
	for len(s.backlog) > 0 && s.err == nil {
		lines := s.backlog
		s.backlog = nil
		s.mu.Unlock()
		err := s.conn.SetWriteDeadline(time.Now().Add(WriteTimeout))
		if err == nil {
			_, err = s.conn.Write(lines)
		}
		s.mu.Lock()
		if err != nil {
			s.fail(err)
		}
	}
	s.writing = false
	return s.err
}

// fail ends the Stream. It is called with the mutex held.
func (s *Stream) fail(err error) {
	if s.err == nil {
		s.err = err
	}
	s.backlog = nil
	s.conn.Close()
}

// Receive reads the next Message, waiting no longer than the silence allowed (zero for ever). It is for one
// goroutine at a time. After an error the Stream is of no more use.
func (s *Stream) Receive(silence time.Duration) (Message, error) {
	deadline := time.Time{}
	if silence > 0 {
		deadline = time.Now().Add(silence)
	}
	if err := s.conn.SetReadDeadline(deadline); err != nil {
		return Message{}, err
	}
	line, err := readLine(s.reader)
	if err != nil {
		return Message{}, s.reason(err)
	}
	return ParseMessage(line)
}

// reason is why the Stream ended: what failed in Send closes the connection, which the reader then takes for the end.
func (s *Stream) reason(reading error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return cmp.Or(s.err, reading)
}

// Shrink gives back the memory that a long message took, when short ones are to be expected. Nothing must be
// received at the time.
func (s *Stream) Shrink() {
	if shrinker, ok := s.conn.(interface{ Shrink() }); ok { // a yamux.Stream
		shrinker.Shrink()
	}
}

// Close closes the connection.
func (s *Stream) Close() error { return s.conn.Close() }

// readLine returns the next line without its end. It is valid until the next read.
func readLine(r *bufio.Reader) ([]byte, error) {
	var long []byte
	for {
		part, err := r.ReadSlice('\n')
		if len(long)+len(part) > MaxMessage {
			return nil, ErrTooLong
		}
		switch {
		case err == nil && long == nil:
			return part[:len(part)-1], nil
		case err == nil:
			return append(long, part[:len(part)-1]...), nil
		case errors.Is(err, bufio.ErrBufferFull):
			long = append(long, part...)
		case errors.Is(err, io.EOF) && len(long)+len(part) > 0:
			return nil, io.ErrUnexpectedEOF
		default:
			return nil, err
		}
	}
}

// ParseMessage reads one line. It returns ErrMalformed (wrapped) unless the line is a JSON object in which
// exactly one message is set; fields it does not know are ignored.
func ParseMessage(line []byte) (Message, error) {
	var m Message
	if err := json.Unmarshal(line, &m); err != nil {
		return Message{}, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	set := 0
	for _, present := range [...]bool{m.Hello != nil, m.Report != nil, m.Release != nil, m.Welcome != nil, m.Grant != nil,
		m.Revoke != nil, m.Dismiss != nil, m.Bye != nil, m.Ack != nil, m.Ping != nil, m.Pong != nil} {
		if present {
			set++
		}
	}
	if set != 1 {
		return Message{}, fmt.Errorf("%w: it says %d things instead of one", ErrMalformed, set)
	}
	return m, nil
}
