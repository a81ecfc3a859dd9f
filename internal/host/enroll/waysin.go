package enroll

import (
	"context"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/internal/fault"
	"github.com/sallyport/sallyport/internal/host/sshd"
)

// tryOtherWays makes sure that who gets in otherwise than by a key in a file still does: by what a real connection is
// offered, by a certificate of an authority made for it, and by a key of the AuthorizedKeysCommand that was there.
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

// otherWays are trials under the present configuration and the one that is about to be.
type otherWays struct {
	*enrollment
	config    string // about to be
	directory string
}

func (w otherWays) trial(config, login string) sshd.Trial {
	return sshd.Trial{Server: w.server, Config: config, Login: login, Directory: w.directory, Random: w.Random}
}

// methods makes sure that sshd offers users the same ways to log in as before. What there is beside keys has nothing to do with
// the AuthorizedKeysCommand, and cannot be gone through without somebody's password or ticket.
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
			return fault.New(fault.WrongState, fault.Sshd, "Under the new configuration sshd would offer %s other ways to log in, %s instead of %s: nothing of sshd's was changed.",
				login, strings.Join(after, ", "), strings.Join(before, ", "))
		}
		for _, method := range after {
			if method != "publickey" && !slices.Contains(others, method) {
				others = append(others, method)
			}
		}
	}
	if len(others) > 0 {
		w.notTried("Logins by %s, which sshd offers as before: nobody told us a password, nor gave us a ticket.", strings.Join(others, ", "))
	}
	return nil
}

// certificates tries, for every user until one gets in, whether a certificate still lets in who gets in by one now.
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
			return fault.Wrap(err, fault.WrongState, fault.Sshd, "%s can log in by a certificate now, and could not under the new configuration: nothing of sshd's was changed. %s", login, fault.Explain(err))
		}
		return nil
	}
	if configured {
		w.notTried("A login by a certificate: one of an authority made for it lets none of %s in, with or without the new configuration. sshd's settings for certificates are as before.", strings.Join(w.users, ", "))
	}
	return nil
}

// commandsKey asks the AuthorizedKeysCommand that was there for a key, and sshd whether it would still take it: however
// long the answer, and however late.
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
			return fault.Wrap(err, fault.WrongState, fault.Sshd, "A key that %s prints for %s lets in now, and would not under the new configuration: nothing of sshd's was changed. %s",
				w.existing.Command, login, fault.Explain(err))
		}
		return nil
	}
	w.notTried("A key of the AuthorizedKeysCommand that was there (%s): it names none that we could ask sshd about.", w.existing.Command)
	return nil
}
