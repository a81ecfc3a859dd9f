package enroll

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"errors"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/internal/durable"
	"github.com/sallyport/sallyport/internal/fault"
	"github.com/sallyport/sallyport/internal/host"
	"github.com/sallyport/sallyport/internal/host/sshd"
	"github.com/sallyport/sallyport/internal/hostproto"
)

// preflight checks everything that can be checked without changing the machine, except that it may make the privilege
// separation directory of an sshd that does not run.
func (e *enrollment) preflight(ctx context.Context) error {
	return e.steps(ctx, []step{
		{"Look at this machine", e.lookAround},
		{"Check sshd's configuration", e.lookAtSSHD},
		{"Look for files in the way", e.nothingInTheWay},
		{"Reach the control plane", e.reachControlPlane},
	})
}

func (e *enrollment) lookAround(ctx context.Context) (err error) {
	if e.token, err = hostproto.ParseToken(e.Token); err != nil {
		return err
	}
	service, err := e.Service.choose()
	if err != nil {
		return err
	}
	if service == ServiceDetached && e.Service != ServiceDetached {
		e.warn("There is no systemd here, so the agent will run as a process of its own and not come back after a boot: "+
			"have `%s` run then.",
			strings.Join(agentCommand(agentProgram(e.Directory), e.Directory), " "))
	}
	e.Service = service
	for _, path := range []string{e.Directory, agentProgram(e.Directory)} {
		if err := sshd.CheckSafePath(path); err != nil {
			return err
		}
	}
	m, err := readManifest(e.Directory)
	if err != nil {
		return err
	}
	if m == nil {
		return e.nothingInDirectory()
	}
	return e.refuseComplete(m)
}

// refuseComplete returns an error if the machine is enrolled. Remains of an enrollment that did not end are no error.
func (e *enrollment) refuseComplete(m *manifest) error {
	if !m.Complete {
		return nil
	}
	config, err := host.Load(e.Directory)
	if err != nil {
		return err
	}
	return fault.New(fault.Exists, fault.Enrollment,
		"This machine is enrolled already, as %s with %s. To enroll it anew run `sallyport-host unenroll` first.",
		config.InstanceID, config.Server)
}

// nothingInDirectory refuses a directory that holds files of others.
func (e *enrollment) nothingInDirectory() error {
	entries, err := os.ReadDir(e.Directory)
	if err != nil {
		return ignoreMissing(err)
	}
	for _, entry := range entries {
		if !durable.IsLeftover(entry.Name()) {
			return fault.New(fault.Exists, fault.Enrollment,
				"%s exists and is not empty, but holds no enrollment. Move it away, or choose another --directory.", e.Directory)
		}
	}
	return nil
}

// nothingInTheWay returns an error if a file that enrollment will make exists already, unless an earlier enrollment
// made it, which is undone first. This is checked before the token is used up.
func (e *enrollment) nothingInTheWay(context.Context) error {
	earlier, err := readManifest(e.Directory)
	if err != nil {
		return err
	}
	made := func(path string) bool {
		return earlier != nil && slices.ContainsFunc(earlier.Changes, func(c change) bool { return c.Path == path })
	}
	for _, path := range e.filesToMake() {
		if _, err := os.Lstat(path); err == nil && !made(path) {
			return inTheWay(path)
		}
	}
	return e.canWrite()
}

// canWrite returns an error if a file that enrollment will make or change cannot be written.
func (e *enrollment) canWrite() error {
	socket, spool := host.Places(e.Directory)
	paths := append(e.filesToMake(), filepath.Join(e.Directory, ManifestFile), socket, spool)
	for _, path := range append(paths, filepath.Join(e.SSHDConfig, "changed")) {
		for path = filepath.Dir(path); !isThere(path); {
			path = filepath.Dir(path)
		}
		// For root, access(2) fails on read-only file systems and immutable files.
		if err := unix.Access(path, unix.W_OK); err != nil {
			return fault.Wrap(err, fault.WrongState, fault.Enrollment,
				"%s cannot be written: %v. Enrollment has to, and has changed nothing yet.", path, err)
		}
	}
	return nil
}

// filesToMake returns the files outside its directory that enrollment will or may make.
func (e *enrollment) filesToMake() []string {
	files := []string{
		agentProgram(e.Directory), helperProgram(e.Directory), dropInPath(e.SSHDConfig, e.Directory),
	}
	switch e.Service {
	case ServiceSystemd:
		files = append(files, unitPath(e.Directory))
	case ServiceSysV:
		files = append(files, initPath(e.Directory))
	}
	return files
}

