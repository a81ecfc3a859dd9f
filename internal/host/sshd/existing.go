package sshd

import (
	"bytes"
	"context"
	"os/exec"
	"os/user"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/internal/fault"
)

// maxAnswer bounds how much of another command's output is kept, in bytes. The output itself may be of any length.
const maxAnswer = 64 << 20

// Answer runs the command for the user as sshd does, and returns its output. It may take as long as a login. The error
// is an Unsupported fault if the command needs what only a login has, for instance the key that is offered.
func (k KeysCommand) Answer(ctx context.Context, login string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, loginTimeout)
	defer cancel()
	argv, err := k.expand(login)
	if err != nil {
		return nil, err
	}
	if err := CheckSafePath(argv[0]); err != nil {
		return nil, err
	}
	runAs, err := user.Lookup(strings.ReplaceAll(k.User, "%u", login))
	if err != nil {
		return nil, err
	}
	uid, err := strconv.ParseUint(runAs.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.ParseUint(runAs.Gid, 10, 32)
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Env = []string{
		"PATH=/usr/bin:/bin:/usr/sbin:/sbin",
		"USER=" + runAs.Username, "LOGNAME=" + runAs.Username, "HOME=" + runAs.HomeDir,
	}
	cmd.Dir = "/"
	credential := syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Credential: &credential}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) } // and its children
	cmd.WaitDelay = time.Second
	var out bounded
	cmd.Stdout = &out
	err = cmd.Run()
	return out, err
}

// expand splits the command as sshd does, and puts the user's name into its arguments.
func (k KeysCommand) expand(login string) ([]string, error) {
	known, err := user.Lookup(login)
	if err != nil {
		return nil, err
	}
	argv := splitWords(k.Command)
	if len(argv) == 0 {
		return nil, fault.New(fault.Invalid, fault.Sshd, "There is no command.")
	}
	if len(argv) == 1 {
		argv = append(argv, "%u") // only an AuthorizedKeysCommand may have no arguments
	}
	tokens := strings.NewReplacer("%%", "%", "%u", login, "%U", known.Uid, "%h", known.HomeDir)
	for i, word := range argv {
		if i > 0 && strings.Contains(strings.NewReplacer("%%", "", "%u", "", "%U", "", "%h", "").Replace(word), "%") {
			return nil, fault.New(fault.Unsupported, fault.Sshd, "%s asks for what only a login has.", k.Command)
		}
		argv[i] = tokens.Replace(word)
	}
	return argv, nil
}

// LastKey returns the last public key of a text in the format of authorized_keys that is valid without options; nil if
// there is none.
func LastKey(text []byte) ssh.PublicKey {
	lines := bytes.Split(text, []byte("\n"))
	for _, line := range slices.Backward(lines) {
		key, _, options, _, err := ssh.ParseAuthorizedKey(line)
		if err == nil && len(options) == 0 {
			return key
		}
	}
	return nil
}

// bounded keeps at least the last maxAnswer bytes of what is written.
type bounded []byte

func (b *bounded) Write(p []byte) (int, error) {
	if len(*b) > 2*maxAnswer {
		*b = slices.Clone((*b)[len(*b)-maxAnswer:])
	}
	*b = append(*b, p...)
	return len(p), nil
}
