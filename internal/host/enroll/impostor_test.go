package enroll

import (
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/sallyport/sallyport/internal/testkit/prerequisite"
)

// A process had the command line of the machine's agent without being it: it was somebody's script, or, with root's
// user id, the agent of a container on the same kernel. It was mistaken for the agent: the real one was not started
// because of it, and un-enrolling the machine killed it. Now only the process counts that the agent itself recorded.
func TestProcessThatPosesAsTheAgent(t *testing.T) {
	if os.Geteuid() != 0 {
		prerequisite.Missing(t, "root, to be two users and to make a PID namespace")
	}
	directory := t.TempDir()
	for name, attributes := range map[string]*syscall.SysProcAttr{
		"somebody's script": {Credential: &syscall.Credential{Uid: 65534, Gid: 65534}},
		"root's script":     {},
		"a container's":     {Cloneflags: syscall.CLONE_NEWPID | syscall.CLONE_NEWNS},
	} {
		t.Run(name, func(t *testing.T) {
			poser := pose(t, directory, attributes)
			if ran, err := StopAgent(t.Context(), directory); ran || err != nil {
				t.Error(ran, err)
			}
			if agent, runs := agentDaemon("", directory).Running(); runs {
				t.Errorf("it is taken for the agent: %+v", agent)
			}
			if err := poser.Process.Signal(syscall.Signal(0)); err != nil {
				t.Errorf("it was killed: %v", err)
			}
		})
	}
}

// pose starts a process that calls itself the agent of the directory's enrollment, and ends it with the test.
func pose(t *testing.T, directory string, attributes *syscall.SysProcAttr) *exec.Cmd {
	t.Helper()
	stage := t.TempDir()
	for path := stage; path != os.TempDir() && path != "/"; path = filepath.Dir(path) {
		if err := os.Chmod(path, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(stage, "agent"), []byte("echo here; read line\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("/bin/sh", "agent", "--directory", directory) // sh runs the script "agent"
	cmd.Dir = stage
	cmd.SysProcAttr = attributes
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		prerequisite.Missing(t, "namespaces")
	}
	t.Cleanup(func() {
		in.Close()
		cmd.Wait()
	})
	if _, err := out.Read(make([]byte, 4)); err != nil {
		t.Fatalf("the process does not run: %v", err)
	}
	return cmd
}
