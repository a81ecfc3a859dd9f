package enroll

import (
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/testkit/prerequisite"
)

// A local user starts a process that calls itself the agent of the machine's enrollment. It must neither keep the
// agent from being started nor an un-enrollment from coming to its end.
func TestProcessThatPosesAsTheAgent(t *testing.T) {
	if os.Geteuid() != 0 {
		prerequisite.Missing(t, "root, to be two users")
	}
	const directory = "/etc/sallyport-of-the-impostor-test"
	stage := t.TempDir()
	for path := stage; path != os.TempDir() && path != "/"; path = filepath.Dir(path) {
		if err := os.Chmod(path, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(stage, "agent"), []byte("echo here; read line\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	pose := func(uid uint32) {
		cmd := exec.Command("/bin/sh", "agent", "--directory", directory) // sh runs the script "agent"
		cmd.Dir = stage
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
		in, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			in.Close()
			cmd.Wait()
		})
		if _, err := out.Read(make([]byte, 4)); err != nil {
			t.Fatalf("the process does not run: %v", err)
		}
	}
	pose(65534)
	if found := agentProcesses(directory); len(found) != 0 {
		t.Errorf("somebody's process counts as the agent: %v", found)
	}
	began := time.Now()
	if err := stopDetached(t.Context(), directory); err != nil {
		t.Errorf("after %v: %v", time.Since(began), err)
	}
	pose(0)
	if found := agentProcesses(directory); len(found) != 1 {
		t.Errorf("root's process does not: %v", found)
	}
	if err := stopDetached(t.Context(), directory); err != nil || len(agentProcesses(directory)) != 0 {
		t.Errorf("root's process is not stopped: %v", err)
	}
}
