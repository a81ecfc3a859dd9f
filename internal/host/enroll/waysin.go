package enroll

import (
	"context"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/internal/fault"
	"github.com/sallyport/sallyport/internal/host/sshd"
)

// tryOtherWays checks that users who log in by other means than a key in a file still can. It compares the methods that
// a real connection is offered, and tries a certificate of an authority made for the purpose and a key of the
// AuthorizedKeysCommand that was there.
func (e *enrollment) tryOtherWays(ctx context.Context) error {
	return e.withTrialConfig(func(config, directory string) error {
		ways := otherWays{enrollment: e, config: config, directory: directory}
		for _, try := range []func(context.Context) error{ways.methods, ways.certificates, ways.commandsKey} {
			if err := try(ctx); err != nil {
				return err
			}
		}
		return nil
	})
}

// otherWays makes trials under the present and the new configuration.
type otherWays struct {
	*enrollment
	config    string // the new configuration
	directory string
}

func (w otherWays) trial(config, login string) sshd.Trial {
	return sshd.Trial{Server: w.server, Config: config, Login: login, Directory: w.directory, Random: w.Random}
}

// methods checks that sshd offers users the same login methods as before. Methods other than keys do not depend on the
// AuthorizedKeysCommand, and trying them would need a user's password or ticket.
func (w otherWays) methods(ctx context.Context) error {
	var others []string
	for _, login := range w.users {
		before, err := w.trial(w.SSHDConfig, login).Methods(ctx)
		if err != nil {
			return err
		}
		after, err := w.trial(w.config, login).Methods(ctx)
		if err != nil {
			return err
		}
		if !slices.Equal(before, after) {
			return fault.New(fault.WrongState, fault.Sshd,
				"Under the new configuration sshd would offer %s other ways to log in, %s instead of %s: "+
					"nothing of sshd's was changed.",
				login, strings.Join(after, ", "), strings.Join(before, ", "))
		}
		for _, method := range after {
			if method != "publickey" && !slices.Contains(others, method) {
				others = append(others, method)
			}
		}
	}
	if len(others) > 0 {
		w.notTried("Logins by %s, which sshd offers as before: nobody told us a password, nor gave us a ticket.",
			strings.Join(others, ", "))
	}
	return nil
}

// certificates checks that a certificate still works for the first user for whom one works now.
func (w otherWays) certificates(ctx context.Context) error {
	configured := false
	for _, login := range w.users {
		settings, err := w.server.Effective(ctx, w.SSHDConfig, login)
		if err != nil {
			return err
		}
		if settings.Get("trustedusercakeys") == "" {
			continue
		}
		configured = true
		principals := settings.Principals(ctx, login)
		if w.trial(w.SSHDConfig, login).Certificate(ctx, principals) != nil {
			continue
		}
		if err := w.trial(w.config, login).Certificate(ctx, principals); err != nil {
			return fault.Wrap(err, fault.WrongState, fault.Sshd,
				"%s can log in by a certificate now, and could not under the new configuration: "+
					"nothing of sshd's was changed. %s", login, fault.Explain(err))
		}
		return nil
	}
	if configured {
		w.notTried("A login by a certificate: one of an authority made for it lets none of %s in, "+
			"with or without the new configuration. sshd's settings for certificates are as before.",
			strings.Join(w.users, ", "))
	}
	return nil
}

// commandsKey checks that sshd still accepts a key of the AuthorizedKeysCommand that was there, however long or slow
// its answer is.
func (w otherWays) commandsKey(ctx context.Context) error {
	if w.existing.Command == "" {
		return nil
	}
	for _, login := range w.users {
		answer, err := w.existing.Answer(ctx, login)
		key := sshd.LastKey(answer)
		if err != nil || key == nil || w.trial(w.SSHDConfig, login).Accepts(ctx, key) != nil {
			continue
		}
		if err := w.trial(w.config, login).Accepts(ctx, key); err != nil {
			return fault.Wrap(err, fault.WrongState, fault.Sshd,
				"A key that %s prints for %s lets in now, and would not under the new configuration: "+
					"nothing of sshd's was changed. %s",
				w.existing.Command, login, fault.Explain(err))
		}
		return nil
	}
	w.notTried("A key of the AuthorizedKeysCommand that was there (%s): it names none that we could ask sshd about.",
		w.existing.Command)
	return nil
}
