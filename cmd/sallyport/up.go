package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/sallyport/sallyport/internal/awsapi/sallyport"
	"github.com/sallyport/sallyport/internal/host"
	"github.com/sallyport/sallyport/internal/host/enroll"
)

type upCommand struct {
	NoSession bool `help:"Do not open the SSH session at the end."`
}

// Help is shown by sallyport up --help.
func (upCommand) Help() string {
	return `As root on Debian: installs OpenSSH if it is missing, starts a control plane and a private SSH server on loopback, enrolls
that server as the first host, writes the AWS profile sallyport, and opens an SSH session with a key that lives 60 seconds.
The system's own sshd and its configuration are not touched. Doing it again goes on with what is there.

Without root: starts the control plane and writes the profile; a private SSH server cannot log anybody in then.

Everything is under /var/lib/sallyport/up, or ~/.local/share/sallyport without root. Stop it with: sallyport down`
}

// The first ports that are tried.
const (
	firstPort    = 7474
	firstSSHPort = 2222
)

// The host that up enrolls.
const (
	upHostName  = "private-sshd"
	upLoginUser = "root"
	upKeysUser  = "nobody" // a user every machine has, so that none must be made
)

// upTime bounds waiting for something that was just started.
const upTime = 30 * time.Second

// up is one run of the command.
type up struct {
	directory upDirectory
	state     upState
	steps     progress
	term      terminal
	renewed   bool    // the programs changed since they were started
	profile   profile // of the root user
	instance  string
}

func (c upCommand) Run(ctx context.Context, term terminal) error {
	directory, err := findUpDirectory()
	if err != nil {
		return err
	}
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
	fmt.Fprintf(term.out, "Sallyport %s in %s\n", version, directory)
	for _, s := range steps {
		if err := u.steps.step(s.name, func() (string, error) { return s.do(ctx) }); err != nil {
			return err
		}
	}
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

// copyPrograms puts both programs where only root can write, which is what sshd demands of its helpers.
func (u *up) copyPrograms(context.Context) (string, error) {
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	if self, err = filepath.EvalSymlinks(self); err != nil {
		return "", err
	}
	for path, mode := range map[string]os.FileMode{string(u.directory): 0o755, u.directory.path("bin"): 0o755} {
		if err := os.MkdirAll(path, mode); err != nil {
			return "", err
		}
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

func (u *up) installOpenSSH(context.Context) (string, error) {
	missing := missingPackages()
	if len(missing) == 0 {
		return "there", nil
	}
	u.steps.detail("installing " + strings.Join(missing, " and ") + ", its service neither started nor enabled")
	return "installed", install(missing)
}

func (u *up) startControlPlane(ctx context.Context) (string, error) {
	running := u.directory.controlPlane(u.state.Port)
	note := "started"
	if _, ok := running.running(); ok {
		if !u.renewed && u.healthy(ctx) == nil {
			return "runs already on " + u.endpoint(), nil
		}
		if _, err := running.stop(); err != nil {
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
	process, err := started.start()
	if err != nil {
		return "", err
	}
	err = await(ctx, func() error {
		if !process.alive() {
			return errStopped
		}
		return u.healthy(ctx)
	})
	if err != nil {
		return "", fmt.Errorf("it does not answer on %s: %w\n%s", u.endpoint(), err, tail(started.log()))
	}
	return note + " on " + u.endpoint(), nil
}

func (u *up) endpoint() string { return "http://" + u.address() }

func (u *up) address() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(u.state.Port)) }

func (u *up) healthy(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
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
		return fmt.Errorf("health check: %s", response.Status)
	}
	return nil
}

func (u *up) writeProfile(context.Context) (string, error) {
	p, err := readCredentials(u.directory.data())
	if err != nil {
		return "", err
	}
	u.profile = p
	files := profileFilesFromEnvironment()
	changed, err := writeProfile(files, defaultProfile, p)
	if err != nil {
		return "", err
	}
	note := fmt.Sprintf("%q in %s", defaultProfile, filepath.Dir(files.Config))
	if !changed {
		note += ", up to date"
	}
	return note, nil
}

func (u *up) server() privateSSHD {
	return privateSSHD{directory: u.directory.sshd(), port: u.state.SSHPort, program: sshdProgram}
}

func (u *up) startSSHD(context.Context) (string, error) {
	if _, ok := u.server().daemon().running(); ok {
		return fmt.Sprintf("runs already on 127.0.0.1:%d", u.state.SSHPort), nil
	}
	port, err := freePort(u.state.SSHPort, firstSSHPort)
	if err != nil {
		return "", err
	}
	u.state.SSHPort = port
	if err := u.directory.writeState(u.state); err != nil {
		return "", err
	}
	if err := u.server().prepare(); err != nil {
		return "", err
	}
	return fmt.Sprintf("started on 127.0.0.1:%d", port), u.server().start()
}

// enrollHost enrolls the private server, or, if it was enrolled before, starts its agent again.
func (u *up) enrollHost(ctx context.Context) (string, error) {
	config, err := host.Load(u.directory.host())
	if errors.Is(err, host.ErrNotEnrolled) {
		return u.enrollNow(ctx)
	}
	if err != nil {
		return "", err
	}
	u.instance = config.InstanceID
	known, err := describeHosts(ctx, u.client())
	if err != nil {
		return "", err
	}
	ours := slices.IndexFunc(known, func(h sallyport.Host) bool { return h.InstanceId == config.InstanceID && h.State != "terminated" })
	if ours < 0 {
		// Terminated while its agent was down, or enrolled with a control plane whose data is gone.
		u.steps.detail(config.InstanceID + " is not known any more: enrolling anew")
		if err := enroll.Unenroll(ctx, u.directory.host(), nil); err != nil {
			return "", err
		}
		return u.enrollNow(ctx)
	}
	return u.resumeAgent(ctx, config)
}

// resumeAgent makes an enrollment fit what has changed since: ports and programs.
func (u *up) resumeAgent(ctx context.Context, config host.Config) (string, error) {
	current := config
	current.Server, current.SSHPort = "https://"+u.address(), u.state.SSHPort
	renewed, err := copyProgram(u.directory.hostProgram(), u.directory.enrolledHost())
	if err != nil {
		return "", err
	}
	if renewed || current.Server != config.Server || current.SSHPort != config.SSHPort {
		if err := enroll.StopAgent(ctx, u.directory.host()); err != nil {
			return "", err
		}
		if err := current.Save(u.directory.host()); err != nil {
			return "", err
		}
	}
	return config.InstanceID + ", enrolled before", enroll.StartAgent(u.directory.host())
}

func (u *up) enrollNow(ctx context.Context) (string, error) {
	token, err := sallyport.NewFromConfig(u.client()).CreateHostToken(ctx, &sallyport.CreateHostTokenInput{Name: upHostName})
	if err != nil {
		return "", err
	}
	result, err := enroll.Run(ctx, enroll.Options{
		Token: token.Token, Directory: u.directory.host(), Program: u.directory.hostProgram(),
		SSHDConfig: u.server().config(), PIDFile: u.server().pidFile(), Port: u.state.SSHPort,
		Addresses: []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1})}, KeysUser: upKeysUser,
		Service: enroll.ServiceDetached, Now: time.Now, Random: rand.Reader,
	}, u.showEnrollment)
	u.instance = result.InstanceID
	return result.InstanceID + ", enrolled", err
}

