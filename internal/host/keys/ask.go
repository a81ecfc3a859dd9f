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
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer syscall.Close(fd)
	c := conn{fd, time.Now().Add(Timeout)}
	if err := c.connect(socket); err != nil {
		return nil, err
	}
	if err := c.servedBy(user); err != nil {
		return nil, err
	}
	if err := c.write(q.text()); err != nil {
		return nil, err
	}
	return c.readAnswer()
}

// conn is a connection to a unix socket, without package net, which would add a fifth to the helper's time.
type conn struct {
	fd       int
	deadline time.Time
}

// within does what may wait for the other end, until the deadline. The option limits it: socket(7).
func (c conn) within(option int, do func() error) error {
	for {
		left := time.Until(c.deadline)
		if left <= 0 {
			return errors.New("the agent does not answer in time")
		}
		limit := syscall.NsecToTimeval(int64(max(left, time.Microsecond))) // zero would be no limit
		err := syscall.SetsockoptTimeval(c.fd, syscall.SOL_SOCKET, option, &limit)
		if err == nil {
			err = do()
		}
		if err != syscall.EINTR && err != syscall.EAGAIN { // which is how a limit ends
			return err
		}
	}
}

func (c conn) connect(path string) error {
	return c.within(syscall.SO_SNDTIMEO, func() error {
		return syscall.Connect(c.fd, &syscall.SockaddrUnix{Name: path})
	})
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

func (c conn) write(text string) error {
	return c.within(syscall.SO_SNDTIMEO, func() error {
		n, err := syscall.Write(c.fd, []byte(text))
		if err == nil && n < len(text) {
			err = io.ErrShortWrite
		}
		return err
	})
}

// readAnswer reads up to the end of the answer, and does not wait for what the agent does then.
func (c conn) readAnswer() ([]Key, error) {
	var text []byte
	buffer := make([]byte, 4<<10)
	for len(text) < maxAnswer && !isWhole(text) {
		n := 0
		err := c.within(syscall.SO_RCVTIMEO, func() (err error) {
			n, err = syscall.Read(c.fd, buffer)
			return err
		})
		if err == nil && n == 0 {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return nil, err
		}
		text = append(text, buffer[:n]...)
	}
	return parseAnswer(string(text))
}
