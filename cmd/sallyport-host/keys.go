package main

import (
	"bufio"
	"fmt"
	"os"
	"strings"
	"syscall"

	"github.com/sallyport/sallyport/internal/host"
)

// keysCommand only documents `keys`, which keysMain runs.
type keysCommand struct {
	enrollment
	User        string   `arg:"" help:"The user who logs in: sshd's %u."`
	Fingerprint string   `arg:"" optional:"" help:"The offered key's SHA-256 fingerprint: sshd's %f. All keys without it."`
	Command     []string `arg:"" optional:"" passthrough:"" help:"After --, another AuthorizedKeysCommand with its arguments, whose keys are printed too."`
}

// keysMain runs `keys` without the command line parser: sshd runs it twice for each login, and counts the
// milliseconds. The exit status is 0, as sshd throws away the keys of a command that fails, unless another command
// took over, whose own it is.
func keysMain(args []string) {
	out := bufio.NewWriter(os.Stdout)
	keys := parseKeys(args)
	keys.Out, keys.Log = out, host.Syslog
	next := keys.Run()
	if out.Flush() != nil || len(next) == 0 {
		return
	}
	err := syscall.Exec(next[0], next, os.Environ())
	keys.Log(fmt.Sprintf("error: %s: %v", next[0], err))
}

// parseKeys reads [--directory DIR] USER [FINGERPRINT] [-- COMMAND …]. What follows the directory is the user, who
// may be called anything: also as an option is.
func parseKeys(args []string) host.Keys {
	keys := host.Keys{Directory: host.DefaultDirectory}
	if len(args) > 1 && args[0] == "--directory" {
		keys.Directory, args = args[1], args[2:]
	} else if len(args) > 0 {
		if directory, ok := strings.CutPrefix(args[0], "--directory="); ok {
			keys.Directory, args = directory, args[1:]
		}
	}
	if len(args) > 0 {
		keys.User, args = args[0], args[1:]
	}
	for i, arg := range args {
		if arg == "--" {
			keys.Chain = args[i+1:]
			break
		}
		if i == 0 {
			keys.Fingerprint = arg
		}
	}
	return keys
}
