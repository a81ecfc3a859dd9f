package enroll

import (
	"context"
	"fmt"

	"github.com/sallyport/sallyport/internal/host/sshd"
)

// undo takes one change back. It is done with things as they are: what is gone already is no error.
func (c change) undo(ctx context.Context) error {
	switch c.Kind {
	case madeDirectory:
		return c.undoDirectory()
	case madeFile:
		return c.undoFile()
	case madeIdentity:
		return c.undoIdentity()
	case madeBlock:
		return c.undoBlock()
	case madeUser:
		return c.undoUser(ctx)
	case madeService:
		return c.undoService(ctx)
	case madeInit:
		return c.undoInit(ctx)
	case madeProcess:
		_, err := StopAgent(ctx, c.Path)
		return err
	case reloadedSSHD:
		return c.undoReload(ctx)
	}
	return fmt.Errorf("the change %q is of a later release", c.Kind)
}

// undoReload makes sshd read its configuration once more, our lines being gone. A daemon that ended is started.
// If sshd does not accept what is left, somebody else's edit broke it: the daemon keeps what it has, which lets
// ordinary keys in even with our command gone, and the error says what to mend.
func (c change) undoReload(ctx context.Context) error {
	server := sshd.Server{Program: c.Program}
	if started, ok := sshd.FindStarted(ctx, c.Path, c.PIDFile); ok && started.Config == c.Path {
		server.Arguments = started.Arguments
	}
	if err := server.Check(ctx, c.Path); err != nil {
		return err
	}
	running, ok := sshd.FindRunning(c.Path, c.PIDFile)
	if !ok {
		if c.Name == reloading {
			return server.Start(ctx, c.Path)
		}
		return nil
	}
	return running.Reload(ctx)
}

// reloading marks, in a change's Name, that a running sshd was about to be told to reload: if it is not there
// afterwards, that is our doing.
const reloading = "reloading"

// markReload sets the mark, or takes it away: once sshd has reloaded, whoever stops it means it.
func (m *manifest) markReload(mark string) error {
	for i := range m.Changes {
		if m.Changes[i].Kind == reloadedSSHD {
			m.Changes[i].Name = mark
		}
	}
	return m.save()
}
