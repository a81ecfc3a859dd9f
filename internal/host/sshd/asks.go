package sshd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/sallyport/sallyport/internal/fault"
)

// Asks reports how the sshd of a configuration, with the options it runs with, treats a user's keys. An empty user
// stands for logins outside of every Match block. helper is the rest of the AuthorizedKeysCommand after its program.
// why says in a sentence why sshd does not ask the helper; "" if it does. The settings are nil if sshd does not answer.
// For a daemon that has not read a changed configuration yet, the answer is that of its next reload.
func Asks(ctx context.Context, config, user, helper string) (settings Settings, why string) {
	server, err := FindFor(ctx, config, "")
	if err == nil {
		settings, err = server.Effective(ctx, config, user)
	}
	if err != nil {
		return nil, cause(err)
	}
	why = settings.AsksAnother(config, helper)
	if why != "" && (Options{Arguments: server.Arguments}).Sets("AuthorizedKeysCommand") {
		why += " It stands in the options that sshd is started with, which beat its configuration."
	}
	return settings, why
}

// cause returns the text of an error to show on the machine where it happened.
func cause(err error) string {
	var f *fault.Error
	if errors.As(err, &f) {
		return f.Message
	}
	return err.Error()
}

// AsksAnother returns, as a sentence, why sshd does not ask the helper under the settings, which come from config; ""
// if it does.
func (s Settings) AsksAnother(config, helper string) string {
	command := s.KeysCommand().Command
	program, arguments, _ := strings.Cut(command, " ")
	if !strings.HasPrefix(arguments+" ", helper+" ") {
		// The sentence is also shown on other machines, so it leaves out the command's arguments.
		return fmt.Sprintf("sshd does not ask the agent for keys: "+
			"something has changed AuthorizedKeysCommand, which is %s, in %s.", cmp.Or(program, "none"), config)
	}
	if err := CheckSafePath(program); err != nil {
		return cause(err)
	}
	if info, err := os.Stat(program); err != nil || !info.Mode().IsRegular() || info.Mode()&0o111 == 0 {
		return fmt.Sprintf("sshd's AuthorizedKeysCommand is not there, or is no program: %s.", program)
	}
	return ""
}
