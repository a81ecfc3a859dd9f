package sshd

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/internal/fault"
)

// loginTimeout bounds one test login. sshd asks the keys command twice in it, and a command that was there
// before may use up its own deadline each time.
const loginTimeout = 40 * time.Second

// Trial is a login by an ordinary key, made to find out whether a configuration lets people in. It is a real
// one: sshd itself, started for this one connection, from the machine to itself, up to a command that ran. The
// running server is not involved, no port is opened to others, and the key lives in this process's memory only.
type Trial struct {
	Server    Server
	Config    string    // the configuration to try
	Login     string    // OS user
	Directory string    // where the public key is put for sshd to read: root's, with a safe path; it is removed from there
	Random    io.Reader // for the key
}

// Outcome is what sshd told about a login that succeeded.
type Outcome struct {
	CommandRan     bool   // sshd ran the AuthorizedKeysCommand
	CommandProblem string // what sshd said about it if it did not end well
}

// Run makes the login. The error is a Denied fault that quotes what sshd had to say.
func (t Trial) Run(ctx context.Context) (Outcome, error) {
	ctx, cancel := context.WithTimeout(ctx, loginTimeout)
	defer cancel()
	signer, stranger, err := t.newKeys(ctx)
	if err != nil {
		return Outcome{}, err
	}
	keys := filepath.Join(t.Directory, "trial_keys")
	line := `restrict,command="true" ` + string(ssh.MarshalAuthorizedKey(signer.PublicKey()))
	if err := os.WriteFile(keys, []byte(line), 0o644); err != nil {
		return Outcome{}, err
	}
	defer os.Remove(keys)

	client, server, err := ownConnection(ctx)
	if err != nil {
		return Outcome{}, err
	}
	defer client.Close()
	var log bytes.Buffer
	arguments := []string{"-i", "-e", "-f", t.Config,
		"-o", "AuthorizedKeysFile=" + keys, "-o", "PidFile=none", "-o", "LogLevel=DEBUG3", "-o", "MaxAuthTries=6"}
	cmd := exec.CommandContext(ctx, t.Server.Program, append(arguments, t.Server.Arguments...)...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = server, server, &log
	cmd.WaitDelay = time.Second
	err = cmd.Start()
	server.Close()
	if err != nil {
		return Outcome{}, fmt.Errorf("start %s: %w", t.Server.Program, err)
	}
	loginErr := logIn(ctx, client, t.Login, stranger, signer)
	client.Close()
	_ = cmd.Wait() // its exit status says how the connection ended, which we know
	if loginErr != nil {
		return Outcome{}, fault.Wrap(loginErr, fault.Denied, "sshd",
			"%s could not log in by an ordinary key. sshd says: %s", t.Login, reason(log.String(), loginErr))
	}
	return outcome(log.String()), nil
}

// newKeys makes two keys of a type that the configuration accepts: one to allow, and a stranger's, to offer first.
// An sshd that finds a key in a file may not ask the command at all; for a stranger's it must.
func (t Trial) newKeys(ctx context.Context) (allowed, stranger ssh.Signer, err error) {
	settings, err := t.Server.Effective(ctx, t.Config, t.Login)
	if err != nil {
		return nil, nil, err
	}
	accepted := settings.Get("pubkeyacceptedalgorithms") + settings.Get("pubkeyacceptedkeytypes")
	newKey := func() (ssh.Signer, error) {
		var key crypto.Signer
		if accepted == "" || strings.Contains(accepted, ssh.KeyAlgoED25519) {
			_, key, err = ed25519.GenerateKey(t.Random)
		} else {
			key, err = ecdsa.GenerateKey(elliptic.P256(), t.Random)
		}
		if err != nil {
			return nil, err
		}
		return ssh.NewSignerFromSigner(key)
	}
	if allowed, err = newKey(); err != nil {
		return nil, nil, err
	}
	stranger, err = newKey()
	return allowed, stranger, err
}

// ownConnection is a TCP connection from this process to itself, so that sshd sees an address as it will later.
// Nobody else can slip in: a connection from elsewhere is not accepted.
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

// logIn authenticates and runs a command. That the command itself fails, as under a nologin shell, does not
// matter: whether somebody is let in was decided before.
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

// outcome reads sshd's log for what became of the keys command.
func outcome(log string) Outcome {
	var found Outcome
	for line := range strings.Lines(log) {
		line = strings.TrimSpace(line)
		if !strings.Contains(line, "AuthorizedKeysCommand") {
			continue
		}
		switch {
		case strings.Contains(line, "failed, status"), strings.Contains(line, "exited on signal"),
			strings.Contains(line, "Unsafe"), strings.Contains(line, "ould not"), strings.Contains(line, "not found"):
			found.CommandProblem = line
		case strings.Contains(line, "unning"): // "Running …" before OpenSSH 8.7, "… running as …" since
			found.CommandRan = true
		}
	}
	return found
}

// reason picks what a person would look for from a log at its most talkative.
func reason(log string, err error) string {
	var said []string
	for line := range strings.Lines(log) {
		line = strings.TrimSpace(line)
		if line != "" && !strings.HasPrefix(line, "debug") {
			said = append(said, line)
		}
	}
	if len(said) == 0 {
		return err.Error()
	}
	return strings.Join(said[max(0, len(said)-4):], "; ")
}

// Probe asks the server that runs at the address for a login that must fail, and returns nil if it got as far as
// to consider a public key: the server is up, and takes decisions.
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
		HostKeyCallback: ssh.InsecureIgnoreHostKey(), // nothing is sent that an impostor could use
	})
	if err == nil {
		return fault.New(fault.WrongState, "sshd", "The server at %s let in a key that nobody allowed.", address)
	}
	if !considered || !strings.Contains(err.Error(), "unable to authenticate") {
		return fmt.Errorf("the server at %s does not get to public keys: %w", address, err)
	}
	return nil
}
