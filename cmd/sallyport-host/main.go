// Command sallyport-host runs on a machine that was enrolled with a Sallyport control plane.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"

	"github.com/sallyport/sallyport/internal/fault"
)

// version is set when a release is built.
var version = "dev"

// commands lists the program's commands, one file each.
type commands struct {
	Enroll   enrollCommand   `cmd:"" help:"Make this machine an instance."`
	Unenroll unenrollCommand `cmd:"" help:"Take this machine back, without a trace."`
	Status   statusCommand   `cmd:"" help:"Tell whether pushed keys work here, and why not."`

	Agent agentCommand `cmd:"" help:"Hold the link to the control plane until un-enrolled. The service runs this."`

	Version versionCommand `cmd:"" help:"Print the version."`
}

// enrollment has the flag that every command about an enrollment takes.
type enrollment struct {
	Directory string `help:"The enrollment's files (${default})." default:"/etc/sallyport" type:"path" placeholder:"DIR"`
}

type versionCommand struct{}

func (versionCommand) Run() error {
	fmt.Println("sallyport-host", version)
	return nil
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if len(os.Args) == 1 {
		os.Args = append(os.Args, "--help")
	}
	var cli commands
	parsed := kong.Parse(&cli,
		kong.Name("sallyport-host"),
		kong.Description("Lets people with permission into this machine by SSH keys that live 60 seconds.\n\n"+
			"Enroll it with a token from `sallyport host-token`."),
		kong.UsageOnError(),
		kong.BindTo(ctx, (*context.Context)(nil)),
	)
	if err := parsed.Run(); err != nil && !errors.Is(err, context.Canceled) {
		fmt.Fprintln(os.Stderr, "sallyport-host:", message(err))
		os.Exit(1)
	}
}

// message returns the text of an error with its cause, as the error is shown on the machine itself.
func message(err error) string {
	var f *fault.Error
	if errors.As(err, &f) {
		return f.Error()
	}
	return err.Error()
}
