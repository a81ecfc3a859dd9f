package debian

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// bootScript turns its namespaces into a machine: the file systems that a boot empties are empty, and the kernel's, of
// which there is only one, are read-only. Then systemd starts, without the capabilities to set the clock, load modules
// or make devices.
const bootScript = `
mount -t proc proc /proc
mount --bind /proc/sys /proc/sys
mount -o remount,bind,ro /proc/sys
mount -t sysfs -o ro sysfs /sys
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mount -t tmpfs -o mode=0755 tmpfs /run
mount -t tmpfs -o mode=1777 tmpfs /tmp
exec setpriv --bounding-set=-sys_time,-sys_module,-sys_rawio,-syslog,-mknod /lib/systemd/systemd
`

// Machine is the Debian of this process as a machine that was switched on: systemd is its first process and starts its
// services. It shares the root file system and the network with this process, so its sshd is at 127.0.0.1:22. It has
// its own /proc, /run, /tmp, host name and processes. This process is beside it, like an administrator's laptop, and
// enters it by ssh. `systemctl reboot` works.
type Machine struct {
	ended chan struct{} // closed when the machine is off

	mu    sync.Mutex
	first *os.Process // its process 1, as this process sees it
	off   bool        // Off was called: it must not boot again
	err   error       // why it ended, if Off was not called
}

// Boot switches the machine on and returns at once. The machine is up when its sshd answers. Boot works only where
// Inside reports true.
func Boot() (*Machine, error) {
	m := &Machine{ended: make(chan struct{})}
	booted, err := m.boot()
	if err != nil {
		return nil, err
	}
	go func() {
		defer close(m.ended)
		for err == nil && booted() {
			booted, err = m.boot()
		}
		m.mu.Lock()
		defer m.mu.Unlock()
		m.err = errors.Join(m.err, err)
	}()
	return m, nil
}

// boot starts systemd. The function that it returns waits until the machine is off, and reports whether it rebooted.
func (m *Machine) boot() (wait func() bool, err error) {
	group, err := newCgroup()
	if err != nil {
		return nil, fmt.Errorf("boot the Debian: a cgroup: %w", err)
	}
	var said bytes.Buffer
	// The cgroup namespace comes last: its root is the cgroup that the process is in when it enters it.
	cmd := exec.Command("unshare", "--cgroup", "sh", "-ec", bootScript)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "container=test"}
	cmd.Stdout, cmd.Stderr = &said, &said
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWUTS | syscall.CLONE_NEWIPC,
		UseCgroupFD: true,
		CgroupFD:    int(group.directory.Fd()),
		Setsid:      true,
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.off {
		return func() bool { return false }, group.remove()
	}
	if err := cmd.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("boot the Debian: %w", err), group.remove())
	}
	m.first = cmd.Process
	return func() bool {
		err := cmd.Wait()
		removeErr := group.remove()
		m.mu.Lock()
		defer m.mu.Unlock()
		status, _ := cmd.ProcessState.Sys().(syscall.WaitStatus)
		// reboot(2) in a PID namespace kills its process 1 with SIGHUP.
		reboot := status.Signaled() && status.Signal() == syscall.SIGHUP
		if !reboot && !m.off {
			m.err = fmt.Errorf("the machine ended: %w\n%s", err, said.Bytes())
		}
		m.err = errors.Join(m.err, removeErr)
		return reboot
	}, nil
}

// Journal returns the log of the machine's services, to explain a failed test.
func (m *Machine) Journal() string {
	m.mu.Lock()
	pid := m.first.Pid
	m.mu.Unlock()
	output, err := exec.Command("nsenter", "--target", strconv.Itoa(pid), "--all", "--root", "journalctl", "--no-pager",
		"--lines=200").CombinedOutput()
	if err != nil {
		return fmt.Sprintf("%s%v", output, err)
	}
	return string(output)
}

// Off switches the machine off, returns when all of its processes have ended, and reports why it had ended before, if
// it had.
func (m *Machine) Off() error {
	m.mu.Lock()
	m.off = true
	m.first.Kill() // the kernel then kills every process of the namespace
	m.mu.Unlock()
	<-m.ended
	return m.err
}

// CanBoot returns an error that says what Boot needs and this system does not permit. Like Boot, it works only where
// Inside reports true.
func CanBoot() error {
	group, err := newCgroup()
	if err == nil {
		err = group.remove()
	}
	if err != nil {
		return fmt.Errorf("this system permits no cgroup of version 2 for a systemd of the test's own: %w", err)
	}
	return nil
}

// cgroup is a cgroup of the machine's own, with all that its processes make below it.
type cgroup struct{ tree, directory *os.File }

// newCgroup makes a cgroup below the one that Command was called in, which is the root of this cgroup namespace. In the
// system's own namespace, mounting the file system would change the options of the system's mount. It is mounted for
// this process only and at no path, since a system may have it anywhere, or beside version 1.
func newCgroup() (cgroup, error) {
	configuration, err := unix.Fsopen("cgroup2", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return cgroup{}, err
	}
	defer unix.Close(configuration)
	if err := unix.FsconfigCreate(configuration); err != nil {
		return cgroup{}, err
	}
	mounted, err := unix.Fsmount(configuration, unix.FSMOUNT_CLOEXEC, 0)
	if err != nil {
		return cgroup{}, err
	}
	tree := os.NewFile(uintptr(mounted), "cgroup2")
	path, err := os.MkdirTemp(filepath.Join("/proc/self/fd", strconv.Itoa(mounted)), "sallyport-test-")
	if err != nil {
		return cgroup{}, errors.Join(err, tree.Close())
	}
	directory, err := os.Open(path)
	if err == nil {
		err = directory.Chmod(0o755) // the machine's users have cgroups below it
	}
	if err != nil {
		return cgroup{}, errors.Join(err, os.Remove(path), tree.Close())
	}
	return cgroup{tree: tree, directory: directory}, nil
}

// remove removes the cgroup and those below it. Their processes have ended.
func (c cgroup) remove() error {
	var paths []string
	err := filepath.WalkDir(c.directory.Name(), func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.IsDir() {
			paths = append(paths, path)
		}
		return err
	})
	for _, path := range slices.Backward(paths) {
		err = errors.Join(err, os.Remove(path))
	}
	return errors.Join(err, c.directory.Close(), c.tree.Close())
}
