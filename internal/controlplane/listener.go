package controlplane

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"sync"
	"time"
)

// Limits on connections that have not sent a request yet. A client that opens connections and sends nothing, or begins
// TLS handshakes and does not finish them, uses up only its own address's share: beyond it, the address's oldest
// connection is closed for the newest. So one client does not lock out others that share its address behind a NAT or a
// proxy.
const (
	greetingTime      = 10 * time.Second // from accept to the end of the TLS handshake
	pendingTotal      = 2048
	pendingFromSource = 512
	tlsHandshake      = 0x16 // the first byte of a TLS connection; no HTTP request begins with it
)

// listener accepts plain and TLS connections on one port and tells them apart by their first byte. Accept returns
// connections that are ready for HTTP: a *tls.Conn after its handshake, or a plain connection.
type listener struct {
	net.Listener
	config *tls.Config
	ready  chan net.Conn
	closed chan struct{}
	close  sync.Once

	pending *shares // of connections that greet has not finished

	mu     sync.Mutex
	failed error // of the inner Accept; set before closed is closed
}

func newListener(inner net.Listener, config *tls.Config) *listener {
	l := &listener{
		Listener: inner, config: config, ready: make(chan net.Conn),
		closed: make(chan struct{}), pending: newShares(pendingTotal, pendingFromSource),
	}
	go l.acceptAll()
	return l
}

// Accept implements net.Listener.
func (l *listener) Accept() (net.Conn, error) {
	select {
	case conn := <-l.ready:
		return conn, nil
	case <-l.closed:
		l.mu.Lock()
		defer l.mu.Unlock()
		return nil, l.failed
	}
}

// Close implements net.Listener.
func (l *listener) Close() error {
	l.shut(net.ErrClosed)
	return l.Listener.Close()
}

func (l *listener) shut(err error) {
	l.close.Do(func() {
		l.mu.Lock()
		l.failed = err
		l.mu.Unlock()
		close(l.closed)
	})
}

func (l *listener) acceptAll() {
	for pause := time.Duration(0); ; {
		conn, err := l.Listener.Accept()
		if err != nil {
			var temporary interface{ Temporary() bool }
			if errors.As(err, &temporary) && temporary.Temporary() { // out of file descriptors; wait until some are closed
				pause = min(max(2*pause, 5*time.Millisecond), time.Second)
				time.Sleep(pause)
				continue
			}
			l.shut(err)
			return
		}
		pause = 0
		place := l.pending.enter(sourceOf(conn.RemoteAddr().String()), 1, func() { conn.Close() })
		go func() {
			greeted := l.greet(conn)
			place.leave()
			if greeted == nil {
				conn.Close()
				return
			}
			select {
			case l.ready <- greeted:
			case <-l.closed:
				greeted.Close()
			}
		}()
	}
}

// greet finds out what the connection speaks, and does the handshake if it is TLS. It returns nil if the connection
// failed.
func (l *listener) greet(conn net.Conn) net.Conn {
	deadline := time.Now().Add(greetingTime)
	if conn.SetDeadline(deadline) != nil {
		return nil
	}
	reader := bufio.NewReaderSize(conn, 4<<10)
	first, err := reader.Peek(1)
	if err != nil {
		return nil
	}
	var greeted net.Conn = &peekedConn{Conn: conn, reader: reader}
	if first[0] == tlsHandshake {
		ctx, cancel := context.WithDeadline(context.Background(), deadline)
		defer cancel()
		secure := tls.Server(greeted, l.config)
		if secure.HandshakeContext(ctx) != nil {
			return nil
		}
		greeted = secure
	}
	if conn.SetDeadline(time.Time{}) != nil {
		return nil
	}
	return greeted
}

// sourceOf returns the source that a connection counts for: an IPv4 address, or the /64 prefix of an IPv6 address,
// which one customer has.
func sourceOf(remote string) netip.Addr {
	from, err := netip.ParseAddrPort(remote)
	if err != nil {
		return netip.Addr{}
	}
	address := from.Addr().Unmap().WithZone("")
	if address.Is6() {
		if prefix, err := address.Prefix(64); err == nil {
			return prefix.Addr()
		}
	}
	return address
}

// peekedConn is a connection with some bytes in a reader. When they have been read, the reader is dropped, so that an
// idle link costs no buffer.
type peekedConn struct {
	net.Conn
	reader *bufio.Reader
}

// Read implements net.Conn.
func (c *peekedConn) Read(b []byte) (int, error) {
	if c.reader == nil {
		return c.Conn.Read(b)
	}
	if c.reader.Buffered() == 0 {
		c.reader = nil
		return c.Conn.Read(b)
	}
	return c.reader.Read(b)
}
