package enroll

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"strings"
	"time"

	"github.com/sallyport/sallyport/internal/durable"
	"github.com/sallyport/sallyport/internal/fault"
)

// commandTimeout bounds one run of a system tool.
const commandTimeout = 60 * time.Second

// makeUser makes a system user that owns nothing and cannot log in.
func (m *manifest) makeUser(ctx context.Context, name string) error {
	if _, err := exec.LookPath("useradd"); err != nil {
		return fault.Wrap(err, fault.Unsupported, "user", "This machine has no useradd. Make a system user for the keys helper yourself and name it with --keys-user.")
	}
	if err := m.record(change{Kind: madeUser, Name: name}); err != nil {
		return err
	}
	shell := "/usr/sbin/nologin"
	if _, err := os.Stat(shell); err != nil {
		shell = "/sbin/nologin"
	}
	return command(ctx, "useradd", "--system", "--user-group", "--no-create-home", "--home-dir", "/nonexistent",
		"--shell", shell, "--comment", "Sallyport keys helper", name)
}

// undoUser removes the user. The tools keep the previous version of each of their files with a "-" at its end:
// our line is taken out of these too. Otherwise they are as after any change of a user.
func (c change) undoUser(ctx context.Context) error {
	if _, err := user.Lookup(c.Name); err == nil {
		err := command(ctx, "userdel", c.Name)
		for attempt := 0; err != nil && attempt < 20; attempt++ { // a keys helper may be about to end
			time.Sleep(100 * time.Millisecond)
			err = command(ctx, "userdel", c.Name)
		}
		if err != nil {
			return err
		}
	}
	if _, err := user.LookupGroup(c.Name); err == nil {
		if err := command(ctx, "groupdel", c.Name); err != nil {
			return err
		}
	}
	var errs []error
	for _, backup := range []string{"/etc/passwd-", "/etc/shadow-", "/etc/group-", "/etc/gshadow-"} {
		errs = append(errs, withoutLineOf(backup, c.Name))
	}
	return errors.Join(errs...)
}

// withoutLineOf drops the line of a user or group from a file as passwd(5).
func withoutLineOf(path, name string) error {
	content, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var kept bytes.Buffer
	for line := range bytes.Lines(content) {
		if !bytes.HasPrefix(line, []byte(name+":")) {
			kept.Write(line)
		}
	}
	if kept.Len() == len(content) {
		return nil
	}
	return durable.Rewrite(path, kept.Bytes())
}

// command runs a system tool; the error has what it printed.
func command(ctx context.Context, name string, arguments ...string) error {
	ctx, cancel := context.WithTimeout(ctx, commandTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, arguments...)
	cmd.WaitDelay = time.Second
	if output, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w: %s", name, strings.Join(arguments, " "), err, strings.TrimSpace(string(output)))
	}
	return nil
}
