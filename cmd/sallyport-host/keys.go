package main

import (
	"bufio"
	"os"
	"strings"

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
// milliseconds. The exit status is always 0, as sshd throws away the keys of a command that fails.
func keysMain(args []string) {
	keys := host.Keys{Directory: host.DefaultDirectory, Log: host.Syslog}
	var own []string
	for i := 0; i < len(args); i++ {
		first := len(own) == 0 // options come before the user, who may be called anything
		if args[i] == "--" {
			keys.Chain = args[i+1:]
			break
		}
		if directory, ok := strings.CutPrefix(args[i], "--directory="); ok && first {
			keys.Directory = directory
		} else if args[i] == "--directory" && first && i+1 < len(args) {
			i++
			keys.Directory = args[i]
		} else {
			own = append(own, args[i])
		}
	}
	if len(own) > 0 {
		keys.User = own[0]
	}
	if len(own) > 1 {
		keys.Fingerprint = own[1]
	}
	out := bufio.NewWriter(os.Stdout)
	defer out.Flush()
	keys.Out = out
	keys.Run()
}
