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

// Asks finds out whether the sshd of a configuration, as it runs with its own options, asks the keys helper for a
// user's keys; for no user, outside of every Match block. helper is how the AuthorizedKeysCommand goes on after its
// program. why is a sentence that says why the helper is not asked, "" if it is. The settings are nil if sshd does not
// say. Of a daemon that has not read its changed configuration yet it tells what the next reload brings.
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

// cause is what to tell of an error on its own machine.
func cause(err error) string {
	var f *fault.Error
	if errors.As(err, &f) {
		return f.Message
	}
	return err.Error()
}

// AsksAnother returns, as a sentence, why sshd does not ask the helper under the settings, which are the configuration's;
// "" if it does.
func (s Settings) AsksAnother(config, helper string) string {
	command := s.KeysCommand().Command
	program, arguments, _ := strings.Cut(command, " ")
	if !strings.HasPrefix(arguments+" ", helper+" ") {
		// Not with its arguments: what stands there is told to people elsewhere.
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
