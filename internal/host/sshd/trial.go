package sshd

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/internal/fault"
)

// Trial is a login that shows whether a configuration lets a user in. The login is a real one: sshd itself, started for
// this one connection from the machine to itself, lets the user in and runs a command. The running server is not
// involved, no port is opened to others, and the private keys stay in this process's memory.
type Trial struct {
	Server    Server
	Config    string    // the configuration to try
	Login     string    // OS user
	Directory string    // for files that sshd reads, removed afterwards: root's, with a safe path
	Random    io.Reader // for the keys
}

// Outcome is what sshd reported about a login by an ordinary key that it accepted.
type Outcome struct {
	CommandRan     bool   // sshd ran the AuthorizedKeysCommand
	CommandProblem string // sshd's words about it if it failed
	Partial        bool   // the key was accepted, but AuthenticationMethods asks for more than a key
}

// Run makes a login by an ordinary key of a type that sshd accepts. It offers an unknown key first: sshd may not run
// the command for a key that it finds in a file, but must for an unknown one. The error is a Denied fault that quotes
// sshd, Unsupported if there is no key to try with, or Unavailable if sshd did not decide in time.
func (t Trial) Run(ctx context.Context) (Outcome, error) {
	settings, err := t.Server.Effective(ctx, t.Config, t.Login)
	if err != nil {
		return Outcome{}, err
	}
	signer, err := settings.newKey(t.Random)
	if err != nil {
		return Outcome{}, err
	}
	stranger, err := settings.newKey(t.Random)
	if err != nil {
		return Outcome{}, err
	}
	line := `restrict,command="true" ` + string(ssh.MarshalAuthorizedKey(signer.PublicKey()))
	keys, remove, err := t.writeKeys("trial_keys", line)
	if err != nil {
		return Outcome{}, err
	}
	defer remove()
	log, err := t.connect(ctx, []string{"AuthorizedKeysFile=" + keys}, stranger, signer)
	found := outcome(log)
	found.Partial = strings.Contains(log, "Partial publickey for "+t.Login+" ")
	if found.Partial {
		err = nil
	}
	return found, err
}

// Methods returns the methods that sshd offers the user to log in by, sorted, before any is tried.
func (t Trial) Methods(ctx context.Context) ([]string, error) {
	log, err := t.connect(ctx, nil)
	_, list, found := strings.Cut(log, `next methods="`)
	if !found {
		return nil, err
	}
	list, _, _ = strings.Cut(list, `"`)
	methods := strings.Split(list, ",")
	slices.Sort(methods)
	return methods, nil
}

// Accepts reports whether sshd would accept the key because of what the AuthorizedKeysCommand prints. It does not need
// the key's private half. The error says that sshd does not accept the key, or did not decide.
func (t Trial) Accepts(ctx context.Context, key ssh.PublicKey) error {
	settings, err := t.Server.Effective(ctx, t.Config, t.Login)
	if err != nil {
		return err
	}
	signer := &publicOnly{key: key, algorithms: settings.algorithms(key.Type())}
	_, err = t.connect(ctx, []string{"AuthorizedKeysFile=none"}, signer)
	if signer.asked {
		return nil
	}
	return err
}

// Certificate makes a login by a certificate for the principals. A new authority signs it, which is trusted beside the
// TrustedUserCAKeys. The errors are those of Run.
func (t Trial) Certificate(ctx context.Context, principals []string) error {
	settings, err := t.Server.Effective(ctx, t.Config, t.Login)
	if err != nil {
		return err
	}
	authority, err := settings.newKey(t.Random)
	if err != nil {
		return err
	}
	key, err := settings.newKey(t.Random)
	if err != nil {
		return err
	}
	theirs, _ := os.ReadFile(settings.Get("trustedusercakeys"))
	trusted := string(ssh.MarshalAuthorizedKey(authority.PublicKey())) + string(theirs)
	authorities, remove, err := t.writeKeys("trial_authorities", trusted)
	if err != nil {
		return err
	}
	defer remove()
	certificate := &ssh.Certificate{
		Key: key.PublicKey(), CertType: ssh.UserCert, KeyId: "sallyport-host trial", ValidPrincipals: principals,
		ValidBefore: ssh.CertTimeInfinity,
		Permissions: ssh.Permissions{CriticalOptions: map[string]string{"force-command": "true"}},
	}
	if err := certificate.SignCert(t.Random, authority); err != nil {
		return err
	}
	signer, err := ssh.NewCertSigner(certificate, key)
	if err != nil {
		return err
	}
	log, err := t.connect(ctx, []string{"AuthorizedKeysFile=none", "TrustedUserCAKeys=" + authorities}, signer)
	if strings.Contains(log, "Partial publickey for "+t.Login+" ") {
		return nil
	}
	return err
}

// writeKeys writes a file for sshd to read. The caller removes it with remove after the trial.
func (t Trial) writeKeys(name, text string) (path string, remove func(), err error) {
	path = filepath.Join(t.Directory, name)
	return path, func() { os.Remove(path) }, os.WriteFile(path, []byte(text), 0o644)
}

// connect makes sshd serve one connection to a client with the keys, and returns sshd's log. The options take
// precedence over the configuration.
func (t Trial) connect(ctx context.Context, options []string, keys ...ssh.Signer) (log string, err error) {
	for range maxMissing {
		log, err = t.connectOnce(ctx, options, keys)
		if err == nil || !madeMissingDirectory(log) {
			break
		}
	}
	return log, err
}

func (t Trial) connectOnce(ctx context.Context, options []string, keys []ssh.Signer) (log string, err error) {
	ctx, cancel := context.WithTimeout(ctx, loginTimeout)
	defer cancel()
	client, server, err := ownConnection(ctx)
	if err != nil {
		return "", err
	}
	defer client.Close()
	arguments := []string{"-i", "-e", "-f", t.Config}
	for _, option := range slices.Concat(options, []string{"PidFile=none", "LogLevel=DEBUG3", "MaxAuthTries=6"}) {
		arguments = append(arguments, "-o", option)
	}
	var said bytes.Buffer
	cmd := exec.CommandContext(ctx, t.Server.Program, append(arguments, t.Server.Arguments...)...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = server, server, &said
	cmd.WaitDelay = time.Second
	err = cmd.Start()
	server.Close()
	if err != nil {
		return "", fmt.Errorf("start %s: %w", t.Server.Program, err)
	}
	loginErr := logIn(ctx, client, t.Login, keys...)
	client.Close()
	_ = cmd.Wait() // its exit status only repeats how the connection ended
	log = said.String()
	switch {
	case loginErr == nil:
		return log, nil
	case ctx.Err() != nil:
		return log, fault.Wrap(loginErr, fault.Unavailable, fault.Sshd,
			"sshd did not decide within %v whether to let %s in. Does its AuthorizedKeysCommand hang? It says: %s",
			loginTimeout, t.Login, reason(log, loginErr))
	}
	return log, fault.Wrap(loginErr, fault.Denied, fault.Sshd,
		"%s could not log in by an ordinary key. sshd says: %s", t.Login, reason(log, loginErr))
}

// outcome reads in sshd's log how the keys command went.
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

// reason picks the telling line from a log at the highest debug level.
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
