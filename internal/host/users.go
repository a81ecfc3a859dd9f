package host

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path"
	"strconv"
	"strings"
	"time"
)

// lookupTimeout bounds the question to name services, which may ask a directory over the network.
const lookupTimeout = 2 * time.Second

// SystemUsers are the users the machine knows by its passwd file and its name services (SSSD, LDAP, …).
type SystemUsers struct{}

// Exists implements Users. It asks no longer than two seconds.
func (SystemUsers) Exists(ctx context.Context, name string) (bool, error) {
	if name == "" || strings.ContainsAny(name, ":/\n\x00") {
		return false, nil
	}
	if _, err := user.Lookup(name); err == nil {
		return true, nil
	}
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	out, err := exec.CommandContext(ctx, "getent", "passwd", "--", name).Output()
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return false, fmt.Errorf("getent passwd: no answer within %v", lookupTimeout)
	case errors.As(err, &exit), errors.Is(err, exec.ErrNotFound): // not there, or no name services at all
		return false, nil
	case err != nil:
		return false, fmt.Errorf("getent passwd: %w", err)
	}
	// getent takes a number for an id: it must have found the name that was asked for.
	return strings.HasPrefix(string(out), name+":"), nil
}

// LoginUser is a user who may log in.
type LoginUser struct {
	Name string
	UID  int
}

// LoginUsers returns the users of a passwd(5) file that have a login shell, in the file's order.
func LoginUsers(passwd string) ([]LoginUser, error) {
	file, err := os.Open(passwd)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	var users []LoginUser
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		fields := strings.Split(lines.Text(), ":")
		if len(fields) != 7 || fields[0] == "" || strings.ContainsAny(fields[0][:1], "#+-") {
			continue
		}
		uid, err := strconv.Atoi(fields[2])
		if err != nil {
			continue
		}
		switch path.Base(fields[6]) { // an empty shell is /bin/sh
		case "nologin", "false", "true", "sync", "shutdown", "halt":
		default:
			users = append(users, LoginUser{fields[0], uid})
		}
	}
	return users, lines.Err()
}
