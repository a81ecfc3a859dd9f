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
		return fault.Wrap(err, fault.Unsupported, fault.User, "This machine has no useradd. Make a system user for the keys helper yourself and name it with --keys-user.")
	}
	group, membership := name, []string{"--user-group"}
	if _, err := user.LookupGroup(name); err == nil { // somebody else's, whose members and rights are their business
		group, membership = "", []string{"--no-user-group"}
	}
	if err := m.record(change{Kind: madeUser, Name: name, Group: group}); err != nil {
		return err
	}
	shell := "/usr/sbin/nologin"
	if _, err := os.Stat(shell); err != nil {
		shell = "/sbin/nologin"
	}
	return command(ctx, "useradd", append(membership, "--system", "--no-create-home", "--home-dir", "/nonexistent",
		"--shell", shell, "--comment", userComment, name)...)
}

// userComment marks the user as made by enrollment: passwd(5), field 5.
const userComment = "Sallyport keys helper"

// isOurUser reports whether enrollment made the user of that name.
func isOurUser(name string) bool {
	found, err := user.Lookup(name)
	return err == nil && found.Name == userComment
}

// undoUser removes the user. The tools keep the previous version of each of their files with a "-" at its end:
// our line is taken out of these too. Otherwise they are as after any change of a user.
func (c change) undoUser(ctx context.Context) error {
	if _, err := user.Lookup(c.Name); err == nil && !isOurUser(c.Name) {
		return nil // an operator has made another since
	}
	if isOurUser(c.Name) {
		err := command(ctx, "userdel", c.Name)
		for attempt := 0; err != nil && attempt < 20; attempt++ { // a keys helper may be about to end
			time.Sleep(100 * time.Millisecond)
			err = command(ctx, "userdel", c.Name)
		}
		if err != nil {
			return err
		}
	}
	if used, err := groupIsUsed(c.Group); err != nil || used {
		return err
	}
	if _, err := user.LookupGroup(c.Group); c.Group != "" && err == nil {
		if err := command(ctx, "groupdel", c.Group); err != nil {
			return err
		}
	}
	var errs []error
	for _, backup := range []string{"/etc/passwd-", "/etc/shadow-"} {
		errs = append(errs, withoutLineOf(backup, c.Name))
	}
	for _, backup := range []string{"/etc/group-", "/etc/gshadow-"} {
		if c.Group != "" {
			errs = append(errs, withoutLineOf(backup, c.Group))
		}
	}
	return errors.Join(errs...)
}

// groupIsUsed reports whether the group has members: group(5), or passwd(5) for those whose primary group it is.
// Operators may have added some to a group that enrollment made; it is theirs then.
func groupIsUsed(name string) (bool, error) {
	group, err := user.LookupGroup(name)
	if err != nil {
		return false, nil // there is none
	}
	groups, err := os.ReadFile("/etc/group")
	if err != nil {
		return false, err
	}
	for line := range strings.Lines(string(groups)) {
		fields := strings.Split(strings.TrimSpace(line), ":")
		if len(fields) == 4 && fields[0] == name && fields[3] != "" {
			return true, nil
		}
	}
	users, err := os.ReadFile("/etc/passwd")
	if err != nil {
		return false, err
	}
	for line := range strings.Lines(string(users)) {
		if fields := strings.Split(line, ":"); len(fields) == 7 && fields[3] == group.Gid {
			return true, nil
		}
	}
	return false, nil
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
