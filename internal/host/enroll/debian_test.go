package enroll_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/sys/unix"
)

// These tests enroll a Debian made for them: a root file system that mmdebstrap builds once and keeps in the
// user's cache, of which each scenario changes a copy-on-write layer in memory. A scenario runs in this same
// test program, started again as the first process of its own mount, process, network, host name and IPC
// namespaces, with the Debian as its root. Nothing of the machine's own sshd, users or files is within reach.

// suite and packages are what the Debian is made of.
const (
	suite    = "bookworm"
	packages = "openssh-server"
)

// inside names, in the environment, the scenario to run within the namespaces; root is its Debian.
const (
	inside      = "SALLYPORT_TEST_SCENARIO"
	insideRoot  = "SALLYPORT_TEST_ROOT"
	insideBuild = "SALLYPORT_TEST_PROGRAM"
)

// hostProgram is where a scenario finds sallyport-host.
const hostProgram = "/root/sallyport-host"

func TestMain(m *testing.M) {
	if os.Getenv(inside) != "" {
		if err := enterDebian(os.Getenv(insideRoot), os.Getenv(insideBuild)); err != nil {
			fmt.Fprintln(os.Stderr, "enter the namespaces:", err)
			os.Exit(1)
		}
	}
	os.Exit(m.Run())
}

func TestDebian(t *testing.T) {
	if name := os.Getenv(inside); name != "" {
		t.Run(name, scenarios()[name])
		return
	}
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED: enrolling a Debian needs root, for namespaces and mounts")
	}
	root := debianRoot(t)
	program := buildProgram(t)
	for name := range scenarios() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			runInside(t, name, root, program)
		})
	}
}

// runInside runs one scenario as the first process of new namespaces.
func runInside(t *testing.T, name, root, program string) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	scratch := t.TempDir()
	cmd := exec.CommandContext(t.Context(), self, "-test.run=^TestDebian$", "-test.v", "-test.timeout=150s")
	cmd.Env = append(os.Environ(), inside+"="+name, insideRoot+"="+root, insideBuild+"="+program, "TMPDIR="+scratch)
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWNET | syscall.CLONE_NEWUTS | syscall.CLONE_NEWIPC,
		Pdeathsig:  syscall.SIGKILL,
	}
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	err = cmd.Run()
	if errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.ENOSYS) {
		t.Skipf("SKIPPED: this system does not permit namespaces: %v", err)
	}
	if err != nil {
		t.Fatalf("%v\n%s", err, output.String())
	}
}

// enterDebian makes the Debian this process's root: the cached tree below, a layer in memory above.
func enterDebian(lower, program string) error {
	work, err := os.MkdirTemp("", "debian-")
	if err != nil {
		return err
	}
	must := func(what string, do error) {
		if err == nil && do != nil {
			err = fmt.Errorf("%s: %w", what, do)
		}
	}
	must("make mounts private", unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""))
	must("mount memory", unix.Mount("tmpfs", work, "tmpfs", 0, "mode=0755"))
	root := filepath.Join(work, "root")
	for _, directory := range []string{"upper", "work", "root"} {
		must("make a directory", os.Mkdir(filepath.Join(work, directory), 0o755))
	}
	must("mount the layers", unix.Mount("overlay", root, "overlay", 0,
		fmt.Sprintf("lowerdir=%s,upperdir=%s/upper,workdir=%s/work", lower, work, work)))
	must("mount proc", unix.Mount("proc", filepath.Join(root, "proc"), "proc", 0, ""))
	dev := filepath.Join(root, "dev")
	must("mount dev", unix.Mount("tmpfs", dev, "tmpfs", 0, "mode=0755"))
	for _, device := range []string{"null", "zero", "random", "urandom", "tty"} {
		must("make a device", os.WriteFile(filepath.Join(dev, device), nil, 0o666))
		must("bind a device", unix.Mount("/dev/"+device, filepath.Join(dev, device), "", unix.MS_BIND, ""))
	}
	must("make devpts", os.Mkdir(filepath.Join(dev, "pts"), 0o755))
	must("mount devpts", unix.Mount("devpts", filepath.Join(dev, "pts"), "devpts", 0, "newinstance,ptmxmode=0666,mode=620,gid=5"))
	must("link ptmx", os.Symlink("pts/ptmx", filepath.Join(dev, "ptmx")))
	must("mount run", unix.Mount("tmpfs", filepath.Join(root, "run"), "tmpfs", 0, "mode=0755"))
	must("make a directory for sshd", os.Mkdir(filepath.Join(root, "run/sshd"), 0o755))
	must("mount tmp", unix.Mount("tmpfs", filepath.Join(root, "tmp"), "tmpfs", 0, "mode=1777"))
	content, readErr := os.ReadFile(program)
	must("read the program", readErr)
	must("put the program there", os.WriteFile(filepath.Join(root, hostProgram), content, 0o755))
	must("set the host name", unix.Sethostname([]byte("debian-under-test")))
	must("change root", unix.Chroot(root))
	must("change directory", unix.Chdir("/"))
	must("bring loopback up", loopbackUp())
	must("set TMPDIR", os.Setenv("TMPDIR", "/tmp"))
	must("set PATH", os.Setenv("PATH", "/usr/sbin:/usr/bin:/sbin:/bin"))
	must("set HOME", os.Setenv("HOME", "/root"))
	must("unset SUDO_USER", os.Unsetenv("SUDO_USER"))
	return err
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

