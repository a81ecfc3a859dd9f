package sshd

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/internal/fault"
)

// loginTimeout bounds one login. It is the default of sshd's own LoginGraceTime: a command that was there before may be
// slow, and sshd asks it twice.
const loginTimeout = 120 * time.Second

// Probe tries a login that must fail at the server that runs at the address. It returns nil if the server considered a
// public key: the server is up, and decides about logins.
func Probe(ctx context.Context, address netip.AddrPort, login string, random io.Reader) error {
	ctx, cancel := context.WithTimeout(ctx, loginTimeout)
	defer cancel()
	_, key, err := ed25519.GenerateKey(random)
	if err != nil {
		return err
	}
	signer, err := ssh.NewSignerFromSigner(key)
	if err != nil {
		return err
	}
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", address.String())
	if err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	defer conn.Close()
	considered := false
	_, _, _, err = ssh.NewClientConn(conn, address.String(), &ssh.ClientConfig{
		User: login,
		Auth: []ssh.AuthMethod{ssh.PublicKeysCallback(func() ([]ssh.Signer, error) {
			considered = true
			return []ssh.Signer{signer}, nil
		})},
		HostKeyCallback: ssh.InsecureIgnoreHostKey(), // an impostor could use nothing that is sent
	})
	if err == nil {
		return fault.New(fault.WrongState, fault.Sshd, "The server at %s let in a key that nobody allowed.", address)
	}
	refused := strings.Contains(err.Error(), "unable to authenticate") ||
		strings.Contains(err.Error(), "Too many authentication failures")
	if !considered || !refused {
		return fmt.Errorf("the server at %s does not get to public keys: %w", address, err)
	}
	return nil
}
