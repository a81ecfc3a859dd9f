package enroll

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"strings"
	"time"

	"github.com/sallyport/sallyport/internal/fault"
	"github.com/sallyport/sallyport/internal/host"
	"github.com/sallyport/sallyport/internal/host/sshd"
)

// linkTimeout bounds the wait for the agent's first link.
const linkTimeout = 30 * time.Second

// trialDirectory returns the directory for the files of a trial, which exists only during the trial.
func trialDirectory(directory string) string { return filepath.Join(directory, "trial") }

// dropInPath returns the file that enrollment adds to the directory that sshd's configuration usually includes.
func dropInPath(sshdConfig, directory string) string {
	return filepath.Join(filepath.Dir(sshdConfig), "sshd_config.d", "00-"+serviceName(directory)+".conf")
}

// redeem uses up the token, after all steps that can fail without it.
func (e *enrollment) redeem(ctx context.Context) error {
	config := host.Config{
		Server:     e.token.Server,
		KeysUser:   e.result.KeysUser,
		SSHPort:    e.Port,
		Addresses:  e.Addresses,
		SSHDConfig: e.SSHDConfig,
	}
	config.Socket, config.Spool = host.Places(e.Directory)
	for _, directory := range []string{filepath.Dir(config.Socket), filepath.Dir(config.Spool)} {
		if err := e.manifest.makeDirectory(directory); err != nil {
			return err
		}
	}
	if err := e.manifest.record(change{Kind: madeIdentity, Path: e.Directory}); err != nil {
		return err
	}
	if err := reserveSpool(config.Spool); err != nil {
		return err
	}
	watch := host.NewWatch(config, e.Directory, slog.New(slog.DiscardHandler))
	report := host.NewReporter(config, e.Version, watch).Report(ctx)
	report.Problems = nil // sshd does not ask us yet; the agent's own report will say
	enrolled, err := e.plane.Redeem(ctx, report)
	if err != nil {
		return err
	}
	config.InstanceID, config.Account = enrolled.InstanceID, enrolled.Account
	config.Region, config.Zone = enrolled.Region, enrolled.Zone
	e.result.InstanceID, e.result.Account = enrolled.InstanceID, enrolled.Account
	e.result.Region, e.result.Zone = enrolled.Region, enrolled.Zone
	e.result.Server, e.result.Directory, e.result.Service = config.Server, e.Directory, e.Service
	if err := host.SaveIdentity(e.Directory, e.key, enrolled.Authority); err != nil {
		return err
	}
	return config.Save(e.Directory) // last: without it there is no enrollment
}

// reserveSpool reserves the space in which the agent records the use of keys. Without it every push would be refused.
func reserveSpool(path string) error {
	spool, err := host.OpenSpool(path)
	if err == nil {
		err = errors.Join(spool.Room(""), spool.Close())
	}
	if err != nil {
		return fault.Wrap(err, fault.WrongState, fault.Enrollment,
			"There is no room to record the use of keys in %s: %v.", path, err)
	}
	return nil
}

func (e *enrollment) startAgent(ctx context.Context) error {
	if e.Service == ServiceNone {
		agent := agentCommand(agentProgram(e.Directory), e.Directory)
		e.progress.note("The agent is the caller's to run: " + strings.Join(agent, " "))
	}
	return e.manifest.startService(ctx, e.Service, agentProgram(e.Directory))
}

// awaitLink waits until the control plane has accepted the agent's link.
func (e *enrollment) awaitLink(ctx context.Context) error {
	if e.Service == ServiceNone {
		return nil
	}
	config, err := host.Load(e.Directory)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, linkTimeout)
	defer cancel()
	var status host.AgentStatus
	for {
		if status, err = host.AskStatus(config); err == nil && status.Link.Linked {
			return nil
		}
		select {
		case <-ctx.Done():
			why := status.Link.Error
			if err != nil {
				why = err.Error()
			}
			return fault.Wrap(ctx.Err(), fault.Unavailable, fault.Agent,
				"The agent did not link with %s within %v: %s", config.Server, linkTimeout, why)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// configureSSHD writes the drop-in, and makes sshd's configuration read it first unless it does so already. The
// resulting settings must be those that were tried. The running sshd does not use the files yet.
func (e *enrollment) configureSSHD(ctx context.Context) error {
	expected, err := e.expectedSettings(ctx)
	if err != nil {
		return err
	}
	reload := change{Kind: reloadedSSHD, Path: e.SSHDConfig, Program: e.server.Program, PIDFile: e.PIDFile}
	if err := e.manifest.record(reload); err != nil {
		return err
	}
	block := e.dropIn()
	if e.version.HasInclude() {
		path := dropInPath(e.SSHDConfig, e.Directory)
		if err := e.manifest.makeDirectory(filepath.Dir(path)); err != nil {
			return err
		}
		if err := e.manifest.makeFile(path, []byte(block), 0o644); err != nil {
			return err
		}
		settings, settingsErr := e.server.Effective(ctx, e.SSHDConfig, "")
		exceptions, err := unasked(e.SSHDConfig, e.Directory)
		if err != nil {
			return err
		}
		if settingsErr == nil && settings.Equal(expected) && len(exceptions) == len(e.overrides)-len(e.matched) {
			return e.warnOfOverrides()
		}
		block = sshd.IncludeBlock(path) // the directory is not included, or not first
	}
	if err := e.manifest.addBlock(e.SSHDConfig, block); err != nil {
		return err
	}
	if err := e.server.Check(ctx, e.SSHDConfig); err != nil {
		return err
	}
	settings, err := e.server.Effective(ctx, e.SSHDConfig, "")
	if err != nil {
		return err
	}
	if keyword := settings.Difference(expected); keyword != "" {
		return fault.New(fault.WrongState, fault.Sshd,
			"The configuration does not come to what was tried: %s is %q instead of %q. Does something else edit %s now?",
			keyword, settings.Get(keyword), expected.Get(keyword), e.SSHDConfig)
	}
	return e.warnOfOverrides()
}

// warnOfOverrides warns of the Match blocks for whose logins sshd will not ask us.
func (e *enrollment) warnOfOverrides() error {
	exceptions, err := unasked(e.SSHDConfig, e.Directory)
	for _, o := range exceptions {
		e.warn("%s: pushed keys do not work for logins that it matches.", o)
	}
	return err
}

// unasked returns the Match blocks for whose logins sshd does not ask us.
func unasked(config, directory string) ([]sshd.Override, error) {
	overrides, err := sshd.Overrides(config)
	return sshd.Unasked(overrides, keysCommand(directory)), err
}

// reloadSSHD makes the running sshd load the configuration, and checks that it still answers.
func (e *enrollment) reloadSSHD(ctx context.Context) error {
	running, ok := sshd.FindRunning(e.SSHDConfig, e.PIDFile)
	if !ok {
		if !e.settings.Answered() { // an sshd that is started for each connection needs no reload
			e.warn("No daemon of sshd runs here for %s, and nothing waits for connections in its place: start it.", e.SSHDConfig)
		}
		return nil
	}
	if err := e.server.Check(ctx, e.SSHDConfig); err != nil {
		return err
	}
	if err := e.manifest.markReload(reloading); err != nil {
		return err
	}
	if err := running.Reload(ctx); err != nil {
		return err
	}
	if address := e.settings.Listens(); address.IsValid() && e.login != "" {
		if err := sshd.Probe(ctx, address, e.login, e.Random); err != nil {
			return fault.Wrap(err, fault.Unavailable, fault.Sshd,
				"sshd does not answer as it should at %s after reloading: %v.", address, err)
		}
	}
	return e.manifest.markReload("")
}
