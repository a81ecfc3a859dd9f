// Package keys is the keys helper, which sshd runs as its AuthorizedKeysCommand, and what the helper and the agent say
// to each other.
//
// sshd starts the helper twice for each login and waits for it. A run takes about as long as loading and initializing
// what the program links. That is why cmd/sallyport-keys is a program of its own, and why this package imports so
// little: no net, no encoding, no crypto. Hence the helper verifies no signature. The agent has verified what it hands
// out; the helper makes sure that it is the agent that answers.
package keys

import (
	"errors"
	"io"
	"strconv"
	"syscall"
	"time"

	"github.com/sallyport/sallyport/internal/host/safepath"
)

// Lifetime is how long a key may let its user in at most. It is keyblob.Lifetime.
const Lifetime = time.Minute

// Helper is one run of the keys helper: it prints the public keys that let the user in now. The zero AgentUser is root.
type Helper struct {
	Socket string // of the agent
	Question
	Chain     []string // a command that was there before ours, with its arguments; empty for none
	AgentUser uint32   // the user id that the agent must have; another's answer is not believed
	Uptime    func() time.Duration
	Out       io.Writer
	Log       func(line string)
}

// Parse reads the helper's arguments: SOCKET USER [FINGERPRINT] [-- COMMAND …]. There are no options, since the user
// may be called anything, also as an option is.
func Parse(args []string) Helper {
	var h Helper
	if len(args) > 0 {
		h.Socket, args = args[0], args[1:]
	}
	if len(args) > 0 {
		h.User, args = args[0], args[1:]
	}
	for i, arg := range args {
		if arg == "--" {
			h.Chain = args[i+1:]
			break
		}
		if i == 0 {
			h.Fingerprint = arg
		}
	}
	return h
}

// Run asks the agent, which takes two seconds at most. Where the offered key is not one of ours it returns the command of
// the Chain, which is to take this process's place: so sshd has its output, its exit status and its time as if it ran
// the command itself. Otherwise, and where the command is not fit to run, it returns nil. Whatever fails is logged and
// has a result, as sshd throws the output away unless the exit status is 0.
func (h Helper) Run() (next []string) {
	lines, err := h.granted()
	if err != nil {
		h.Log("error: no pushed keys for " + strconv.Quote(h.User) + ": " + err.Error())
	}
	if len(lines) > 0 {
		if _, err := h.Out.Write(lines); err != nil {
			return nil
		}
	}
	if len(h.Chain) == 0 || h.Fingerprint != "" && len(lines) > 0 {
		return nil // of the same key another command can say nothing that sshd still looks at
	}
	// sshd, which would have checked the command's path before each run, only sees ours.
	if err := safepath.Check(h.Chain[0]); err != nil {
		h.Log("error: " + h.Chain[0] + ": " + err.Error())
		return nil
	}
	return h.Chain
}

// granted returns the lines of the keys that the agent hands out. That no agent runs is no error: it would be logged at
// every login.
func (h Helper) granted() (lines []byte, err error) {
	answer, err := Ask(h.Socket, h.AgentUser, h.Question)
	if err == syscall.ENOENT || err == syscall.ECONNREFUSED {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	for _, key := range answer {
		if !key.inTime(h.Uptime()) {
			return nil, errors.New("the agent hands out a key that is over, or would live too long")
		}
		lines = append(append(lines, key.Line...), '\n')
	}
	return lines, nil
}

// inTime reports whether the key has not ended, and ends no later than one would that is pushed now.
func (k Key) inTime(uptime time.Duration) bool { return uptime < k.Ends && k.Ends-uptime <= Lifetime }
