// Command sallyport-keys prints the public keys that let a user in now. sshd runs it as its AuthorizedKeysCommand:
//
//	sallyport-keys SOCKET USER [FINGERPRINT] [-- COMMAND …]
//
// SOCKET is the agent's, USER and FINGERPRINT are sshd's %u and %f. COMMAND is another AuthorizedKeysCommand with its
// arguments, which takes this one's place where the key is none of ours. sallyport-host enroll installs the program and
// sets it up.
package main

import (
	"os"
	"syscall"

	"github.com/sallyport/sallyport/internal/clock"
	"github.com/sallyport/sallyport/internal/host/keys"
)

// The exit status is 0, as sshd ignores the keys of a command that fails. If another command took over, it is that
// command's.
func main() {
	helper := keys.Parse(os.Args[1:])
	helper.Uptime, helper.Out, helper.Log = clock.Uptime, os.Stdout, log
	if next := helper.Run(); len(next) > 0 {
		err := syscall.Exec(next[0], next, os.Environ())
		log("error: " + next[0] + ": " + err.Error())
	}
}

func log(line string) { keys.Syslog("sallyport-keys", line) }
