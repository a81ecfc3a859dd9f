package enroll

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/sallyport/sallyport/internal/durable"
	"github.com/sallyport/sallyport/internal/fault"
	"github.com/sallyport/sallyport/internal/host/sshd"
)

// withTrialConfig calls do with the new configuration, before it is installed, and a directory for a trial's files. The
// directory is in the enrollment's, so that it is removed with it.
func (e *enrollment) withTrialConfig(do func(config, directory string) error) error {
	directory := trialDirectory(e.Directory)
	if err := os.MkdirAll(directory, 0o755); err != nil {
		return err
	}
	defer os.RemoveAll(directory)
	if err := os.Chmod(directory, 0o755); err != nil {
		return err
	}
	config, err := e.writeTrialConfig(directory)
	if err != nil {
		return err
	}
	return do(config, directory)
}

// dropIn returns the text that enrollment puts before sshd's configuration.
func (e *enrollment) dropIn() string { return e.command.DropIn(e.repeated, e.matched) }

// expectedSettings asks sshd for the settings of the new configuration.
func (e *enrollment) expectedSettings(ctx context.Context) (settings sshd.Settings, err error) {
	err = e.withTrialConfig(func(config, _ string) (err error) {
		settings, err = e.server.Effective(ctx, config, "")
		return err
	})
	return settings, err
}

// compareSettings checks that enrollment changes only the command that sshd asks for keys: for all users together, for
// those whose login may be tried, and for those named by a Match block with a command of its own.
func (e *enrollment) compareSettings(ctx context.Context) error {
	expected, err := e.expectedSettings(ctx)
	if err != nil {
		return err
	}
	if expected.Get("authorizedprincipalscommand") != e.settings.Get("authorizedprincipalscommand") {
		e.repeated = e.settings.PrincipalsCommand()
	}
	return e.withTrialConfig(func(config, _ string) error {
		for _, name := range slices.Concat([]string{""}, e.users, e.matchedUsers()) {
			before, err := e.server.Effective(ctx, e.SSHDConfig, name)
			if err != nil {
				return err
			}
			after, err := e.server.Effective(ctx, config, name)
			if err != nil {
				return err
			}
			if keyword := before.Difference(after, ourKeywords...); keyword != "" {
				return changesMore(keyword, name, before, after)
			}
		}
		return nil
	})
}

// ourKeywords are the keywords that enrollment sets.
var ourKeywords = []string{"authorizedkeyscommand", "authorizedkeyscommanduser"}

// changesMore returns the error for a change that might lock somebody out.
func changesMore(keyword, name string, before, after sshd.Settings) error {
	whose := "everybody"
	if name != "" {
		whose = name
	}
	return fault.New(fault.WrongState, fault.Sshd,
		"With our AuthorizedKeysCommand in its configuration this sshd would take %s for %s, instead of %q, to be %q, "+
			"which could lock people out: nothing of sshd's was changed. "+
			"OpenSSH before 9.4 passes over an AuthorizedPrincipalsCommand that comes after an AuthorizedKeysCommand; "+
			"if it is that, set it outside of Match blocks, or update OpenSSH.",
		keyword, whose, before.Get(keyword), after.Get(keyword))
}

// matchedUsers returns the users named by the Match blocks that have a command of their own.
func (e *enrollment) matchedUsers() []string {
	var names []string
	for _, o := range e.overrides {
		names = append(names, o.Users()...)
	}
	return names
}

// tryLogin makes a real login by an ordinary key under the new configuration. Enrollment calls it twice: before there
// is an agent, and with one.
func (e *enrollment) tryLogin(ctx context.Context) error {
	return e.withTrialConfig(func(config, directory string) error {
		if err := e.server.Check(ctx, config); err != nil {
			return err
		}
		outcome, err := e.tryUsers(ctx, config, directory)
		if err != nil || e.login == "" {
			return err
		}
		if !outcome.CommandRan {
			return fault.New(fault.WrongState, fault.Sshd,
				"%s was let in, but sshd did not run the keys helper: "+
					"something in %s keeps it from doing so for %s, perhaps a Match block.", e.login, e.SSHDConfig, e.login)
		}
		if outcome.CommandProblem == "" {
			return nil
		}
		return e.judgeCommand(ctx, config, directory, outcome.CommandProblem)
	})
}

// judgeCommand decides what to do about a keys command that failed in a login of e.login. The command that was there
// before may go on failing, so that sshd takes none of its keys. Ours must succeed without it.
func (e *enrollment) judgeCommand(ctx context.Context, config, directory, problem string) error {
	trial := sshd.Trial{Server: e.server, Config: e.SSHDConfig, Login: e.login, Directory: directory, Random: e.Random}
	before, err := trial.Run(ctx)
	if err != nil {
		return err
	}
	if before.CommandProblem != "" {
		trial.Config = config
		trial.Server.Arguments = append(slices.Clone(e.server.Arguments),
			"-oAuthorizedKeysCommand="+helperCommand(e.Directory))
		alone, err := trial.Run(ctx)
		if err != nil {
			return err
		}
		problem = alone.CommandProblem
	}
	if problem != "" {
		return fault.New(fault.WrongState, fault.Sshd, "sshd is not content with the keys helper: %s", problem)
	}
	settings, err := e.server.Effective(ctx, e.SSHDConfig, e.login)
	if err == nil {
		e.warn("The AuthorizedKeysCommand that was there (%s) fails for %s, so sshd takes none of its keys. It stays so.",
			settings.KeysCommand().Command, e.login)
	}
	return err
}

