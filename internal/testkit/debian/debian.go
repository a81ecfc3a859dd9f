// Package debian gives a test a Debian of its own: a root file system that mmdebstrap builds once and keeps in the
// user's cache. Each run changes only a copy-on-write layer in memory. This same program runs in it, started again as
// the first process of its own mount, process, network, host name, IPC and cgroup namespaces, with the Debian as its
// root. It cannot reach the machine's own sshd, users, files or loopback. Boot turns the Debian into a machine whose
// first process is systemd.
//
// A program calls Enter first thing in main or TestMain, and Command to be started again inside.
package debian

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// Suite is a release of Debian.
type Suite string

// The releases that tests use.
const (
	Bookworm Suite = "bookworm" // Debian 12, with clients for tests
	Bullseye Suite = "bullseye" // Debian 11: OpenSSH 8.4, whose ssh.socket starts one sshd for each connection
)

// packages returns the packages of the suite's Debian besides the minimal ones.
func (s Suite) packages() string {
	if s == Bookworm {
		return "openssh-server,openssh-client,awscli,python3-boto3,procps,curl,systemd-sysv,dbus,libpam-systemd"
	}
	return "openssh-server,openssh-client,procps,systemd-sysv,dbus,libpam-systemd"
}

// entryVariable passes the entry to the new process.
const entryVariable = "SALLYPORT_TEST_DEBIAN"

// ErrUnavailable reports that no Debian can be had on this machine.
var ErrUnavailable = errors.New("a Debian for the test cannot be had here")

// entry is what the process inside needs to know.
type entry struct {
	Root  string            // the cached file system
	Files map[string]string // programs to copy: from path, to path
}

// Command returns a command that starts this program again inside a fresh Debian of the suite, with the arguments. It
// copies the files into the Debian with mode 0755: keys are paths here, values paths there. Errors wrap ErrUnavailable
// if the machine cannot provide a Debian.
func Command(ctx context.Context, suite Suite, files map[string]string, args ...string) (*exec.Cmd, error) {
	if os.Geteuid() != 0 {
		return nil, fmt.Errorf("%w: namespaces and mounts need root", ErrUnavailable)
	}
	root, err := suite.build(ctx)
	if err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	told, err := json.Marshal(entry{Root: root, Files: files})
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, self, args...)
	// A fresh machine has a fresh environment, which names none of this machine's files or accounts.
	cmd.Env = []string{
		entryVariable + "=" + string(told), "PATH=" + os.Getenv("PATH"), "TMPDIR=" + os.TempDir(), "LANG=C.UTF-8",
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWNET |
			syscall.CLONE_NEWUTS | syscall.CLONE_NEWIPC | syscall.CLONE_NEWCGROUP,
		Pdeathsig: syscall.SIGKILL,
	}
	return cmd, nil
}

// Refused reports whether a started Command failed because the system does not permit namespaces.
func Refused(err error) bool {
	return errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.ENOSYS)
}

// Inside reports whether this process was started by Command.
func Inside() bool { return os.Getenv(entryVariable) != "" }

// Enter makes the Debian this process's root if Command started the process, and does nothing otherwise. It must run
// before anything else uses the file system.
func Enter() error {
	if !Inside() {
		return nil
	}
	var e entry
	if err := json.Unmarshal([]byte(os.Getenv(entryVariable)), &e); err != nil {
		return fmt.Errorf("enter the Debian: %w", err)
	}
	if err := e.enter(); err != nil {
		return fmt.Errorf("enter the Debian: %w", err)
	}
	return nil
}

// enter mounts the cached tree with a layer in memory above it, and makes that the root.
func (e entry) enter() (err error) {
	must := func(what string, do error) {
		if err == nil && do != nil {
			err = fmt.Errorf("%s: %w", what, do)
		}
	}
	work, err := os.MkdirTemp("", "debian-")
	if err != nil {
		return err
	}
	must("make mounts private", makeMountsPrivate())
	must("mount memory", unix.Mount("tmpfs", work, "tmpfs", 0, "mode=0755"))
	root := filepath.Join(work, "root")
	for _, directory := range []string{"upper", "work", "root"} {
		must("make a directory", os.Mkdir(filepath.Join(work, directory), 0o755))
	}
	must("mount the layers", unix.Mount("overlay", root, "overlay", 0,
		fmt.Sprintf("lowerdir=%s,upperdir=%s/upper,workdir=%s/work", e.Root, work, work)))
	must("mount proc", unix.Mount("proc", filepath.Join(root, "proc"), "proc", 0, ""))
	must("mount the devices", mountDevices(filepath.Join(root, "dev")))
	must("mount run", unix.Mount("tmpfs", filepath.Join(root, "run"), "tmpfs", 0, "mode=0755"))
	must("make a directory for sshd", os.Mkdir(filepath.Join(root, "run/sshd"), 0o755))
	must("mount tmp", unix.Mount("tmpfs", filepath.Join(root, "tmp"), "tmpfs", 0, "mode=1777"))
	for from, to := range e.Files {
		content, readErr := os.ReadFile(from)
		must("read a program", readErr)
		must("make a directory", os.MkdirAll(filepath.Dir(filepath.Join(root, to)), 0o755))
		must("put a program there", os.WriteFile(filepath.Join(root, to), content, 0o755))
	}
	must("set the host name", unix.Sethostname([]byte("debian-under-test")))
	must("change root", unix.Chroot(root))
	must("change directory", unix.Chdir("/"))
	must("bring loopback up", loopbackUp())
	must("set TMPDIR", os.Setenv("TMPDIR", "/tmp"))
	must("set PATH", os.Setenv("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"))
	must("set HOME", os.Setenv("HOME", "/root"))
	must("unset SUDO_USER", os.Unsetenv("SUDO_USER"))
	return err
}

