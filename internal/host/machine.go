package host

import (
	"context"
	"log/slog"
	"time"

	"github.com/sallyport/sallyport/internal/host/sshd"
	"github.com/sallyport/sallyport/internal/hostproto"
)

// Logins judges logins that a pushed key is to make possible.
type Logins interface {
	// Judge returns why the user, whom a grant names, could not log in by the key, "TYPE BASE64", if the machine held the
	// grant; the zero Ack if nothing speaks against it, or as far as the machine can tell. It returns within seconds,
	// whatever it asks.
	Judge(ctx context.Context, user, publicKey string) hostproto.Ack
}

// Machine judges logins as this machine's sshd, PAM and shells would. It is safe for concurrent use.
type Machine struct {
	sshd *Watch
	now  func() time.Time // the machine's own clock, which accounts expire by
	log  *slog.Logger
}

// NewMachine returns a Machine whose sshd is watched.
func NewMachine(watch *Watch, now func() time.Time, log *slog.Logger) *Machine {
	return &Machine{sshd: watch, now: now, log: log}
}

// Judge implements Logins. What cannot be found out refuses nobody: the login will tell.
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

// refusal returns, as a sentence, why the account lets nobody in.
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
