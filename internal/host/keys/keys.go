// Package keys implements the keys helper, which sshd runs as its AuthorizedKeysCommand, and the protocol between the
// helper and the agent.
//
// sshd starts the helper twice for each login and waits for it. A run takes about as long as loading and initializing
// the code that the program links. Therefore cmd/sallyport-keys is a program of its own, and this package imports
// little: no net, no encoding, no crypto. As a consequence the helper verifies no signature. The agent has verified the
// keys that it hands out; the helper checks that it is the agent that answers.
package keys

import (
	"errors"
	"io"
	"strconv"
	"syscall"
	"time"

	"github.com/sallyport/sallyport/internal/host/safepath"
)

// Lifetime is the longest time for which a key may let its user in. It equals keyblob.Lifetime.
const Lifetime = time.Minute

// Helper is one run of the keys helper. It prints the public keys that let the user in now. The zero AgentUser is root.
type Helper struct {
	Socket string // of the agent
	Question
	Chain     []string // the command that was there before ours, with its arguments; empty for none
	AgentUser uint32   // the user id that the agent must have; answers of others are rejected
	Uptime    func() time.Duration
	Out       io.Writer
	Log       func(line string)
}

// Parse parses the helper's arguments: SOCKET USER [FINGERPRINT] [-- COMMAND …]. There are no options, since a user's
// name may look like one.
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

// Run asks the agent, which takes two seconds at most, and prints the keys. It returns the command of the Chain if the
// offered key is not one of ours. The caller executes that command in place of this process, so that sshd gets its
// output, exit status and time as if it ran the command itself. Otherwise, or if the command is unsafe to run, Run
// returns nil. Errors are logged and not returned, as sshd ignores the output unless the exit status is 0.
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
		return nil // sshd would ignore what another command prints about the same key
	}
	// sshd would check the command's path before each run, but it only sees ours.
	if err := safepath.Check(h.Chain[0]); err != nil {
		h.Log("error: " + h.Chain[0] + ": " + err.Error())
		return nil
	}
	return h.Chain
}

// granted returns the lines of the keys that the agent hands out. It is no error if no agent runs, as that would be
// logged at every login.
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

// inTime reports whether the key has not ended, and does not end later than a key that is pushed now.
func (k Key) inTime(uptime time.Duration) bool { return uptime < k.Ends && k.Ends-uptime <= Lifetime }
