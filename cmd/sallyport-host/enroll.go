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

// maxTokenInput is how much of standard input is read for a token, in bytes.
const maxTokenInput = 4096

type enrollCommand struct {
	enrollment
	Token   string       `arg:"" optional:"" help:"The token from 'sallyport host-token', or '-' (see below)."`
	Address []netip.Addr `help:"Address that people use (default: those sshd listens on). Repeatable." placeholder:"IP"`

	SSHDConfig    string `help:"The sshd's configuration (default: the running sshd's)." type:"path" placeholder:"FILE"`
	SSHDPIDFile   string `name:"sshd-pid-file" help:"Its PID file, if not as configured." type:"path" placeholder:"FILE"`
	Port          int    `help:"The port to report, if it is not the one sshd listens on." placeholder:"PORT"`
	KeysUser      string `help:"The user sshd runs the keys helper as (default: see below)." placeholder:"USER"`
	Service       string `help:"How to run the agent (see below)." enum:"auto,systemd,sysv,detached,none" default:"auto"`
	NoService     bool   `help:"You run the agent yourself: the same as --service none."`
	Repair        bool   `help:"Restore what the enrollment has lost: helper, service, sshd's lines. Needs no token."`
	SkipTestLogin bool   `help:"Go on if there is no user to try a login with."`
	Output        string `help:"Result as text or json; progress goes to standard error." enum:"text,json" default:"text"`
}

// Help returns the part of the command's help before its flags.
func (enrollCommand) Help() string {
	return `Starts the agent, and has sshd ask it for keys. Nobody is locked out: sshd's new configuration is checked and
tried by a real login before the running sshd loads it, and after any error everything is undone. An
AuthorizedKeysCommand that is there already is kept and asked too.

    sallyport host-token > token          where the control plane runs
    sallyport-host enroll - < token       on the machine, as root

Other users of this machine can see a command's arguments: give the token on standard input, or in SALLYPORT_HOST_TOKEN.

--service auto is the first that the machine has of systemd, an init script (sysv), and a process of its own, which does
not come back after a boot (detached). With none you run the agent yourself.

Without --keys-user, the user of the AuthorizedKeysCommand that is there stays; else a system user 'sallyport' is made.

'sallyport-host unenroll' leaves no trace; 'sallyport-host enroll --repair' restores what was lost since.`
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

// repair restores what the present enrollment has lost.
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
	fmt.Printf("\nThis machine is %s in %s (%s).\nConnect: sallyport ssh %s\n",
		result.InstanceID, result.Region, result.Server, result.InstanceID)
	return nil
}

// token returns the token from the argument, the environment or standard input.
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
	return "", errors.New("there is no token: make one with `sallyport host-token` where the control plane runs, " +
		"and give it with - on standard input or in SALLYPORT_HOST_TOKEN")
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

// plain reduces an error to its message, which includes the cause where that helps.
func plain(err error) error {
	var f *fault.Error
	if errors.As(err, &f) {
		return errors.New(strings.TrimSpace(f.Message))
	}
	return err
}
