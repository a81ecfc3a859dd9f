// Package enroll makes a machine a host of Sallyport and takes it back, so that nobody is ever locked out: every
// change is written down before it is made, sshd's new configuration is tried by a real login before the
// running sshd hears of it, and whatever goes wrong is rolled back.
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

// Options says how to enroll. Token, Program, Now and Random are required; every other zero value is the usual
// choice.
type Options struct {
	Token string // as `sallyport host-token` printed it
	// Directory is host.DefaultDirectory if it is empty. An enrollment under another one touches nothing outside of
	// it but sshd's configuration, the service manager's files and, where KeysUser leaves it to us, the system's users.
	Directory string
	Program   string // the sallyport-host to install; a running sallyport-host passes its own path
	Version   string // of it, to report

	SSHDConfig string       // another than that of the sshd that runs, for a private one
	PIDFile    string       // of the running sshd; what the configuration says if empty
	Port       int          // the port to report; what the configuration says if zero
	Addresses  []netip.Addr // to report; those that sshd is bound to if empty, the machine's own if it is bound to none

	KeysUser      string // whom sshd runs the keys helper as; DefaultKeysUser, made if it must be, unless sshd has one already
	Service       Service
	SkipTestLogin bool // go on where no user can be found to try a login with

	Now    func() time.Time
	Random io.Reader
}

// DefaultKeysUser is the system user that enrollment makes.
const DefaultKeysUser = "sallyport"

// rollbackTimeout bounds undoing everything, which goes on after the caller has given up.
const rollbackTimeout = 3 * time.Minute

// Result is what a finished enrollment comes to.
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
	NotTried    []string `json:"notTried,omitempty"` // ways to log in, and how they were judged instead
}

// Run enrolls this machine. It needs root. On any error, and when the context ends, the machine is as it was
// before; only the control plane may still list an instance that never links, of which the error then tells.
// An enrollment that was killed midway is cleaned up first. Errors are faults: Exists if the directory is
// enrolled already, Denied, Invalid, Unavailable or WrongState otherwise.
func Run(ctx context.Context, options Options, progress Progress) (Result, error) {
	if os.Geteuid() != 0 {
		return Result{}, fault.New(fault.Denied, fault.Enrollment, "Only root can enroll a machine: sshd's configuration and the agent's key are root's. Try again with sudo.")
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
			"%s Rolling back did not succeed whole: mend what is reported above, then run `sallyport-host unenroll --directory %s`.", fault.Explain(err), options.Directory)
	}
	if e.result.InstanceID != "" {
		return Result{}, fault.Wrap(err, fault.Of(err).Kind, fault.Enrollment, "%s The machine is as it was before. The control plane lists it as %s, which will not come up: remove it with `aws ec2 terminate-instances --instance-ids %s`.",
			fault.Explain(err), e.result.InstanceID, e.result.InstanceID)
	}
	return Result{}, err
}

// Enrolled returns the enrollment that the directory holds. host.ErrNotEnrolled (wrapped) is the answer for one that did
// not end, too, which Run would clean up.
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

// enrollment is one Run under way.
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
	settings  sshd.Settings // before us
	existing  sshd.KeysCommand
	overrides []sshd.Override  // Match blocks' own, before us
	command   sshd.KeysCommand // what we set
	repeated  sshd.KeysCommand // for principals, where sshd would pass over it otherwise
	matched   []sshd.Matched   // and for the logins of Match blocks
	users     []string         // whose login may be tried, the best first
	login     string           // whose login worked
}

// apply makes the changes. What can fail without the control plane comes before the token is used up, and sshd's
// files last.
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

// step is a part of an enrollment that people see the progress of.
type step struct {
	name string
	run  func(context.Context) error
}

// steps runs the steps up to the first that fails.
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
	if err != nil && ctx.Err() != nil { // the step says what it missed, not why
		err = fault.Wrap(err, fault.Unavailable, fault.Enrollment, "Enrollment was interrupted at: %s.", name)
	}
	e.progress.end(name, err)
	return err
}

// warn tells the user now and in the result, once: some steps are made twice.
func (e *enrollment) warn(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if slices.Contains(e.result.Warnings, text) {
		return
	}
	e.result.Warnings = append(e.result.Warnings, text)
	e.progress.warn(text)
}
