package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"strings"
)

// The programs that `up` needs, with the Debian packages that have them.
const (
	sshdProgram   = "/usr/sbin/sshd"
	policyProgram = "/usr/sbin/policy-rc.d" // asked by Debian's packages before they start a service
)

// missingPackages returns the Debian packages that would have to be installed.
func missingPackages() []string {
	var missing []string
	if _, err := os.Stat(sshdProgram); err != nil {
		missing = append(missing, "openssh-server")
	}
	for _, program := range []string{"ssh", "ssh-keygen"} {
		if _, err := exec.LookPath(program); err != nil {
			return append(missing, "openssh-client")
		}
	}
	return missing
}

// install installs Debian packages. A service that comes with one is neither started nor enabled: a machine that
// had no SSH server on port 22 shall not get one by trying this out.
func install(packages []string) (err error) {
	if _, err := exec.LookPath("apt-get"); err != nil {
		return fmt.Errorf("please install what Debian calls %s", strings.Join(packages, " and "))
	}
	policy, err := os.OpenFile(policyProgram, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o755)
	switch {
	case err == nil: // else somebody has a policy already, which is theirs to keep
		defer func() { err = errors.Join(err, os.Remove(policyProgram)) }()
		_, err := policy.WriteString("#!/bin/sh\n# For the time of one installation by sallyport up.\nexit 101\n")
		if err := errors.Join(err, policy.Chmod(0o755), policy.Close()); err != nil {
			return err
		}
	case !errors.Is(err, fs.ErrExist):
		return err
	}
	for _, args := range [][]string{
		{"update", "-qq"},
		append([]string{"install", "-y", "-qq", "--no-install-recommends"}, packages...),
	} {
		command := exec.Command("apt-get", args...)
		command.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
		if out, err := command.CombinedOutput(); err != nil {
			return fmt.Errorf("apt-get %s: %w\n%s", args[0], err, bytes.TrimSpace(out))
		}
	}
	for _, name := range packages {
		if name == "openssh-server" {
			return disableSSH()
		}
	}
	return nil
}

// disableSSH keeps the SSH service that we installed from starting at the next boot.
func disableSSH() error {
	for _, way := range [][]string{{"systemctl", "disable", "--quiet", "ssh.service"}, {"update-rc.d", "ssh", "disable"}} {
		if _, err := exec.LookPath(way[0]); err != nil {
			continue
		}
		if out, err := exec.Command(way[0], way[1:]...).CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w\n%s", strings.Join(way, " "), err, bytes.TrimSpace(out))
		}
		return nil
	}
	return nil
}