func (e *enrollment) lookAtSSHD(ctx context.Context) (err error) {
	if e.server, err = e.findSSHD(ctx); err != nil {
		return err
	}
	if e.version, err = e.server.Version(ctx); err != nil {
		return err
	}
	if _, err := os.Stat(e.SSHDConfig); err != nil {
		return fault.Wrap(err, fault.NotFound, fault.Sshd, "sshd's configuration %s cannot be read.", e.SSHDConfig)
	}
	if err := e.server.Check(ctx, e.SSHDConfig); err != nil {
		return fault.Wrap(err, fault.WrongState, fault.Sshd, "%s. Mend that first: nothing was changed", fault.Explain(err))
	}
	if e.settings, err = e.server.Effective(ctx, e.SSHDConfig, ""); err != nil {
		return err
	}
	if e.settings.Get("pubkeyauthentication") == "no" {
		return fault.New(fault.WrongState, fault.Sshd,
			"sshd accepts no public keys (PubkeyAuthentication no), so pushed keys could not let anybody in. "+
				"Allow them in %s.", e.SSHDConfig)
	}
	options := sshd.Options{Arguments: e.server.Arguments}
	if options.Sets("AuthorizedKeysCommand") || options.Sets("AuthorizedKeysCommandUser") {
		return fault.New(fault.WrongState, fault.Sshd,
			"sshd is started with an option that beats its configuration: -o AuthorizedKeysCommand=%s. "+
				"Take it from the command line (`systemctl cat ssh ssh@` or /etc/default/ssh shows where it stands) "+
				"into a file in /etc/ssh/sshd_config.d, restart sshd, and enroll again: the command is asked as before.",
			e.settings.Get("authorizedkeyscommand"))
	}
	e.existing = e.settings.KeysCommand()
	if e.overrides, err = sshd.Overrides(e.SSHDConfig); err != nil {
		return err
	}
	if e.PIDFile == "" {
		e.PIDFile = e.settings.Get("pidfile")
	}
	if len(e.Addresses) == 0 {
		e.Addresses = e.settings.Addresses()
	}
	e.users = loginCandidates("/etc/passwd")
	return nil
}

// findSSHD finds the server, with the options that its daemon runs with or that systemd will start it with. If the
// caller names no configuration, it is that of the daemon that wrote the usual PidFile, or else that of systemd's unit.
// A private daemon beside a socket of systemd's is not considered.
func (e *enrollment) findSSHD(ctx context.Context) (sshd.Server, error) {
	if e.SSHDConfig != "" {
		return sshd.FindFor(ctx, e.SSHDConfig, e.PIDFile)
	}
	e.SSHDConfig = sshd.DefaultConfig
	server, err := sshd.FindFor(ctx, e.SSHDConfig, e.PIDFile)
	if err != nil {
		return server, err
	}
	settings, _ := server.Effective(ctx, e.SSHDConfig, "")
	started, ok := sshd.FindStarted(ctx, e.SSHDConfig, cmp.Or(e.PIDFile, settings.Get("pidfile")))
	if !ok || started.Config == e.SSHDConfig {
		return server, nil
	}
	e.progress.note("This machine's sshd reads " + started.Config + ", so it is this that is set up.")
	e.SSHDConfig = started.Config
	return sshd.FindFor(ctx, e.SSHDConfig, e.PIDFile)
}

func (e *enrollment) reachControlPlane(ctx context.Context) (err error) {
	if _, e.key, err = ed25519.GenerateKey(e.Random); err != nil {
		return err
	}
	if e.plane, err = NewControlPlane(e.token, e.key, e.Random); err != nil {
		return err
	}
	offset, err := e.plane.reach(ctx, e.Now)
	if err != nil {
		return err
	}
	if offset.Abs() > maxClockOffset {
		e.warn("This machine's clock is %s the control plane's. Pushed keys work, and live for 60 seconds, all the same.",
			apart(offset))
	}
	return nil
}

// begin undoes what a killed enrollment left, and starts the journal. Making the directory is the first change. An
// empty directory is taken for one of ours, as an enrollment killed at its very start leaves one.
func (e *enrollment) begin() (release func(), err error) {
	missing, mtime, err := missingDirectories(filepath.Dir(e.Directory))
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(e.Directory, 0o755); err != nil {
		return nil, err
	}
	if release, err = lockDirectory(e.Directory); err != nil {
		return nil, err
	}
	old, err := readManifest(e.Directory)
	if err == nil && old == nil {
		if err = e.startJournal(missing, mtime); err == nil {
			return release, nil
		}
	} else if err == nil {
		err = e.cleanUp(old)
	}
	release()
	if err != nil {
		return nil, err
	}
	if m, err := readManifest(e.Directory); err != nil || m != nil {
		return nil, fault.Wrap(err, fault.WrongState, fault.Enrollment,
			"What an earlier enrollment left in %s cannot be undone.", e.Directory)
	}
	return e.begin() // cleaning up has removed the locked directory
}

// startJournal writes the manifest. The manifest is in the last of the directories, so this is the one place where
// changes precede their record.
func (e *enrollment) startJournal(missing []string, mtime time.Time) error {
	e.manifest = newManifest(e.Directory, e.Now())
	for _, path := range append(missing, e.Directory) {
		if err := os.Chmod(path, 0o755); err != nil {
			return err
		}
		e.manifest.Changes = append(e.manifest.Changes, change{Kind: madeDirectory, Path: path})
	}
	e.manifest.Changes[0].Mtime = mtime
	return e.manifest.save()
}

