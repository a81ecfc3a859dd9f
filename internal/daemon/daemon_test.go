package daemon_test

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/daemon"
	"github.com/sallyport/sallyport/internal/testkit/prerequisite"
	"github.com/sallyport/sallyport/internal/testkit/wait"
)

func TestDaemon(t *testing.T) {
	d := shell(t, "echo hello; sleep 600 & sleep 600")
	if _, ok := d.Running(); ok {
		t.Fatal("it runs before it was started")
	}
	p, err := d.Start()
	if err != nil {
		t.Fatal(err)
	}
	defer d.Stop(context.Background())
	if again, ok := d.Running(); !ok || again != p {
		t.Errorf("on record is %+v, %v; want %+v", again, ok, p)
	}
	var family []daemon.Process
	for deadline := time.Now().Add(wait.Patience); len(family) < 2 && time.Now().Before(deadline); {
		time.Sleep(10 * time.Millisecond)
		family = p.Descendants()
	}
	if len(family) != 2 {
		t.Fatalf("it has %d descendants, want 2", len(family))
	}
	if got := d.Tail(); got != "hello" {
		t.Errorf("the log holds %q", got)
	}
	if ran, err := d.Stop(t.Context()); err != nil || !ran {
		t.Errorf("stopped: %v, %v", ran, err)
	}
	for _, q := range append(family, p) {
		if q.Alive() {
			t.Errorf("%d still runs", q.PID)
		}
	}
	if _, err := os.Stat(d.Record); !os.IsNotExist(err) {
		t.Errorf("the record is still there: %v", err)
	}
	if ran, err := d.Stop(t.Context()); err != nil || ran {
		t.Errorf("stopped twice: %v, %v", ran, err)
	}
}

// A process that was given a recorded pid later is left alone.
func TestNeverAForeignProcess(t *testing.T) {
	sleeper := exec.Command("sleep", "600")
	if err := sleeper.Start(); err != nil {
		t.Fatal(err)
	}
	defer sleeper.Wait()
	defer sleeper.Process.Kill()
	p, err := daemon.Identify(sleeper.Process.Pid)
	if err != nil || !p.Alive() {
		t.Fatalf("%+v, %v", p, err)
	}
	for name, spoil := range map[string]func(*daemon.Process){
		"started earlier":   func(p *daemon.Process) { p.Start-- },
		"another boot":      func(p *daemon.Process) { p.Boot = "x" },
		"another container": func(p *daemon.Process) { p.Namespace = "pid:[1]" },
		"process 1":         func(p *daemon.Process) { p.PID = 1 },
		"nobody":            func(p *daemon.Process) { *p = daemon.Process{} },
	} {
		stranger := p
		spoil(&stranger)
		if stranger.Alive() {
			t.Errorf("%s: taken for ours", name)
		}
		if err := daemon.Stop(t.Context(), stranger); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if !p.Alive() {
		t.Error("it was killed under another's name")
	}
}

// A machine's root ran sallyport up while a container on the same kernel ran an agent with the same command line and
// the same user id. It was mistaken for the machine's own, and killed. Its identity must not match, from whichever side
// it is read.
func TestAContainersProcessIsNotOurs(t *testing.T) {
	if os.Geteuid() != 0 {
		prerequisite.Missing(t, "root, to make a PID namespace")
	}
	container := exec.Command("/bin/sh", "-c", "sleep 600 & echo $!; wait")
	container.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID, Pdeathsig: syscall.SIGKILL}
	out, err := container.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := container.Start(); err != nil {
		prerequisite.Missing(t, "PID namespaces")
	}
	defer container.Wait()
	defer container.Process.Kill()
	told := make([]byte, 16)
	n, err := out.Read(told)
	if err != nil {
		t.Fatal(err)
	}
	// The container's process 2 records itself as it sees itself: here its pid is another process's.
	var inside daemon.Process
	if err := json.Unmarshal(append([]byte(`{"pid":`), append(bytes.TrimSpace(told[:n]), '}')...), &inside); err != nil {
		t.Fatal(err)
	}
	ours, err := daemon.Identify(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	inside.Start, inside.Boot = ours.Start, ours.Boot
	inside.Namespace, err = os.Readlink(filepath.Join("/proc", strconv.Itoa(container.Process.Pid), "ns", "pid"))
	if err != nil || inside.Namespace == ours.Namespace {
		t.Fatalf("the container's PID namespace is %q, %v", inside.Namespace, err)
	}
	record := filepath.Join(t.TempDir(), "agent.process")
	if err := inside.Record(record); err != nil {
		t.Fatal(err)
	}
	if p, ok := daemon.ReadRecord(record); ok {
		t.Errorf("the container's process is taken for one of this machine: %+v", p)
	}
	inside.PID = os.Getpid() // even where the numbers match
	if inside.Alive() {
		t.Error("a process of another namespace is taken for ours because its numbers fit")
	}
}

func TestStartTellsWhyNot(t *testing.T) {
	d := shell(t, "")
	d.Program = filepath.Join(t.TempDir(), "absent")
	if _, err := d.Start(); err == nil || !strings.Contains(err.Error(), "start the sleeper") {
		t.Errorf("got %v", err)
	}
}

func shell(t *testing.T, script string) daemon.Daemon {
	directory := t.TempDir()
	return daemon.Daemon{
		Name: "sleeper", Program: "/bin/sh", Args: []string{"-c", script},
		Log: filepath.Join(directory, "sleeper.log"), Record: filepath.Join(directory, "sleeper.process"),
	}
}
