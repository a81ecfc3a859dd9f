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

// The programs that `up` needs, and the Debian packages that contain them.
const (
	sshdProgram   = "/usr/sbin/sshd"
	policyProgram = "/usr/sbin/policy-rc.d" // Debian's packages run it before they start a service
)

// missingPackages returns the Debian packages to install, including those whose installation was interrupted.
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

// policyMark begins the line of our own policy-rc.d that names the packages. The file is also the record of an
// installation in progress: by it an interrupted one is found and finished.
const policyMark = "# Written by sallyport up, while it installs: "

// unfinished returns the packages of our interrupted installation.
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

// install installs Debian packages. It neither starts nor enables a service that comes with one: trying this out must
// not give a machine an SSH server on port 22. It must not be interrupted, so a Ctrl-C at the terminal does not reach
// the programs it runs.
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
			return fmt.Errorf("%w\nRun this again to finish it: until then no package on this machine starts a service (%s)",
				err, policyProgram)
		}
	}
	return errors.Join(err, allowServices())
}

// runAPT installs the packages. Programs of an interrupted installation may still be running.
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
	arguments := append([]string{"install", "-y", "-qq", "--no-install-recommends"}, packages...)
	if _, err := runUndisturbed("apt-get", arguments...); err != nil {
		return fmt.Errorf("%w\n%s", err, bytes.TrimSpace(update)) // without a network, apt-get update only warns
	}
	return nil
}

// awaitDpkg waits until no process holds dpkg's lock, a minute at most.
func awaitDpkg() error {
	file, err := os.OpenFile("/var/lib/dpkg/lock-frontend", os.O_RDWR|os.O_CREATE, 0o640)
	if err != nil {
		return err
	}
	defer file.Close() // releases the lock
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(200 * time.Millisecond) {
		err := syscall.FcntlFlock(file.Fd(), syscall.F_SETLK, &syscall.Flock_t{Type: syscall.F_WRLCK})
		if err == nil || time.Now().After(deadline) {
			return err
		}
	}
}

// forbidServices installs a policy-rc.d that lets no service start. An existing one, which is the operator's, stays.
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

// runUndisturbed runs a program in its own process group and returns its output.
func runUndisturbed(name string, args ...string) (output []byte, err error) {
	command := exec.Command(name, args...)
	command.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if output, err = command.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%s %s: %w\n%s", name, args[0], err, bytes.TrimSpace(output))
	}
	return output, nil
}

// disableSSH prevents the SSH service that we installed from starting at the next boot.
func disableSSH() error {
	for _, way := range [][]string{{"systemctl", "disable", "--quiet", "ssh.service"}, {"update-rc.d", "ssh", "disable"}} {
		if _, err := exec.LookPath(way[0]); err == nil {
			_, err := runUndisturbed(way[0], way[1:]...)
			return err
		}
	}
	return nil
}
