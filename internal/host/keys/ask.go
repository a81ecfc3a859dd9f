package keys

import (
	"errors"
	"io"
	"slices"
	"strconv"
	"syscall"
	"time"
)

// Timeout bounds each wait of a conversation: for the agent to accept the connection and the question, and for its
// answer.
const Timeout = time.Second

// maxAnswer is the largest size of an answer, in bytes.
const maxAnswer = 16 << 20

// Ask asks the agent that serves the unix socket, which must run as the user. The error is syscall.ENOENT or
// ECONNREFUSED if no agent runs. Ask does without package net, which would add a fifth to the helper's time.
func Ask(socket string, user uint32, q Question) ([]Key, error) {
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer syscall.Close(fd)
	limit := syscall.NsecToTimeval(int64(Timeout))
	if err := syscall.SetsockoptTimeval(fd, syscall.SOL_SOCKET, syscall.SO_SNDTIMEO, &limit); err != nil {
		return nil, err
	}
	if err := syscall.SetsockoptTimeval(fd, syscall.SOL_SOCKET, syscall.SO_RCVTIMEO, &limit); err != nil {
		return nil, err
	}
	if err := syscall.Connect(fd, &syscall.SockaddrUnix{Name: socket}); err != nil {
		return nil, err
	}
	// The question is not secret, so it is sent first. The server is checked while the agent looks for the answer.
	if _, err := syscall.Write(fd, q.text()); err != nil {
		return nil, err
	}
	if err := servedBy(fd, user); err != nil {
		return nil, err
	}
	return readAnswer(fd)
}

// servedBy returns an error unless the process that listens runs as the user, by the kernel's account: unix(7),
// SO_PEERCRED.
func servedBy(fd int, user uint32) error {
	peer, err := syscall.GetsockoptUcred(fd, syscall.SOL_SOCKET, syscall.SO_PEERCRED)
	if err != nil {
		return err
	}
	if peer.Uid != user {
		return errors.New("the socket is served by user " + strconv.Itoa(int(peer.Uid)) + ", who is not the agent")
	}
	return nil
}

// readAnswer reads up to the end of the answer. It does not wait for the connection to be closed.
func readAnswer(fd int) ([]Key, error) {
	deadline := time.Now().Add(Timeout)
	var short [1 << 10]byte
	text := short[:0]
	for !isWhole(text) {
		if len(text) == cap(text) {
			text = slices.Grow(text, len(text))
		}
		n, err := syscall.Read(fd, text[len(text):cap(text)])
		switch {
		case err == syscall.EINTR:
			n = 0
		case err == syscall.EAGAIN, err == nil && time.Now().After(deadline):
			return nil, errors.New("the agent does not answer in time")
		case err != nil:
			return nil, err
		case n == 0:
			return nil, io.ErrUnexpectedEOF
		case len(text)+n > maxAnswer:
			return nil, errors.New("the agent's answer is longer than any")
		}
		text = text[:len(text)+n]
	}
	return parseAnswer(string(text))
}
