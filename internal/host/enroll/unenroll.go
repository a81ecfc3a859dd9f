package enroll

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"

	"github.com/sallyport/sallyport/internal/fault"
	"github.com/sallyport/sallyport/internal/host"
)

// Unenroll undoes everything that enrollment did to the machine, and leaves no trace. It needs root but no control
// plane: the control plane lists the instance as stopped until somebody terminates it there. Unenroll goes on after
// errors and returns them all; another run continues with what is left. The error is a NotFound fault if the directory
// holds no enrollment.
func Unenroll(ctx context.Context, directory string, progress Progress) error {
	if os.Geteuid() != 0 {
		return fault.New(fault.Denied, fault.Enrollment, "Only root can un-enroll a machine. Try again with sudo.")
	}
	if directory == "" {
		directory = host.DefaultDirectory
	}
	directory = filepath.Clean(directory)
	m, release, err := lockToUndo(directory)
	if err != nil {
		return err
	}
	defer release()
	if err := m.undo(ctx, progress); err != nil {
		return fault.Wrap(err, fault.WrongState, fault.Enrollment,
			"The machine is not wholly un-enrolled. Mend what is reported above "+
				"and run `sallyport-host unenroll --directory %s` again.", directory)
	}
	return nil
}

// lockToUndo locks the directory and returns the changes to undo. If the directory itself is lost, it is made again,
// for the lock and for the record of what cannot be undone.
func lockToUndo(directory string) (*manifest, func(), error) {
	absent := fault.New(fault.NotFound, fault.Enrollment,
		"This machine is not enrolled: there is no %s.", filepath.Join(directory, ManifestFile))
	if !isThere(directory) {
		if m, err := recognise(directory); m == nil {
			return nil, nil, cmp.Or(err, error(absent))
		}
		if err := os.MkdirAll(directory, 0o755); err != nil {
			return nil, nil, err
		}
	}
	release, err := lockDirectory(directory)
	if errors.Is(err, fs.ErrNotExist) { // the previous holder of the lock has un-enrolled the machine
		return nil, nil, absent
	}
	if err != nil {
		return nil, nil, err
	}
	m, err := readManifest(directory)
	if err == nil && m == nil {
		err = absent
	}
	if err != nil {
		release()
		return nil, nil, err
	}
	return m, release, nil
}

// LaunchUnenroll starts `sallyport-host unenroll --dismissed` as a process that outlives the caller, an agent whose
// enrollment the control plane has ended. The process stops that agent. Under systemd it gets a unit of its own, as it
// would end with the agent's.
func LaunchUnenroll(ctx context.Context, directory string) error {
	program, err := os.Executable()
	if err != nil {
		return err
	}
	argv := []string{program, "unenroll", "--dismissed", "--directory", directory}
	if service, err := ServiceAuto.choose(); err == nil && service == ServiceSystemd {
		return command(ctx, "systemd-run", append([]string{"--quiet", "--collect"}, argv...)...)
	}
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return err
	}
	return cmd.Process.Release()
}