// makeMountsPrivate hides from other namespaces what is mounted from now on.
func makeMountsPrivate() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); !errors.Is(err, unix.EINVAL) {
		return err
	}
	// The process is in a chroot that is not a mount point. Entering the mount namespace again leads to the namespace's
	// own root; only a thread that shares its root with no other thread may do that.
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with this function
		done <- func() error {
			if err := unix.Unshare(unix.CLONE_FS); err != nil {
				return err
			}
			namespace, err := os.Open("/proc/thread-self/ns/mnt")
			if err != nil {
				return err
			}
			defer namespace.Close()
			if err := unix.Setns(int(namespace.Fd()), unix.CLONE_NEWNS); err != nil {
				return err
			}
			return unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "")
		}()
	}()
	return <-done
}

func mountDevices(dev string) error {
	if err := unix.Mount("tmpfs", dev, "tmpfs", 0, "mode=0755"); err != nil {
		return err
	}
	for _, device := range []string{"null", "zero", "full", "random", "urandom", "tty"} {
		path := filepath.Join(dev, device)
		if err := os.WriteFile(path, nil, 0o666); err != nil {
			return err
		}
		if err := unix.Mount("/dev/"+device, path, "", unix.MS_BIND, ""); err != nil {
			return err
		}
	}
	if err := os.Mkdir(filepath.Join(dev, "pts"), 0o755); err != nil {
		return err
	}
	if err := unix.Mount("devpts", filepath.Join(dev, "pts"), "devpts", 0,
		"newinstance,ptmxmode=0666,mode=620,gid=5"); err != nil {
		return err
	}
	return os.Symlink("pts/ptmx", filepath.Join(dev, "ptmx"))
}

func loopbackUp() error {
	socket, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(socket)
	request, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	request.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	return unix.IoctlIfreq(socket, unix.SIOCSIFFLAGS, request)
}

// build returns the cached Debian, and makes it if there is none.
func (s Suite) build(ctx context.Context) (string, error) {
	mmdebstrap, err := exec.LookPath("mmdebstrap")
	if err != nil {
		return "", fmt.Errorf("%w: there is no mmdebstrap (Debian: apt-get install mmdebstrap)", ErrUnavailable)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	digest := sha256.Sum256([]byte(string(s) + " " + s.packages()))
	root := filepath.Join(cache, "sallyport-test", "debian-"+hex.EncodeToString(digest[:6]))
	if err := os.MkdirAll(filepath.Dir(root), 0o755); err != nil {
		return "", err
	}
	lock, err := os.Create(root + ".lock")
	if err != nil {
		return "", err
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return "", err
	}
	if _, err := os.Stat(root); err == nil {
		return root, nil
	}
	building := root + ".building"
	var failures []string
	for _, source := range s.aptSources() {
		if err := os.RemoveAll(building); err != nil {
			return "", err
		}
		cmd := exec.CommandContext(ctx, mmdebstrap, append([]string{"--mode=root", "--variant=minbase",
			"--include=" + s.packages(), string(s), building}, source...)...)
		output, err := cmd.CombinedOutput()
		if err == nil {
			return root, os.Rename(building, root)
		}
		failures = append(failures, fmt.Sprintf("from %q: %v\n%s", source, err, output))
	}
	return "", fmt.Errorf("%w: mmdebstrap fails: %s", ErrUnavailable, strings.Join(failures, "\n"))
}

// aptSources returns the package sources: this machine's if it is a Debian, or else Debian's own mirror.
func (s Suite) aptSources() (sources [][]string) {
	for _, file := range []string{"/etc/apt/sources.list.d/debian.sources", "/etc/apt/sources.list"} {
		if content, err := os.ReadFile(file); err == nil && bytes.Contains(content, []byte(s)) {
			sources = append(sources, []string{file})
		}
	}
	return append(sources, nil)
}
