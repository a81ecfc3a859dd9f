package keys

import (
	"errors"
	"io"
	"strconv"
	"syscall"
	"time"
)

// The bounds of a conversation.
const (
	Timeout   = time.Second // for all of it
	maxAnswer = 16 << 20    // bytes
)

// Ask asks the agent that serves the unix socket, which must run as the user. It takes Timeout at most, and wraps
// syscall.ENOENT or ECONNREFUSED where no agent runs.
func Ask(socket string, user uint32, q Question) ([]Key, error) {
	c, err := dial(socket, time.Now().Add(Timeout))
	if err != nil {
		return nil, err
	}
	defer syscall.Close(c.fd)
	if err := c.servedBy(user); err != nil {
		return nil, err
	}
	if err := c.write([]byte(q.text())); err != nil {
		return nil, err
	}
	text, err := c.readAll()
	if err != nil {
		return nil, err
	}
	return parseAnswer(text)
}

// conn is a connection to a unix socket, without package net, which would take a third of the helper's time.
type conn struct {
	fd       int
	deadline time.Time
}

func dial(path string, deadline time.Time) (conn, error) {
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return conn{}, err
	}
	c := conn{fd, deadline}
	err = c.within(func() error { return syscall.Connect(fd, &syscall.SockaddrUnix{Name: path}) })
	if err != nil {
		syscall.Close(fd)
		return conn{}, err
	}
	return c, nil
}

// within does what may wait for the other end, until the deadline.
func (c conn) within(do func() error) error {
	for {
		left := time.Until(c.deadline)
		if left <= 0 {
			return errors.New("the agent does not answer in time")
		}
		limit := syscall.NsecToTimeval(int64(max(left, time.Microsecond))) // zero would be no limit
		err := syscall.SetsockoptTimeval(c.fd, syscall.SOL_SOCKET, syscall.SO_RCVTIMEO, &limit)
		if err == nil {
			err = syscall.SetsockoptTimeval(c.fd, syscall.SOL_SOCKET, syscall.SO_SNDTIMEO, &limit)
		}
		if err == nil {
			err = do()
		}
		if err != syscall.EINTR && err != syscall.EAGAIN { // which is how a limit ends
			return err
		}
	}
}

// servedBy returns an error unless whoever listens is the user, as the kernel says: unix(7), SO_PEERCRED.
func (c conn) servedBy(user uint32) error {
	peer, err := syscall.GetsockoptUcred(c.fd, syscall.SOL_SOCKET, syscall.SO_PEERCRED)
	if err != nil {
		return err
	}
	if peer.Uid != user {
		return errors.New("the socket is served by user " + strconv.Itoa(int(peer.Uid)) + ", who is not the agent")
	}
	return nil
}

func (c conn) write(text []byte) error {
	return c.within(func() error {
		n, err := syscall.Write(c.fd, text)
		if err == nil && n < len(text) {
			err = io.ErrShortWrite
		}
		return err
	})
}

// readAll reads until the other end closes the connection.
func (c conn) readAll() (string, error) {
	var text []byte
	buffer := make([]byte, 8<<10)
	for n := 1; n > 0; {
		err := c.within(func() (err error) {
			n, err = syscall.Read(c.fd, buffer)
			return err
		})
		if err != nil {
			return "", err
		}
		if text = append(text, buffer[:n]...); len(text) > maxAnswer {
			return "", errors.New("the agent's answer is too long")
		}
	}
	return string(text), nil
}