// writeTrialConfig writes the new configuration: our lines, followed by the present configuration.
func (e *enrollment) writeTrialConfig(directory string) (string, error) {
	present, err := os.ReadFile(e.SSHDConfig)
	if err != nil {
		return "", err
	}
	block := e.dropIn()
	if e.version.HasInclude() {
		dropIn := filepath.Join(directory, "drop_in.conf")
		if err := durable.WriteFile(dropIn, []byte(block), 0o600); err != nil {
			return "", err
		}
		block = sshd.IncludeBlock(dropIn)
	}
	path := filepath.Join(directory, "sshd_config")
	return path, durable.WriteFile(path, []byte(sshd.Prepend(string(present), block)), 0o600)
}

// tryUsers looks for a user who can log in under the new configuration. A user who can log in under the present one but
// not under the new one ends the enrollment.
func (e *enrollment) tryUsers(ctx context.Context, config, directory string) (sshd.Outcome, error) {
	candidates := e.users
	if e.login != "" {
		candidates = []string{e.login}
	}
	var reasons []error
	for _, name := range candidates {
		trial := sshd.Trial{Server: e.server, Config: config, Login: name, Directory: directory, Random: e.Random}
		outcome, err := trial.Run(ctx)
		if err == nil {
			e.result.TestLogin = name
			if e.login == "" && outcome.Partial {
				e.notTried("What %s is asked for beside a key (AuthenticationMethods): the key was taken.", name)
			}
			e.login = name
			return outcome, nil
		}
		if ctx.Err() != nil || fault.Of(err).Kind == fault.Unavailable {
			return sshd.Outcome{}, err
		}
		reasons = append(reasons, err)
		trial.Config = e.SSHDConfig
		if _, before := trial.Run(ctx); before == nil {
			return sshd.Outcome{}, fault.Wrap(err, fault.WrongState, fault.Sshd,
				"%s can log in now, and could not under the new configuration: nothing of sshd's was changed. %s",
				name, fault.Explain(err))
		}
	}
	if judged, err := e.judgeUsers(ctx, config, candidates); judged || err != nil {
		return sshd.Outcome{}, err
	}
	if e.SkipTestLogin {
		e.warn("No user could be found to try a login with (%s).", strings.Join(candidates, ", "))
		return sshd.Outcome{}, nil
	}
	return sshd.Outcome{}, fault.Wrap(errors.Join(reasons...), fault.WrongState, fault.Sshd,
		"Nobody could be found to try a login with: by an ordinary key sshd lets in none of %s, "+
			"with or without the new configuration. The last answer: %s "+
			"If that is as it should be, use --skip-test-login.",
		strings.Join(candidates, ", "), fault.Explain(reasons[len(reasons)-1]))
}

// judgeUsers looks for a user whose way to log in cannot be tried from here by a key alone, and judges by sshd's
// settings for that user: sshd asks us, and all else is as before.
func (e *enrollment) judgeUsers(ctx context.Context, config string, candidates []string) (judged bool, err error) {
	for _, name := range candidates {
		account, err := accountOf(name)
		if err != nil {
			continue
		}
		settings, err := e.server.Effective(ctx, e.SSHDConfig, name)
		if err != nil {
			return false, err
		}
		address, why := settings.Untriable(account)
		if why == "" {
			continue
		}
		before, err := e.server.EffectiveFrom(ctx, e.SSHDConfig, name, address, address)
		if err != nil {
			return false, err
		}
		after, err := e.server.EffectiveFrom(ctx, config, name, address, address)
		if err != nil {
			return false, err
		}
		if keyword := before.Difference(after, ourKeywords...); keyword != "" {
			return false, changesMore(keyword, name, before, after)
		}
		if strings.HasPrefix(after.KeysCommand().Command, keysCommand(e.Directory)) {
			e.notTried("A login of %s: %s For one from %s sshd will ask the keys helper, and all else is as before.",
				name, why, address)
			return true, nil
		}
	}
	return false, nil
}

// accountOf returns the facts of a user that sshd looks at.
func accountOf(name string) (sshd.Account, error) {
	found, err := user.Lookup(name)
	if err != nil {
		return sshd.Account{}, err
	}
	uid, err := strconv.Atoi(found.Uid)
	if err != nil {
		return sshd.Account{}, err
	}
	account := sshd.Account{Name: name, UID: uid}
	ids, err := found.GroupIds()
	for _, id := range ids {
		if group, err := user.LookupGroupId(id); err == nil {
			account.Groups = append(account.Groups, group.Name)
		}
	}
	return account, err
}

// notTried reports a way to log in that could not be tried.
func (e *enrollment) notTried(format string, args ...any) {
	e.result.NotTried = append(e.result.NotTried, fmt.Sprintf(format, args...))
	e.progress.note("Not tried: " + e.result.NotTried[len(e.result.NotTried)-1])
}