// debianRoot returns the cached Debian, which it builds if there is none.
func debianRoot(t *testing.T) string {
	t.Helper()
	mmdebstrap, err := exec.LookPath("mmdebstrap")
	if err != nil {
		t.Skip("SKIPPED: there is no mmdebstrap (Debian: apt-get install mmdebstrap)")
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	digest := sha256.Sum256([]byte(suite + " " + packages))
	root := filepath.Join(cache, "sallyport-test", "debian-"+hex.EncodeToString(digest[:6]))
	if err := os.MkdirAll(filepath.Dir(root), 0o755); err != nil {
		t.Fatal(err)
	}
	lock, err := os.Create(root + ".lock")
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(root); err == nil {
		return root
	}
	building := root + ".building"
	if err := os.RemoveAll(building); err != nil {
		t.Fatal(err)
	}
	started := time.Now()
	var failures []string
	for _, source := range aptSources() {
		cmd := exec.CommandContext(t.Context(), mmdebstrap, append([]string{"--mode=root", "--variant=minbase", "--include=" + packages, suite, building}, source...)...)
		output, err := cmd.CombinedOutput()
		if err == nil {
			failures = nil
			break
		}
		failures = append(failures, fmt.Sprintf("from %q: %v\n%s", source, err, output))
		if err := os.RemoveAll(building); err != nil {
			t.Fatal(err)
		}
	}
	if failures != nil {
		t.Skipf("SKIPPED: mmdebstrap cannot build a Debian here: %s", strings.Join(failures, "\n"))
	}
	if err := os.Rename(building, root); err != nil {
		t.Fatal(err)
	}
	t.Logf("built %s in %v", root, time.Since(started).Round(time.Second))
	return root
}

// aptSources are where to get the packages from: as this machine does, if it is a Debian, else Debian's own mirror.
func aptSources() (sources [][]string) {
	for _, file := range []string{"/etc/apt/sources.list.d/debian.sources", "/etc/apt/sources.list"} {
		if content, err := os.ReadFile(file); err == nil && bytes.Contains(content, []byte(suite)) {
			sources = append(sources, []string{file})
		}
	}
	return append(sources, nil)
}

// buildProgram builds sallyport-host, static, as it is shipped.
func buildProgram(t *testing.T) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "sallyport-host")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-o", program, "github.com/sallyport/sallyport/cmd/sallyport-host")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if output, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build sallyport-host: %v\n%s", err, output)
	}
	return program
}

func base64Key(key ssh.PublicKey) string { return base64.StdEncoding.EncodeToString(key.Marshal()) }

// run runs a program of the Debian and fails the test if it fails.
func run(t *testing.T, argv ...string) string {
	t.Helper()
	output, err := exec.Command(argv[0], argv[1:]...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(argv, " "), err, output)
	}
	return string(output)
}
