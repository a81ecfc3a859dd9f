package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/sallyport/sallyport/internal/fault"
	"github.com/sallyport/sallyport/internal/host/enroll"
)

// maxTokenInput bounds what is read from standard input for a token, in bytes.
const maxTokenInput = 4096

type enrollCommand struct {
	enrollment
	Token   string       `arg:"" optional:"" help:"The token, from 'sallyport host-token'. Other users of this machine see arguments: better give it in SALLYPORT_HOST_TOKEN or, with '-', on standard input."`
	Address []netip.Addr `help:"An address to report, where people reach this machine, instead of those that sshd listens on. May be repeated." placeholder:"IP"`

	SSHDConfig    string `name:"sshd-config" help:"The configuration of the sshd to set up, if it is not the one that runs." type:"path" placeholder:"FILE"`
	SSHDPIDFile   string `name:"sshd-pid-file" help:"The PID file of that sshd, if its configuration does not say." type:"path" placeholder:"FILE"`
	Port          int    `help:"The port to report, if it is not the one sshd listens on." placeholder:"PORT"`
	KeysUser      string `help:"The user sshd runs the keys helper as. Without it a system user 'sallyport' is made, or that of an AuthorizedKeysCommand already there is kept." placeholder:"USER"`
	Service       string `help:"How the agent is kept running: by systemd, by an init script (sysv), as a process of its own that does not come back after a boot (detached), or not (none). ${default}: the first that the machine has." enum:"auto,systemd,sysv,detached,none" default:"auto"`
	NoService     bool   `help:"You run the agent yourself: the same as --service none."`
	Repair        bool   `help:"Put back what this machine's enrollment has lost: the helper, the service, sshd's lines. It needs no token."`
	SkipTestLogin bool   `help:"Go on if there is no user to try a login with."`
	Output        string `help:"How the result is printed: text or json. Progress goes to standard error." enum:"text,json" default:"text"`
}

// Help is what the command's --help says after the flags' line.
func (enrollCommand) Help() string {
	return `Starts the agent, and has sshd ask it for keys. Nobody is locked out: sshd's new configuration is checked and tried by a real login before the running sshd hears of it, and anything that goes wrong is taken back. An AuthorizedKeysCommand that is there already is kept and asked too.

    sallyport host-token > token          where the control plane runs
    sallyport-host enroll - < token       on the machine, as root

'sallyport-host unenroll' leaves no trace; 'sallyport-host enroll --repair' puts back what was lost since.`
}

func (c enrollCommand) Run(ctx context.Context) error {
	program, err := os.Executable()
	if err != nil {
		return err
	}
	if c.Repair {
		return c.repair(ctx, program)
	}
	token, err := c.token(os.Stdin)
	if err != nil {
		return err
	}
	service := enroll.Service(c.Service)
	if c.NoService {
		service = enroll.ServiceNone
	}
	result, err := enroll.Run(ctx, enroll.Options{
		Token: token, Directory: c.Directory, Program: program, Version: version,
		SSHDConfig: c.SSHDConfig, PIDFile: c.SSHDPIDFile, Port: c.Port, Addresses: c.Address,
		KeysUser: c.KeysUser, Service: service, SkipTestLogin: c.SkipTestLogin,
		Now: time.Now, Random: rand.Reader,
	}, showProgress(os.Stderr))
	if err != nil {
		return plain(err)
	}
	return c.print(result)
}

// repair mends the enrollment that is there.
func (c enrollCommand) repair(ctx context.Context, program string) error {
	if c.Token != "" {
		return errors.New("--repair goes on with the identity that this machine has: leave the token out")
	}
	result, err := enroll.Repair(ctx, enroll.Options{
		Directory: c.Directory, Program: program, Version: version, SkipTestLogin: c.SkipTestLogin,
		Now: time.Now, Random: rand.Reader,
	}, showProgress(os.Stderr))
	if err != nil {
		return plain(err)
	}
	return c.print(result)
}

func (c enrollCommand) print(result enroll.Result) error {
	if c.Output == "json" {
		return printJSON(os.Stdout, result)
	}
	fmt.Printf("\nThis machine is %s in %s (%s).\nConnect: sallyport ssh %s\n", result.InstanceID, result.Region, result.Server, result.InstanceID)
	return nil
}

// token finds the token in the argument, the environment or standard input.
func (c enrollCommand) token(stdin io.Reader) (string, error) {
	switch {
	case c.Token == "-":
		text, err := io.ReadAll(io.LimitReader(stdin, maxTokenInput))
		return string(text), err
	case c.Token != "":
		return c.Token, nil
	case os.Getenv("SALLYPORT_HOST_TOKEN") != "":
		return os.Getenv("SALLYPORT_HOST_TOKEN"), nil
	}
	return "", errors.New("there is no token: make one with `sallyport host-token` where the control plane runs, and give it with - on standard input or in SALLYPORT_HOST_TOKEN")
}

// showProgress prints a line for each step.
func showProgress(w io.Writer) enroll.Progress {
	return func(step enroll.Step) {
		switch step.Phase {
		case enroll.Began:
			fmt.Fprintf(w, "%s ... ", step.Text)
		case enroll.Done:
			fmt.Fprintln(w, "ok")
		case enroll.Failed:
			fmt.Fprintln(w, "failed")
		case enroll.Warned:
			fmt.Fprintf(w, "\n  Note: %s\n  ", step.Text)
		case enroll.Noted:
			fmt.Fprintf(w, "\n%s\n", step.Text)
		case enroll.Undone:
			fmt.Fprintf(w, "  undone: %s\n", step.Text)
		}
	}
}

func printJSON(w io.Writer, value any) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	return encoder.Encode(value)
}

// plain leaves of an error what a person can use: its messages hold their causes where these help.
func plain(err error) error {
	var f *fault.Error
	if errors.As(err, &f) {
		return errors.New(strings.TrimSpace(f.Message))
	}
	return err
}
