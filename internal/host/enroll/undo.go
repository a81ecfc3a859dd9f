package enroll

import (
	"context"
	"fmt"

	"github.com/sallyport/sallyport/internal/host/sshd"
)

// undo undoes one change. Nothing needs to be as the change left it: what is gone already is no error.
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

// undoReload makes sshd read its configuration again, now without our lines. It starts the daemon if our reload ended
// it. If sshd does not accept the configuration, somebody else's edit broke it: the daemon keeps its present
// configuration, which accepts ordinary keys even though our command is gone, and the error says what to mend.
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

// reloading is the Name of a change while a running sshd is about to be told to reload. If sshd does not run
// afterwards, the reload ended it.
const reloading = "reloading"

// markReload sets or removes the mark. Once sshd has reloaded, an sshd that does not run was stopped on purpose.
func (m *manifest) markReload(mark string) error {
	for i := range m.Changes {
		if m.Changes[i].Kind == reloadedSSHD {
			m.Changes[i].Name = mark
		}
	}
	return m.save()
}
