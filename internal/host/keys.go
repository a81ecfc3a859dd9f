package host

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"

	"github.com/sallyport/sallyport/internal/clock"
	"github.com/sallyport/sallyport/internal/host/sshd"
	"github.com/sallyport/sallyport/internal/keyblob"
	"github.com/sallyport/sallyport/internal/sshkey"
)

// The bounds of another AuthorizedKeysCommand that is asked too.
const (
	chainTimeout = 5 * time.Second
	foundTimeout = 300 * time.Millisecond // where it can add nothing: the offered key is one of ours
	maxChained   = 1 << 20                // bytes of output
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

// Run asks the agent and the chained command at the same time. Neither's failure or delay hides the other's
// keys. It takes at most a second for the one and five for the other.
func (k Keys) Run() {
	ctx, cancel := context.WithTimeout(context.Background(), chainTimeout)
	defer cancel()
	var chained []byte
	var waiting sync.WaitGroup
	if len(k.Chain) > 0 {
		waiting.Go(func() {
			var err error
			if chained, err = runChained(ctx, k.Chain); err != nil {
				k.Log(fmt.Sprintf("error: %s: %v", k.Chain[0], err))
			}
		})
	}
	statements, err := k.granted()
	if err != nil && !errors.Is(err, errNoAgent) {
		k.Log(fmt.Sprintf("error: no pushed keys for %q: %v", k.User, err))
	}
	for _, s := range statements {
		fmt.Fprintln(k.Out, s.PublicKey)
		k.Log(fmt.Sprintf("providing the SSH key with fingerprint %s for user %q, request %s, caller %s", sshkey.Fingerprint(s.PublicKey), k.User, s.RequestID, s.Caller))
	}
	if k.Fingerprint != "" && len(statements) > 0 {
		defer time.AfterFunc(foundTimeout, cancel).Stop()
	}
	waiting.Wait()
	k.Out.Write(chained)
}

// errNoAgent says that no agent runs, which is nothing to write home about for every login.
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

// runChained returns the command's output if it succeeds before the context ends. sshd, which would have checked the command's
// path before each run, only sees ours: the check is made here.
func runChained(ctx context.Context, command []string) ([]byte, error) {
	if err := sshd.CheckSafePath(command[0]); err != nil {
		return nil, err
	}
	var out bounded
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Stdout = &out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) } // its children too
	cmd.WaitDelay = 100 * time.Millisecond
	err := cmd.Run()
	switch {
	case ctx.Err() != nil:
		return nil, fmt.Errorf("no answer in time: %w", ctx.Err())
	case err != nil:
		return nil, err
	}
	if len(out) > 0 && out[len(out)-1] != '\n' {
		out = append(out, '\n')
	}
	return out, nil
}

// bounded refuses to hold more than maxChained.
type bounded []byte

func (b *bounded) Write(p []byte) (int, error) {
	if len(*b)+len(p) > maxChained {
		return 0, errors.New("the output is too long")
	}
	*b = append(*b, p...)
	return len(p), nil
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
