// Package enroll makes a machine a host of Sallyport and undoes that again, so that nobody is ever locked out. It
// records every change before it makes it, tries sshd's new configuration by a real login before it reloads the running
// sshd, and rolls back after any error.
package enroll

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/sallyport/sallyport/internal/fault"
	"github.com/sallyport/sallyport/internal/host"
	"github.com/sallyport/sallyport/internal/host/sshd"
	"github.com/sallyport/sallyport/internal/hostproto"
)

// Options configures an enrollment. Token, Program, Now and Random are required; for every other field the zero value
// is the usual choice.
type Options struct {
	Token string // as `sallyport host-token` printed it
	// Directory is host.DefaultDirectory if it is empty. Outside another directory, an enrollment touches only sshd's
	// configuration, the service manager's files and, if KeysUser is empty, the system's users.
	Directory string
	Program   string // the sallyport-host to install; a running sallyport-host passes its own path
	Version   string // Program's version, to report

	SSHDConfig string       // the configuration of a private sshd; empty for the sshd that runs
	PIDFile    string       // of the running sshd; taken from the configuration if empty
	Port       int          // the port to report; taken from the configuration if zero
	Addresses  []netip.Addr // to report; if empty, those that sshd is bound to, or else all of the machine's

	KeysUser      string // the user sshd runs the helper as; if empty, the one sshd has, else DefaultKeysUser
	Service       Service
	SkipTestLogin bool // go on if no user can be found to try a login with

	Now    func() time.Time
	Random io.Reader
}

// DefaultKeysUser is the system user that enrollment makes.
const DefaultKeysUser = "sallyport"

// rollbackTimeout bounds a rollback, which goes on after the caller's context has ended.
const rollbackTimeout = 3 * time.Minute

// Result describes a finished enrollment.
type Result struct {
	InstanceID  string   `json:"instanceId"`
	Account     string   `json:"account"`
	Region      string   `json:"region"`
	Zone        string   `json:"zone"`
	Server      string   `json:"server"`
	Directory   string   `json:"directory"`
	Service     Service  `json:"service"`
	KeysCommand string   `json:"keysCommand"`
	KeysUser    string   `json:"keysUser"`
	TestLogin   string   `json:"testLogin,omitempty"` // the user whose login was tried
	Warnings    []string `json:"warnings,omitempty"`
	NotTried    []string `json:"notTried,omitempty"` // ways to log in that were judged without a login
}

// Run enrolls this machine. It needs root. After any error, and when the context ends, the machine is as it was before.
// Only the control plane may then still list an instance that never links; the error says so. Run first cleans up after
// an enrollment that was killed. Errors are faults: Exists if the directory is enrolled already, otherwise Denied,
// Invalid, Unavailable or WrongState.
func Run(ctx context.Context, options Options, progress Progress) (Result, error) {
	if os.Geteuid() != 0 {
		return Result{}, fault.New(fault.Denied, fault.Enrollment,
			"Only root can enroll a machine: sshd's configuration and the agent's key are root's. Try again with sudo.")
	}
	if err := checkBuild(); err != nil {
		return Result{}, err
	}
	options.setDefaults()
	e := &enrollment{Options: options, progress: progress}
	if err := e.preflight(ctx); err != nil {
		return Result{}, err
	}
	release, err := e.begin()
	if err != nil {
		return Result{}, err
	}
	defer release()
	err = e.apply(ctx)
	if err == nil {
		e.manifest.Complete = true
		err = e.manifest.save()
	}
	if err == nil {
		return e.result, nil
	}
	progress.note("Rolling back: " + fault.Explain(err))
	undoing, cancel := context.WithTimeout(context.WithoutCancel(ctx), rollbackTimeout)
	defer cancel()
	if undoErr := e.manifest.undo(undoing, progress); undoErr != nil {
		return Result{}, fault.Wrap(fmt.Errorf("%w; rolling back: %w", err, undoErr), fault.WrongState, fault.Enrollment,
			"%s Rolling back did not succeed whole: mend what is reported above, "+
				"then run `sallyport-host unenroll --directory %s`.", fault.Explain(err), options.Directory)
	}
	if e.result.InstanceID != "" {
		return Result{}, fault.Wrap(err, fault.Of(err).Kind, fault.Enrollment,
			"%s The machine is as it was before. The control plane lists it as %s, which will not come up: "+
				"remove it with `aws ec2 terminate-instances --instance-ids %s`.",
			fault.Explain(err), e.result.InstanceID, e.result.InstanceID)
	}
	return Result{}, err
}