// cleanUp undoes an enrollment that did not end.
func (e *enrollment) cleanUp(old *manifest) error {
	if err := e.refuseComplete(old); err != nil { // another process has enrolled the machine meanwhile
		return err
	}
	e.progress.note("An earlier enrollment did not end: cleaning up after it.")
	ctx, cancel := context.WithTimeout(context.Background(), rollbackTimeout)
	defer cancel()
	if err := old.undo(ctx, e.progress); err != nil {
		return fault.Wrap(err, fault.WrongState, fault.Enrollment,
			"What an earlier enrollment left cannot be undone. Mend what is reported above and try again.")
	}
	return old.remove() // does nothing if the manifest named the directory
}

// missingDirectories returns the directories of the path that do not exist, the highest first, and the modification
// time of the directory that will hold the first.
func missingDirectories(path string) (missing []string, mtime time.Time, err error) {
	for {
		mtime, err = modTime(path)
		if err == nil || !errors.Is(err, fs.ErrNotExist) {
			return missing, mtime, err
		}
		missing = append([]string{path}, missing...)
		path = filepath.Dir(path)
	}
}

// chooseUser chooses the user that sshd runs the helper as: the user of the existing command, else the one the caller
// names, else our own.
func (e *enrollment) chooseUser(ctx context.Context) error {
	name := e.KeysUser
	switch {
	case e.existing.User != "":
		if name != "" && name != e.existing.User {
			e.warn("sshd runs its AuthorizedKeysCommand as %s already: it stays so, and --keys-user %s is passed over.",
				e.existing.User, name)
		}
		name = e.existing.User
	case name == "" && e.overridesUser() != "":
		name = e.overridesUser()
	case name == "":
		name = DefaultKeysUser
	}
	if _, err := user.Lookup(name); err != nil {
		var unknown user.UnknownUserError
		if !errors.As(err, &unknown) || name != DefaultKeysUser {
			return fault.Wrap(err, fault.NotFound, fault.User,
				"There is no user %s to run the keys helper as. Make one, or leave --keys-user out.", name)
		}
		if err := e.manifest.makeUser(ctx, name); err != nil {
			return err
		}
	}
	e.result.KeysUser = name
	ours := helperCommand(e.Directory)
	command, err := sshd.Chain(ours, e.existing)
	if err != nil {
		return err
	}
	e.command = sshd.KeysCommand{Command: command, User: name}
	e.result.KeysCommand = command
	e.chainOverrides(ours)
	return nil
}

// keysCommand returns the beginning of every AuthorizedKeysCommand of ours.
func keysCommand(directory string) string {
	return helperProgram(directory) + " " + host.KeysArguments(directory)
}

// helperCommand returns the AuthorizedKeysCommand that asks only our helper.
func helperCommand(directory string) string { return keysCommand(directory) + " %u %f" }

// overridesUser returns the user that the commands of all Match blocks run as; "" if they differ.
func (e *enrollment) overridesUser() string {
	name := ""
	for i, o := range e.overrides {
		if i > 0 && o.User != name {
			return ""
		}
		name = o.User
	}
	return name
}

// chainOverrides makes sshd ask our helper as well where a Match block has a command of its own, by a block for the
// same logins ahead of it. It stops at the first block for which that is not possible, as a block of ours for a later
// one could take its logins. It is not possible for another user than the one that the agent admits, nor for an sshd
// without Include, where no block can be put ahead of theirs.
func (e *enrollment) chainOverrides(ours string) {
	for _, o := range e.overrides {
		theirs := sshd.KeysCommand{Command: o.Command, User: cmp.Or(o.User, e.existing.User)}
		command, err := sshd.Chain(ours, theirs)
		if err != nil || o.Nested || strings.EqualFold(o.Command, "none") || theirs.User != e.command.User ||
			!e.version.HasInclude() {
			return
		}
		both := sshd.KeysCommand{Command: command, User: theirs.User}
		e.matched = append(e.matched, sshd.Matched{Match: o.Match, Principals: o.Principals, KeysCommand: both})
	}
}

// loginCandidates returns the users with whom a login can be tried: the one who called sudo, root, and people.
func loginCandidates(passwd string) []string {
	candidates := []string{"root"}
	if name := os.Getenv("SUDO_USER"); name != "" && name != "root" {
		if _, err := user.Lookup(name); err == nil {
			candidates = []string{name, "root"}
		}
	}
	users, _ := host.LoginUsers(passwd)
	for _, u := range users {
		if u.UID >= 1000 && u.UID < 65534 && !slices.Contains(candidates, u.Name) {
			candidates = append(candidates, u.Name)
		}
	}
	return candidates[:min(len(candidates), maxCandidates)]
}

// maxCandidates bounds the number of users whose logins are tried.
const maxCandidates = 12
