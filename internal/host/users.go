package host

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport/sallyport/internal/host/sshd"
)

// lookupTimeout bounds one question to the name services, which may ask a directory over the network.
const lookupTimeout = 2 * time.Second

// account is a user's entry in passwd(5).
type account struct {
	name  string
	uid   int
	shell string
	local bool // in /etc/passwd, not only in a directory service
	aged  bool // has an entry in shadow(5)
}

// lookup returns the user's account from the machine's passwd file or its name services (SSSD, LDAP, …). ok is false if
// there is no such user. It returns within lookupTimeout.
func lookup(ctx context.Context, name string) (found account, ok bool, err error) {
	if name == "" || strings.ContainsAny(name, ":/\n\x00") {
		return account{}, false, nil
	}
	fields, err := entry("/etc/passwd", name)
	local := fields != nil
	if !local && err == nil {
		fields, err = getent(ctx, "passwd", name)
	}
	if err != nil || fields == nil {
		return account{}, false, err
	}
	if len(fields) != 7 {
		return account{}, false, nil
	}
	uid, err := strconv.Atoi(fields[2])
	if err != nil {
		return account{}, false, nil
	}
	return account{name: name, uid: uid, shell: fields[6], local: local, aged: fields[1] == "x"}, true, nil
}

// entry returns the fields of the name's line in a file such as passwd(5) or shadow(5); nil if there is none.
func entry(path, name string) ([]string, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	for line := range bytes.Lines(text) {
		if bytes.HasPrefix(line, []byte(name+":")) {
			return strings.Split(strings.TrimRight(string(line), "\r\n"), ":"), nil
		}
	}
	return nil, nil
}

// getent returns the name's entry from the name services; nil if they do not know the name.
func getent(ctx context.Context, database, name string) ([]string, error) {
	out, err := askServices(ctx, "getent", database, "--", name)
	// getent(1) takes a number for an id, so check that it found the name that was asked for.
	if err != nil || !strings.HasPrefix(out, name+":") {
		return nil, err
	}
	line, _, _ := strings.Cut(out, "\n")
	return strings.Split(line, ":"), nil
}

// groupsOf returns the names of all of a user's groups. For a group without a name id(1) prints its number.
func groupsOf(ctx context.Context, name string) ([]string, error) {
	out, err := askServices(ctx, "id", "-Gnz", "--", name)
	if err == nil && out == "" {
		err = errors.New("id: it does not tell") // BusyBox's id has no -z
	}
	names := strings.FieldsFunc(out, func(r rune) bool { return r == 0 })
	return slices.DeleteFunc(names, func(name string) bool { return strings.Trim(name, "0123456789") == "" }), err
}

// askServices runs a program that asks the name services and returns its output, which is empty if the program finds
// nothing, fails or does not exist.
func askServices(ctx context.Context, program string, arguments ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	out, err := exec.CommandContext(ctx, program, arguments...).Output()
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return "", fmt.Errorf("%s: no answer within %v", program, lookupTimeout)
	case errors.As(err, &exit), errors.Is(err, exec.ErrNotFound):
		return string(out), nil
	case err != nil:
		return "", fmt.Errorf("%s: %w", program, err)
	}
	return string(out), nil
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
		if len(fields) != 7 || fields[0] == "" || strings.ContainsAny(fields[0][:1], "#+-") || sshd.NoLogin(fields[6]) {
			continue
		}
		if uid, err := strconv.Atoi(fields[2]); err == nil {
			users = append(users, LoginUser{fields[0], uid})
		}
	}
	return users, lines.Err()
}
