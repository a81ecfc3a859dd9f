package host

import (
	"context"
	"log/slog"
	"time"

	"github.com/sallyport/sallyport/internal/host/sshd"
	"github.com/sallyport/sallyport/internal/hostproto"
)

// Logins judges whether a user could log in with a pushed key.
type Logins interface {
	// Judge returns the Ack that says why the user could not log in with the key, "TYPE BASE64", if the machine had a
	// grant of it. It returns the zero Ack if there is no obstacle, or none that the machine can find. It returns
	// within seconds.
	Judge(ctx context.Context, user, publicKey string) hostproto.Ack
}

// Machine judges logins as the machine's sshd, PAM and shells would. It is safe for concurrent use.
type Machine struct {
	sshd *Watch
	now  func() time.Time // the machine's own clock, by which accounts expire
	log  *slog.Logger
}

// NewMachine returns a Machine. It knows sshd's configuration from watch.
func NewMachine(watch *Watch, now func() time.Time, log *slog.Logger) *Machine {
	return &Machine{sshd: watch, now: now, log: log}
}

// Judge implements Logins. If it cannot find something out, it does not refuse the user for it.
func (m *Machine) Judge(ctx context.Context, user, publicKey string) hostproto.Ack {
	found, ok, err := lookup(ctx, user)
	switch {
	case err != nil:
		m.log.Warn("a user could not be looked up", "user", user, "error", err)
		return hostproto.Ack{Code: hostproto.AckFailed, Message: "the machine could not look up the user"}
	case !ok:
		return hostproto.Ack{Code: hostproto.AckUnknownUser}
	}
	view := m.sshd.Look(ctx)
	if view.Problem != "" {
		return hostproto.Refused("", "%s", view.Problem)
	}
	settings := m.sshd.SettingsOf(ctx, user)
	if settings == nil {
		return hostproto.Ack{}
	}
	if _, told := settings["authorizedkeyscommand"]; told {
		if why := settings.AsksAnother(m.sshd.config, m.sshd.helper); why != "" {
			return hostproto.Refused(hostproto.SubjectUser, "%s", why)
		}
	}
	if why := settings.RefusesKey(publicKey); why != "" {
		return hostproto.Refused(hostproto.SubjectKey, "%s", why)
	}
	if why := m.refusal(ctx, found, settings); why != "" {
		return hostproto.Refused(hostproto.SubjectUser, "%s", why)
	}
	return hostproto.Ack{}
}

// refusal returns a sentence that says why the account cannot log in; "" if it can.
func (m *Machine) refusal(ctx context.Context, found account, settings sshd.Settings) string {
	asked := sshd.Account{Name: found.name, UID: found.uid, Shell: found.shell}
	if settings.NamesGroups() {
		var err error
		if asked.Groups, err = groupsOf(ctx, found.name); err != nil {
			m.log.Warn("a user's groups could not be looked up", "user", found.name, "error", err)
			return ""
		}
	}
	age, known := shadowOf(ctx, found)
	asked.Locked = age.locked
	if why := settings.Refusal(asked); why != "" {
		return why
	}
	if known {
		if why := age.refusal(found.name, m.now(), settings.UsesPAM()); why != "" {
			return why
		}
	}
	if found.uid != 0 {
		return closed(settings.UsesPAM())
	}
	return ""
}