func (u *up) showEnrollment(step enroll.Step) {
	switch step.Phase {
	case enroll.Done:
		u.steps.detail("ok   " + step.Text)
	case enroll.Failed:
		u.steps.detail("fail " + step.Text + ": " + step.Error)
	case enroll.Warned, enroll.Noted, enroll.Undone:
		u.steps.detail(string(step.Phase) + ": " + step.Text)
	}
}

// awaitLink waits until the host counts as running.
func (u *up) awaitLink(ctx context.Context) (string, error) {
	err := await(ctx, func() error {
		found, err := describeHost(ctx, u.client(), u.instance)
		if err == nil && !found.Linked {
			err = errors.New("the agent has not connected")
		}
		return err
	})
	if err != nil {
		return "", fmt.Errorf("%w\n%s", err, tail(filepath.Join(u.directory.host(), "agent.log")))
	}
	return "the agent is connected", nil
}

// client is the root user, whatever the environment says.
func (u *up) client() aws.Config {
	return aws.Config{
		Region: u.profile.Region, BaseEndpoint: aws.String(u.endpoint()),
		Credentials: credentials.NewStaticCredentialsProvider(u.profile.AccessKeyID, u.profile.Secret, ""),
	}
}

// openSession shows the whole of it: push, ssh, trail.
func (u *up) openSession() error {
	const script = `echo "    I am $(id -un) on $(uname -n), let in by a key that lives 60 seconds."; echo "    SSH_CONNECTION=$SSH_CONNECTION"`
	fmt.Fprintf(u.term.out, "\n$ sallyport ssh %s\n", upHostName)
	u.useOnlyOurProfile()
	began := time.Now()
	session := sshCommand{connection: connection{Profile: defaultProfile}, User: upLoginUser, Args: []string{"-T", u.instance, "--", script}}
	err := session.Run(context.Background(), terminal{in: strings.NewReader(""), out: u.term.out, err: u.term.err})
	var status exitStatus
	if err != nil && (!errors.As(err, &status) || status != 0) {
		return fmt.Errorf("open a session: %w", err)
	}
	fmt.Fprintf(u.term.out, "  Key made, pushed, used and gone in %.1f s.\n", time.Since(began).Seconds())
	return nil
}

// useOnlyOurProfile takes away what would win over the profile.
func (u *up) useOnlyOurProfile() {
	for _, name := range []string{"AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "AWS_CA_BUNDLE"} {
		os.Unsetenv(name)
	}
}

func (u *up) sayNext() {
	sallyportCommand := u.shortName()
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

// shortName is how to call this program from here.
func (u *up) shortName() string {
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
	return u.directory.program()
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
`, u.shortName(), u.endpoint())
}

var errStopped = errors.New("it ended at once")

// await tries until it works, something ended, or it has taken too long.
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
