package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/sallyport/sallyport/internal/host/enroll"
)

type statusCommand struct {
	enrollment
	Output string `help:"text or json." enum:"text,json" default:"text"`
}

// Help returns the part of the command's help before its flags.
func (statusCommand) Help() string {
	return `Tells whether this machine is enrolled, whether its agent is linked, and whether sshd asks it. The exit status
is 0 only if pushed keys work.

'sallyport-host enroll --repair' restores what an enrollment has lost.`
}

func (c statusCommand) Run(ctx context.Context) error {
	status, err := enroll.ReadStatus(ctx, c.Directory)
	if err != nil {
		return plain(err)
	}
	if c.Output == "json" {
		if err := printJSON(os.Stdout, status); err != nil {
			return err
		}
	} else {
		printStatus(status)
	}
	if !status.Healthy() {
		return errors.New("pushed keys do not work on this machine now")
	}
	return nil
}

func printStatus(status enroll.Status) {
	if status.InstanceID == "" {
		fmt.Printf("Not enrolled (%s).\n", status.Directory)
		return
	}
	fmt.Printf("Instance  %s in %s, account %s\n", status.InstanceID, status.Region, status.Account)
	fmt.Printf("Server    %s\n", status.Server)
	fmt.Printf("Agent     %s\n", status.Agent)
	if link := status.Link; link != nil {
		state := "not linked"
		if link.Linked {
			state = "linked"
		}
		fmt.Printf("Link      %s since %s\n", state, link.Since.Format(time.RFC3339))
		if link.Error != "" {
			fmt.Printf("          last error: %s\n", link.Error)
		}
	}
	fmt.Printf("sshd      %s\n", status.SSHD)
	if status.KeysCommand != "" {
		fmt.Printf("          AuthorizedKeysCommand %s\n", status.KeysCommand)
	}
	for _, exception := range status.NotFor {
		fmt.Printf("          not for %s\n", exception)
	}
	for _, problem := range status.Problems {
		fmt.Printf("Problem   %s\n", problem)
	}
	if !status.Enrolled {
		fmt.Println("Enrollment did not end: run enroll again, or unenroll.")
	}
}
