package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/sallyport/sallyport/internal/host"
	"github.com/sallyport/sallyport/internal/host/enroll"
)

type unenrollCommand struct {
	enrollment
	Dismissed bool   `help:"The control plane has ended the enrollment: do not mention the instance." hidden:""`
	Output    string `help:"Result as text or json; progress goes to standard error." enum:"text,json" default:"text"`
}

// Help returns the part of the command's help before its flags.
func (unenrollCommand) Help() string {
	return `Undoes everything that enroll did: sshd's configuration, the service, the user, the files. It needs no control
plane.

Without access to the machine, end its enrollment with: aws ec2 terminate-instances --instance-ids ID`
}

func (c unenrollCommand) Run(ctx context.Context) error {
	config, configErr := host.Load(c.Directory)
	progress := io.Writer(os.Stderr)
	if c.Dismissed {
		progress = io.Discard
	}
	if err := enroll.Unenroll(ctx, c.Directory, showProgress(progress)); err != nil {
		return plain(err)
	}
	if configErr != nil && !errors.Is(configErr, host.ErrNotEnrolled) {
		fmt.Fprintln(os.Stderr, "The enrollment's configuration could not be read:", configErr)
	}
	switch {
	case c.Output == "json":
		return printJSON(os.Stdout, map[string]string{"instanceId": config.InstanceID})
	case c.Dismissed || configErr != nil:
		return nil
	}
	fmt.Printf("This machine is un-enrolled. %s still lists it: aws ec2 terminate-instances --instance-ids %s\n",
		config.Server, config.InstanceID)
	return nil
}
