package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// openSession demonstrates push, ssh and trail.
func (u *up) openSession() error {
	const script = `echo "    I am $(id -un) on $(uname -n), let in by a key that lives 60 seconds."; ` +
		`echo "    SSH_CONNECTION=$SSH_CONNECTION"`
	fmt.Fprintf(u.term.out, "\n$ sallyport ssh %s\n", upHostName)
	u.useOnlyOurProfile()
	began := time.Now()
	session := sshCommand{
		connection: connection{Profile: defaultProfile}, User: upLoginUser,
		Args: []string{"-T", u.instance, "--", script},
	}
	term := terminal{in: strings.NewReader(""), out: u.term.out, err: u.term.err}
	if err := session.Run(context.Background(), term); err != nil {
		return fmt.Errorf("open a session: %w", err)
	}
	fmt.Fprintf(u.term.out, "  Key made, pushed, used and gone in %.1f s.\n", time.Since(began).Seconds())
	return nil
}

// useOnlyOurProfile removes the variables that take precedence over the profile.
func (u *up) useOnlyOurProfile() {
	for _, name := range []string{
		"AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "AWS_CA_BUNDLE",
	} {
		os.Unsetenv(name)
	}
}

func (u *up) sayNext() {
	sallyportCommand := u.directory.shortName()
	fmt.Fprintf(u.term.out, `
Try next, as root:
  %[1]s ssh %[2]s    # a shell there
  %[1]s hosts               # your machines
  %[1]s trail               # who did what
  %[1]s host-token --help   # enroll another machine
  %[1]s down                # stop it all
And any AWS client works:
  aws --profile sallyport ec2 describe-instances
  aws --profile sallyport --endpoint-url %[3]s ec2 describe-instances    # aws older than 2.13, as Debian 12's
`, sallyportCommand, upHostName, u.endpoint())
}

// shortName returns the shortest way to call this program from the working directory.
func (d upDirectory) shortName() string {
	if here, err := os.Getwd(); err == nil {
		if self, err := os.Executable(); err == nil {
			if relative, err := filepath.Rel(here, self); err == nil && !strings.HasPrefix(relative, "..") {
				if !strings.Contains(relative, "/") {
					return "./" + relative
				}
				return relative
			}
		}
	}
	return d.program()
}

func (u *up) sayWithoutRoot() {
	fmt.Fprintf(u.term.out, `
The control plane runs. Without root these are not possible, and were not done:
  - a private SSH server: sshd started by you could log in nobody but you
  - its enrollment as a host: sshd asks only programs that belong to root
Run this as root for both, or enroll a machine where you are root:
  %[1]s host-token --name web-1
And any AWS client works:
  aws --profile sallyport sts get-caller-identity
  aws --profile sallyport --endpoint-url %[2]s sts get-caller-identity    # aws older than 2.13, as Debian 12's
Stop it with: %[1]s down
`, u.directory.shortName(), u.endpoint())
}
