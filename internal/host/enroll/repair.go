package enroll

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/sallyport/sallyport/internal/fault"
	"github.com/sallyport/sallyport/internal/host"
)

// Repair restores what an enrollment has lost on its machine: the helper, the service, sshd's lines, the helper's user.
// It undoes what is left of these and makes them again, with the trials that Run makes. The machine stays the same
// instance, so no token is needed. Of the options, Repair uses Directory, Program, Version, SkipTestLogin, Now and
// Random, and takes the rest from the enrollment. The error is a NotFound fault if the identity is lost: un-enroll the
// machine and enroll it anew.
func Repair(ctx context.Context, options Options, progress Progress) (Result, error) {
	if os.Geteuid() != 0 {
		return Result{}, fault.New(fault.Denied, fault.Enrollment, "Only root can repair an enrollment. Try again with sudo.")
	}
	if err := checkBuild(); err != nil {
		return Result{}, err
	}
	options.setDefaults()
	config, m, release, err := lockComplete(options.Directory)
	if err != nil {
		return Result{}, err
	}
	defer release()
	options.SSHDConfig, options.KeysUser, options.Service = config.SSHDConfig, config.KeysUser, m.service()
	e := &enrollment{Options: options, progress: progress, manifest: m}
	e.result = Result{
		InstanceID: config.InstanceID, Account: config.Account, Region: config.Region, Zone: config.Zone,
		Server: config.Server, Directory: options.Directory, Service: options.Service,
	}
	if err := e.repair(ctx, config); err != nil {
		undoing, cancel := context.WithTimeout(context.WithoutCancel(ctx), rollbackTimeout)
		defer cancel()
		err = errors.Join(err, m.undoOnly(undoing, progress, isRemade))
		return Result{}, fault.Wrap(err, fault.WrongState, fault.Enrollment,
			"%s sshd does not ask Sallyport now, and ordinary keys work as ever. Mend that and try again, or run "+
				"`sallyport-host unenroll`.", fault.Explain(err))
	}
	return e.result, nil
}

// lockComplete locks the directory of a complete enrollment and reads it.
func lockComplete(directory string) (host.Config, *manifest, func(), error) {
	config, err := Enrolled(directory)
	if err != nil {
		return config, nil, nil, fault.Wrap(err, fault.NotFound, fault.Enrollment,
			"There is no enrollment in %s to repair (%v). Take back what may be left of one with `sallyport-host unenroll`, "+
				"and enroll the machine anew.", directory, err)
	}
	release, err := lockDirectory(directory)
	if err != nil {
		return config, nil, nil, err
	}
	m, err := readManifest(directory)
	if err == nil && m == nil {
		err = fmt.Errorf("%s was removed just now", filepath.Join(directory, ManifestFile))
	}
	if err != nil {
		release()
		return config, nil, nil, err
	}
	return config, m, release, m.save() // a recognised manifest is written here for the first time
}

func (e *enrollment) repair(ctx context.Context, config host.Config) error {
	takeBack := func(ctx context.Context) error { return e.manifest.undoOnly(ctx, e.progress, isRemade) }
	keepUser := func(context.Context) error {
		config.KeysUser = e.result.KeysUser
		return config.Save(e.Directory)
	}
	return e.steps(ctx, []step{
		{"Take back what is left", takeBack},
		{"Check sshd's configuration", e.lookAtSSHD},
		{"Look for files in the way", e.nothingInTheWay},
		{"Install the keys helper", e.install},
		{"Choose the keys helper's user", e.chooseUser},
		{"Write down the keys helper's user", keepUser},
		{"Compare sshd's settings", e.compareSettings},
		{"Try a login under the new sshd configuration", e.tryLogin},
		{"Try other ways in", e.tryOtherWays},
		{"Start the agent", e.startAgent},
		{"Wait for the link", e.awaitLink},
		{"Try a login with the agent running", e.tryLogin},
		{"Write sshd's configuration", e.configureSSHD},
		{"Reload sshd", e.reloadSSHD},
	})
}

// isRemade reports whether a repair undoes the change and makes it again. The changes that hold the identity stay.
func isRemade(c change) bool {
	switch c.Kind {
	case madeDirectory, madeIdentity, madeUser:
		return false
	}
	return true
}

// service returns how the enrollment's agent is kept running.
func (m *manifest) service() Service {
	service := ServiceNone
	for _, c := range m.Changes {
		switch c.Kind {
		case madeService:
			return ServiceSystemd
		case madeInit:
			return ServiceSysV
		case madeProcess:
			service = ServiceDetached
		}
	}
	return service
}
