// Command sallyport is the control plane and its command line.
//
// `sallyport serve` runs the control plane. `up`, `down` and `configure` set one up on this machine. All other commands
// are clients that speak AWS's own API through the usual AWS profile or environment. They work with a real AWS account
// too, wherever AWS has the operation.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/alecthomas/kong"
)

// version is set by the linker (see Makefile).
var version = "devel"

type commandLine struct {
	Ssh       sshCommand       `cmd:"" help:"Open an SSH session with a key that lives 60 seconds."`
	Hosts     hostsCommand     `cmd:"" help:"List the hosts: state, address, users."`
	HostToken hostTokenCommand `cmd:"" help:"Make a one-time token with which a machine enrolls itself."`
	Trail     trailCommand     `cmd:"" help:"Show who did what, from where, and how it ended."`
	Configure configureCommand `cmd:"" help:"Write an AWS profile for a control plane on this machine."`
	Serve     serveCommand     `cmd:"" help:"Run the control plane in the foreground."`
	Up        upCommand        `cmd:"" help:"Set up everything on this machine and open a first session."`
	Down      downCommand      `cmd:"" help:"Stop what up started."`
	Version   versionCommand   `cmd:"" help:"Print the version."`
}

// terminal holds the streams of a command. Results go to out, progress and errors to err.
type terminal struct {
	in       io.Reader
	out, err io.Writer
}

func isTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// exitStatus is an error that only sets the exit status: the command, or a program it ran, has already printed the
// reason.
type exitStatus int

func (e exitStatus) Error() string { return fmt.Sprintf("exit status %d", int(e)) }

// failure is an error with its own exit status. That of other errors is 1.
type failure struct {
	error
	status int
}

func (f failure) Unwrap() error { return f.error }

func main() { os.Exit(run(os.Args[1:], terminal{in: os.Stdin, out: os.Stdout, err: os.Stderr})) }

func run(args []string, term terminal) (status int) {
	parser, err := newParser(term)
	if err != nil {
		fmt.Fprintln(term.err, "sallyport:", err)
		return 2
	}
	defer func() {
		switch p := recover().(type) {
		case nil:
		case exitStatus: // --help was shown
			status = int(p)
		default:
			panic(p)
		}
	}()
	if len(args) == 0 {
		args = []string{"--help"}
	}
	command, err := parser.Parse(args)
	if err != nil {
		fmt.Fprintf(term.err, "sallyport: %v\nTry: sallyport --help\n", err)
		return 2
	}
	err = command.Run()
	var code exitStatus
	switch {
	case err == nil:
		return 0
	case errors.As(err, &code):
		return int(code)
	}
	fmt.Fprintln(term.err, "sallyport:", visibleLines(explain(err)))
	var failed failure
	if errors.As(err, &failed) {
		return failed.status
	}
	return 1
}

func newParser(term terminal) (*kong.Kong, error) {
	return kong.New(&commandLine{},
		kong.Name("sallyport"),
		kong.Description("SSH keys that live 60 seconds, for any Linux machine: "+
			"pushed by an API call that a policy allowed and a trail recorded."),
		kong.UsageOnError(),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 110}),
		kong.Writers(term.out, term.err),
		kong.Exit(func(code int) { panic(exitStatus(code)) }), // after --help
		kong.BindTo(context.Background(), (*context.Context)(nil)),
		kong.Bind(term),
	)
}
