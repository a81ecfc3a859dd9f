package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/sallyport/sallyport/internal/durable"
)

// The programs that `up` needs, with the Debian packages that have them.
const (
	sshdProgram   = "/usr/sbin/sshd"
	policyProgram = "/usr/sbin/policy-rc.d" // asked by Debian's packages before they start a service
)

// missingPackages returns the Debian packages that have to be installed, wholly or to the end.
func missingPackages() []string {
	if packages := unfinished(); packages != nil {
		return packages
	}
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

// policyMark begins the line of our own policy-rc.d that names the packages. The file is the record of an installation
// under way, too: by it one that was cut off is found, and finished.
const policyMark = "# Written by sallyport up, while it installs: "

// unfinished returns the packages of an installation of ours that was cut off.
func unfinished() []string {
	text, err := os.ReadFile(policyProgram)
	if err != nil {
		return nil
	}
	for line := range strings.Lines(string(text)) {
		if packages, ok := strings.CutPrefix(line, policyMark); ok {
			return strings.Fields(packages)
		}
	}
	return nil
}

// install installs Debian packages. A service that comes with one is neither started nor enabled: a machine that
// had no SSH server on port 22 shall not get one by trying this out. It is not to be interrupted, and a Ctrl-C at the
// terminal does not reach the programs it runs.
func install(packages []string) error {
	if _, err := exec.LookPath("apt-get"); err != nil {
		return fmt.Errorf("please install what Debian calls %s", strings.Join(packages, " and "))
	}
	resumed := unfinished() != nil
	allowServices, err := forbidServices(packages)
	if err != nil {
		return err
	}
	err = runAPT(packages, resumed)
	if _, statErr := os.Stat(sshdProgram); statErr == nil && slices.Contains(packages, "openssh-server") {
		if err == nil {
			err = disableSSH()
		}
		if err != nil {
			return fmt.Errorf("%w\nRun this again to finish it: until then no package on this machine starts a service (%s)", err, policyProgram)
		}
	}
	return errors.Join(err, allowServices())
}

// runAPT installs the packages. What was cut off before may still be under way.
func runAPT(packages []string, resumed bool) error {
	if resumed {
		if err := awaitDpkg(); err != nil {
			return err
		}
		if _, err := runUndisturbed("dpkg", "--configure", "-a"); err != nil {
			return err
		}
	}
	update, err := runUndisturbed("apt-get", "update", "-qq")
	if err != nil {
		return err
	}
	if _, err := runUndisturbed("apt-get", append([]string{"install", "-y", "-qq", "--no-install-recommends"}, packages...)...); err != nil {
		return fmt.Errorf("%w\n%s", err, bytes.TrimSpace(update)) // apt-get update succeeds, and warns, where it reaches nobody
	}
	return nil
}

// awaitDpkg waits until nobody has dpkg's lock, a minute at most.
func awaitDpkg() error {
	file, err := os.OpenFile("/var/lib/dpkg/lock-frontend", os.O_RDWR|os.O_CREATE, 0o640)
	if err != nil {
		return err
	}
	defer file.Close() // which gives the lock back
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(200 * time.Millisecond) {
		err := syscall.FcntlFlock(file.Fd(), syscall.F_SETLK, &syscall.Flock_t{Type: syscall.F_WRLCK})
		if err == nil || time.Now().After(deadline) {
			return err
		}
	}
}

// forbidServices puts a policy-rc.d into its place that lets no service start. One that is there already is somebody's
// own, and stays.
func forbidServices(packages []string) (allow func() error, err error) {
	if _, err := os.Lstat(policyProgram); err == nil && unfinished() == nil {
		return func() error { return nil }, nil
	}
	text := "#!/bin/sh\n" + policyMark + strings.Join(packages, " ") + "\nexit 101\n"
	if err := durable.WriteFile(policyProgram, []byte(text), 0o755); err != nil {
		return nil, err
	}
	return func() error { return os.Remove(policyProgram) }, nil
}

// runUndisturbed runs a program in a process group of its own and returns what it says.
func runUndisturbed(name string, args ...string) (output []byte, err error) {
	command := exec.Command(name, args...)
	command.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if output, err = command.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%s %s: %w\n%s", name, args[0], err, bytes.TrimSpace(output))
	}
	return output, nil
}

// disableSSH keeps the SSH service that we installed from starting at the next boot.
func disableSSH() error {
	for _, way := range [][]string{{"systemctl", "disable", "--quiet", "ssh.service"}, {"update-rc.d", "ssh", "disable"}} {
		if _, err := exec.LookPath(way[0]); err == nil {
			_, err := runUndisturbed(way[0], way[1:]...)
			return err
		}
	}
	return nil
}
