package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/sallyport/sallyport/internal/awsprofile"
)

type upCommand struct {
	NoSession bool `help:"Do not open the SSH session at the end."`
}

// Help returns the text of sallyport up --help.
func (upCommand) Help() string {
	return `As root on Debian: installs OpenSSH if it is missing, starts a control plane and a private SSH server on
loopback, enrolls that server as the first host, writes the AWS profile sallyport, and opens an SSH session with a key
that lives 60 seconds.
The system's own sshd and its configuration are not touched. Doing it again goes on with what is there.

Without root: starts the control plane and writes the profile; a private SSH server cannot log anybody in then.

Everything is under /var/lib/sallyport/up, or ~/.local/share/sallyport without root. Stop it with: sallyport down`
}

// The address at which everything that `up` starts listens.
const (
	loopback = "127.0.0.1"
	// The first ports to try.
	firstPort    = 7474
	firstSSHPort = 2222
)

// upTime bounds the wait for a program that was just started. It only ends what hangs: a machine may be busy.
const upTime = 3 * time.Minute

// up is the state of one run of the command.
type up struct {
	directory upDirectory
	state     upState
	steps     progress
	term      terminal
	renewed   bool               // the programs have changed since they were started
	profile   awsprofile.Profile // of the root user
	instance  string
}

func (c upCommand) Run(ctx context.Context, term terminal) error {
	directory, err := findUpDirectory()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(string(directory), 0o755); err != nil {
		return err
	}
	unlock, err := directory.lock()
	if err != nil {
		return err
	}
	defer unlock()
	u := &up{directory: directory, term: term, steps: progress{out: term.out}}
	if u.state, err = directory.readState(); err != nil {
		return err
	}
	type step struct {
		name string
		do   func(context.Context) (string, error)
	}
	root := os.Geteuid() == 0
	steps := []step{{"Programs", u.copyPrograms}}
	if root {
		steps = append(steps, step{"OpenSSH", u.installOpenSSH})
	}
	steps = append(steps, step{"Control plane", u.startControlPlane}, step{"AWS profile", u.writeProfile})
	if root {
		steps = append(steps, step{"Private SSH server", u.startSSHD}, step{"Host", u.enrollHost}, step{"Link", u.awaitLink})
	}
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	fmt.Fprintf(term.out, "Sallyport %s in %s\n", version, directory)
	for _, s := range steps {
		err := u.steps.step(s.name, func() (string, error) { return s.do(ctx) })
		if ctx.Err() != nil {
			return errors.Join(err, errInterrupted)
		}
		if err != nil {
			return err
		}
	}
	stop() // ssh handles signals during the session
	if !root {
		u.sayWithoutRoot()
		return nil
	}
	if !c.NoSession {
		if err := u.openSession(); err != nil {
			return err
		}
	}
	u.sayNext()
	return nil
}

// copyPrograms copies both programs to a path that only root can write, as sshd requires of its helpers.
func (u *up) copyPrograms(context.Context) (string, error) {
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	if self, err = filepath.EvalSymlinks(self); err != nil {
		return "", err
	}
	if err := os.MkdirAll(u.directory.path("bin"), 0o755); err != nil {
		return "", err
	}
	if self == u.directory.program() {
		return "in place", nil
	}
	pairs := map[string]string{self: u.directory.program()}
	if os.Geteuid() == 0 {
		pairs[filepath.Join(filepath.Dir(self), "sallyport-host")] = u.directory.hostProgram()
	}
	for from, to := range pairs {
		changed, err := copyProgram(from, to)
		if err != nil {
			return "", fmt.Errorf("%w (make build makes both programs)", err)
		}
		u.renewed = u.renewed || changed
	}
	if !u.renewed {
		return "up to date", nil
	}
	return "copied", nil
}

func (u *up) installOpenSSH(ctx context.Context) (string, error) {
	missing := missingPackages()
	if len(missing) == 0 {
		return "there", nil
	}
	u.steps.detail("installing " + strings.Join(missing, " and ") + ", its service neither started nor enabled")
	installed := make(chan error, 1)
	go func() { installed <- install(missing) }()
	select {
	case err := <-installed:
		return "installed", err
	case <-ctx.Done():
		u.steps.detail("interrupted: the installation ends first")
		return "installed", <-installed
	}
}

func (u *up) startControlPlane(ctx context.Context) (string, error) {
	running := u.directory.controlPlane(u.state.Port)
	note := "started"
	if _, ok := running.Running(); ok {
		if !u.renewed && u.healthy(ctx) == nil {
			return "runs already on " + u.endpoint(), nil
		}
		if _, err := running.Stop(ctx); err != nil {
			return "", err
		}
		note = "started again"
	}
	port, err := freePort(u.state.Port, firstPort)
	if err != nil {
		return "", err
	}
	u.state.Port = port
	if err := u.directory.writeState(u.state); err != nil {
		return "", err
	}
	started := u.directory.controlPlane(port)
	process, err := started.Start()
	if err != nil {
		return "", err
	}
	err = await(ctx, func() error {
		if !process.Alive() {
			return errStopped
		}
		return u.healthy(ctx)
	})
	if err != nil {
		return "", fmt.Errorf("it does not answer on %s: %w\n%s", u.endpoint(), err, started.Tail())
	}
	return note + " on " + u.endpoint(), nil
}

func (u *up) endpoint() string { return "http://" + u.address() }

func (u *up) address() string { return net.JoinHostPort(loopback, strconv.Itoa(u.state.Port)) }

func (u *up) healthy(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, u.endpoint()+"/healthz", nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("it cannot record anything (health check: %s)", response.Status)
	}
	return nil
}

func (u *up) writeProfile(context.Context) (string, error) {
	p, err := readCredentials(u.directory.data())
	if err != nil {
		return "", err
	}
	u.profile = p
	files := awsprofile.FromEnvironment()
	changed, err := writeProfile(files, defaultProfile, p)
	if err != nil {
		return "", fmt.Errorf("%w, and run this again", err)
	}
	note := fmt.Sprintf("%q in %s", defaultProfile, filepath.Dir(files.Config))
	if !changed {
		note += ", up to date"
	}
	return note, nil
}

var errInterrupted = errors.New("interrupted: run it again to go on, or sallyport down to stop what runs")

var errStopped = errors.New("it ended at once")

// await calls try until it succeeds, a program has ended, or upTime has passed.
func await(ctx context.Context, try func() error) error {
	ctx, cancel := context.WithTimeout(ctx, upTime)
	defer cancel()
	for {
		err := try()
		if err == nil || errors.Is(err, errStopped) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(50 * time.Millisecond):
		}
	}
}