// Enrolled returns the enrollment that the directory holds. The error wraps host.ErrNotEnrolled if there is none, or
// only one that did not end, which Run would clean up.
func Enrolled(directory string) (host.Config, error) {
	m, err := readManifest(directory)
	if err != nil {
		return host.Config{}, err
	}
	if m == nil || !m.Complete {
		return host.Config{}, fmt.Errorf("%w: no enrollment came to its end in %s", host.ErrNotEnrolled, directory)
	}
	return host.Load(directory)
}

func (o *Options) setDefaults() {
	if o.Directory == "" {
		o.Directory = host.DefaultDirectory
	}
	o.Directory = filepath.Clean(o.Directory)
}

// enrollment is the state of one Run.
type enrollment struct {
	Options
	progress Progress
	manifest *manifest
	result   Result

	token     hostproto.Token
	key       ed25519.PrivateKey
	plane     *ControlPlane
	server    sshd.Server
	version   sshd.Version
	settings  sshd.Settings // before enrollment
	existing  sshd.KeysCommand
	overrides []sshd.Override  // of Match blocks, before enrollment
	command   sshd.KeysCommand // the command that enrollment sets
	repeated  sshd.KeysCommand // the principals' command, where sshd would ignore it otherwise
	matched   []sshd.Matched   // the commands for the logins of Match blocks
	users     []string         // users whose login may be tried, the best first
	login     string           // the user whose login worked
}

// apply makes the changes. Steps that can fail without the control plane come before the token is used up, and sshd's
// files come last.
func (e *enrollment) apply(ctx context.Context) error {
	return e.steps(ctx, []step{
		{"Install the keys helper", e.install},
		{"Choose the keys helper's user", e.chooseUser},
		{"Compare sshd's settings", e.compareSettings},
		{"Try a login under the new sshd configuration", e.tryLogin},
		{"Try other ways in", e.tryOtherWays},
		{"Enroll with the control plane", e.redeem},
		{"Start the agent", e.startAgent},
		{"Wait for the link", e.awaitLink},
		{"Try a login with the agent running", e.tryLogin},
		{"Write sshd's configuration", e.configureSSHD},
		{"Reload sshd", e.reloadSSHD},
	})
}

// step is a part of an enrollment whose progress is shown.
type step struct {
	name string
	run  func(context.Context) error
}

// steps runs the steps until one fails.
func (e *enrollment) steps(ctx context.Context, steps []step) error {
	for _, s := range steps {
		if err := e.step(ctx, s.name, s.run); err != nil {
			return err
		}
	}
	return nil
}

func (e *enrollment) step(ctx context.Context, name string, run func(context.Context) error) error {
	if err := ctx.Err(); err != nil {
		return fault.Wrap(err, fault.Unavailable, fault.Enrollment, "Enrollment was interrupted before: %s.", name)
	}
	e.progress.begin(name)
	err := run(ctx)
	if err != nil && ctx.Err() != nil { // the step's error says what it waited for, not why it stopped
		err = fault.Wrap(err, fault.Unavailable, fault.Enrollment, "Enrollment was interrupted at: %s.", name)
	}
	e.progress.end(name, err)
	return err
}

// warn shows the warning and adds it to the result, once: some steps run twice.
func (e *enrollment) warn(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if slices.Contains(e.result.Warnings, text) {
		return
	}
	e.result.Warnings = append(e.result.Warnings, text)
	e.progress.warn(text)
}
