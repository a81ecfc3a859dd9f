package sshd

import (
	"context"
	"errors"
	"net"
	"os"

	"golang.org/x/crypto/ssh"
)

// ownConnection returns a TCP connection from this process to itself, so that sshd sees an address as in a real login.
// Connections from other processes are not accepted.
func ownConnection(ctx context.Context) (client net.Conn, server *os.File, err error) {
	listener, err := net.ListenTCP("tcp4", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return nil, nil, err
	}
	defer listener.Close()
	var dialer net.Dialer
	if client, err = dialer.DialContext(ctx, "tcp4", listener.Addr().String()); err != nil {
		return nil, nil, err
	}
	deadline, _ := ctx.Deadline()
	_ = listener.SetDeadline(deadline)
	for {
		accepted, err := listener.AcceptTCP()
		if err != nil {
			client.Close()
			return nil, nil, err
		}
		if accepted.RemoteAddr().String() != client.LocalAddr().String() {
			accepted.Close()
			continue
		}
		server, err = accepted.File()
		accepted.Close()
		if err != nil {
			client.Close()
		}
		return client, server, err
	}
}

// logIn authenticates and runs a command. A failure of the command itself, as under a nologin shell, does not matter:
// by then sshd has let the user in.
func logIn(ctx context.Context, conn net.Conn, login string, keys ...ssh.Signer) error {
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	connection, channels, requests, err := ssh.NewClientConn(conn, "localhost", &ssh.ClientConfig{
		User:            login,
		Auth:            []ssh.AuthMethod{ssh.PublicKeys(keys...)},
		HostKeyCallback: ssh.InsecureIgnoreHostKey(), // both ends of the connection are this process's
	})
	if err != nil {
		return err
	}
	client := ssh.NewClient(connection, channels, requests)
	defer client.Close()
	session, err := client.NewSession()
	if err != nil {
		return err
	}
	defer session.Close()
	err = session.Run("true")
	var exit *ssh.ExitError
	var missing *ssh.ExitMissingError
	if errors.As(err, &exit) || errors.As(err, &missing) {
		return nil
	}
	return err
}
