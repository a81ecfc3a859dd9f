package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/sallyport/sallyport/internal/awsprofile"
	"github.com/sallyport/sallyport/internal/daemon"
	"github.com/sallyport/sallyport/internal/host/enroll"
)

type downCommand struct {
	Purge bool `help:"Remove the data, the host's enrollment and the AWS profile too."`
}

// Help returns the text of sallyport down --help.
func (downCommand) Help() string {
	return `Stops the agent, the private SSH server with its sessions, and the control plane that sallyport up started, and
makes sure that they are gone. The data stays, and sallyport up goes on with it; --purge removes it.

  sallyport down
  sallyport down --purge`
}

// stopTime bounds the time in which one program must end.
const stopTime = 2 * time.Minute

func (c downCommand) Run(ctx context.Context, term terminal) error {
	directory, err := findUpDirectory()
	if err != nil {
		return err
	}
	if _, err := os.Stat(string(directory)); errors.Is(err, fs.ErrNotExist) {
		fmt.Fprintln(term.out, "Nothing to stop: sallyport up was not run here.")
		return nil
	}
	unlock, err := directory.lock()
	if err != nil {
		return err
	}
	defer unlock()
	steps := progress{out: term.out}
	if os.Geteuid() == 0 {
		if err := steps.step("Agent", func() (string, error) { return stopAgent(ctx, directory) }); err != nil {
			return err
		}
		server := privateSSHD{directory: directory.sshd(), program: sshdProgram}
		stop := func() (string, error) { return stopDaemon(ctx, server.daemon()) }
		if err := steps.step("Private SSH server", stop); err != nil {
			return err
		}
	}
	stop := func() (string, error) { return stopDaemon(ctx, directory.controlPlane(0)) }
	if err := steps.step("Control plane", stop); err != nil {
		return err
	}
	if !c.Purge {
		fmt.Fprintf(term.out, "Nothing runs any more. The data is kept in %s; remove it with: %s down --purge\n",
			directory, directory.shortName())
		return nil
	}
	return steps.step("Data and profile", func() (string, error) { return purge(directory) })
}

func stopAgent(ctx context.Context, directory upDirectory) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, stopTime)
	defer cancel()
	return stopped(enroll.StopAgent(ctx, directory.host()))
}

func stopDaemon(ctx context.Context, d daemon.Daemon) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, stopTime)
	defer cancel()
	return stopped(d.Stop(ctx))
}

// stopped describes the result of stopping a program.
func stopped(ran bool, err error) (string, error) {
	switch {
	case err != nil:
		return "", err
	case !ran:
		return "did not run", nil
	}
	return "stopped", nil
}

// purge removes everything that `up` made. A profile of the same name that belongs to another control plane stays.
func purge(directory upDirectory) (string, error) {
	note := "removed"
	files := awsprofile.FromEnvironment()
	if there, ok := files.Read(defaultProfile); ok {
		ours, err := readCredentials(directory.data())
		if err != nil || there.AccessKeyID != ours.AccessKeyID {
			note = "removed, but for the AWS profile " + defaultProfile + ", which is another's"
		} else if err := files.Remove(defaultProfile); err != nil {
			return "", err
		}
	}
	if err := os.RemoveAll(string(directory)); err != nil {
		return "", err
	}
	if directory == rootUpDirectory {
		os.Remove(filepath.Dir(string(directory))) // fails if others use it
	}
	return note, nil
}
