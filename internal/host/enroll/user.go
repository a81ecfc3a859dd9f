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

// makeUser makes a system user that owns no files and cannot log in.
func (m *manifest) makeUser(ctx context.Context, name string) error {
	if _, err := exec.LookPath("useradd"); err != nil {
		return fault.Wrap(err, fault.Unsupported, fault.User,
			"This machine has no useradd. Make a system user for the keys helper yourself and name it with --keys-user.")
	}
	group, membership := name, []string{"--user-group"}
	if _, err := user.LookupGroup(name); err == nil { // an operator's group: its members and rights are theirs to decide
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

// userComment marks a user as made by enrollment: passwd(5), field 5.
const userComment = "Sallyport keys helper"

// isOurUser reports whether enrollment made the user of that name.
func isOurUser(name string) bool {
	found, err := user.Lookup(name)
	return err == nil && found.Name == userComment
}

// undoUser removes the user. The system's tools keep the previous version of each of their files under a name that ends
// in "-"; our line is removed from these too. Otherwise they are as after any change of a user.
func (c change) undoUser(ctx context.Context) error {
	if _, err := user.Lookup(c.Name); err == nil && !isOurUser(c.Name) {
		return nil // an operator has made another since then
	}
	if isOurUser(c.Name) {
		err := command(ctx, "userdel", c.Name)
		for attempt := 0; err != nil && attempt < 20; attempt++ { // a keys helper may still be running, for a moment
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

// groupIsUsed reports whether the group has members, by group(5), or is a user's primary group, by passwd(5). Operators
// may have added members to a group that enrollment made; then it is theirs.
func groupIsUsed(name string) (bool, error) {
	group, err := user.LookupGroup(name)
	if err != nil {
		return false, nil // there is no such group
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

// withoutLineOf removes the line of a user or group from a file in the format of passwd(5).
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

// command runs a system tool. The error includes its output.
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
