package host

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"time"

	"github.com/sallyport/sallyport/internal/clock"
	"github.com/sallyport/sallyport/internal/host/sshd"
	"github.com/sallyport/sallyport/internal/keyblob"
	"github.com/sallyport/sallyport/internal/sshkey"
)

// Keys is one run of the keys helper, sshd's AuthorizedKeysCommand: it prints the public keys that let the user
// in now. sshd throws the output away unless the exit status is 0, so whatever fails, Run has a result.
type Keys struct {
	Directory   string
	User        string   // %u
	Fingerprint string   // %f of the key that was offered; empty for all
	Chain       []string // a command that was there before ours, with its arguments; empty for none
	Out         io.Writer
	Log         func(line string) // Syslog, outside tests
}

// Run asks the agent, which takes a second at most. Where the offered key is not one of ours it returns the command of the
// Chain, which is to take this process's place: so sshd has its output, its exit status and its time as if it ran the
// command itself. Otherwise, and where the command is not fit to run, it returns nil.
func (k Keys) Run() (next []string) {
	statements, err := k.granted()
	if err != nil && !errors.Is(err, errNoAgent) {
		k.Log(fmt.Sprintf("error: no pushed keys for %q: %v", k.User, err))
	}
	for _, s := range statements {
		fmt.Fprintln(k.Out, s.PublicKey)
		k.Log(fmt.Sprintf("providing the SSH key with fingerprint %s for user %q, request %s, caller %s", sshkey.Fingerprint(s.PublicKey), k.User, s.RequestID, s.Caller))
	}
	if len(k.Chain) == 0 || k.Fingerprint != "" && len(statements) > 0 {
		return nil // of the same key another command can say nothing that sshd still looks at
	}
	// sshd, which would have checked the command's path before each run, only sees ours.
	if err := sshd.CheckSafePath(k.Chain[0]); err != nil {
		k.Log(fmt.Sprintf("error: %s: %v", k.Chain[0], err))
		return nil
	}
	return k.Chain
}

// errNoAgent says that no agent runs, which is not logged: it would repeat at every login.
var errNoAgent = errors.New("host: the agent does not run")

// granted returns what the agent's grants say, those that this process has verified itself.
func (k Keys) granted() ([]keyblob.Statement, error) {
	config, err := Load(k.Directory)
	if err != nil {
		return nil, err
	}
	a, err := ask(config.Socket, question{User: k.User, Fingerprint: k.Fingerprint})
	if errors.Is(err, syscall.ENOENT) || errors.Is(err, syscall.ECONNREFUSED) {
		return nil, errNoAgent
	}
	if err != nil || len(a.Grants) == 0 {
		return nil, err
	}
	root, err := LoadAuthority(k.Directory)
	if err != nil {
		return nil, err
	}
	verifier := &keyblob.Verifier{Root: root}
	var statements []keyblob.Statement
	var refused error
	for _, grant := range a.Grants {
		statement, err := verifyGrant(grant.Grant, verifier, config.InstanceID, a.Time)
		switch {
		case err == nil && !grant.inTime(clock.Uptime()):
			refused = errors.Join(refused, fmt.Errorf("grant %q is over, or would live too long", grant.RequestID))
		case err != nil:
			refused = errors.Join(refused, fmt.Errorf("grant %q: %w", grant.RequestID, err))
		case statement.OSUser != k.User:
			refused = errors.Join(refused, fmt.Errorf("grant %q is for the user %q", grant.RequestID, statement.OSUser))
		case matches(sshkey.Fingerprint(statement.PublicKey), k.Fingerprint):
			statements = append(statements, statement)
		}
	}
	return statements, refused
}

// Syslog writes a line to the system's log, facility authpriv, as sshd does. Without a log it does nothing.
func Syslog(line string) {
	conn, err := net.Dial("unixgram", "/dev/log")
	if err != nil {
		return
	}
	defer conn.Close()
	const authpriv, info = 10, 6
	conn.SetWriteDeadline(time.Now().Add(10 * time.Millisecond))
	fmt.Fprintf(conn, "<%d>sallyport-host[%d]: %s", authpriv<<3|info, os.Getpid(), line)
}
