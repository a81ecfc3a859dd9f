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

// Unenroll takes back everything that enrollment did to the machine, and leaves no trace. It needs root and no
// control plane; whoever un-enrolls on the machine's side terminates the instance there too, or it stays listed
// as stopped. It goes on after errors and returns them all; run again, it takes up what is left. NotFound says
// that the directory holds no enrollment.
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
		return fault.Wrap(err, fault.WrongState, fault.Enrollment, "The machine is not wholly un-enrolled. Mend what is reported above and run `sallyport-host unenroll --directory %s` again.", directory)
	}
	return nil
}

// lockToUndo locks the directory and returns what is to be undone there. Where the directory itself is lost, it is
// made again, for the lock and for what cannot be undone.
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
	if errors.Is(err, fs.ErrNotExist) { // who had the lock has un-enrolled the machine
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

// LaunchUnenroll starts `sallyport-host unenroll --dismissed` as a process that outlives the caller, which is the
// agent that it will stop: it is what the agent does when the control plane has ended the enrollment. With
// systemd it is a unit of its own, as stopping the agent's would end it too.
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
