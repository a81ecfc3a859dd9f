package enroll

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/fault"
	"github.com/sallyport/sallyport/internal/host"
)

func started() time.Time { return time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC) }

// TestUndoIsIdempotent: each change may have been made, half made or not made, and undone before.
func TestUndoIsIdempotent(t *testing.T) {
	for _, made := range []bool{true, false} {
		directory := t.TempDir()
		m := newManifest(directory, started())
		target := filepath.Join(directory, "config")
		if err := os.WriteFile(target, []byte("Port 22\n"), 0o640); err != nil {
			t.Fatal(err)
		}
		if made {
			if err := errors.Join(
				m.makeDirectory(filepath.Join(directory, "a/b"), madeTree),
				m.makeFile(filepath.Join(directory, "a/b/file"), []byte("x"), 0o600),
				m.addBlock(target, "# ours\nInclude x\n"),
			); err != nil {
				t.Fatal(err)
			}
		} else {
			m.Changes = []change{
				{Kind: madeDirectory, Path: filepath.Join(directory, "a")},
				{Kind: madeTree, Path: filepath.Join(directory, "a/b")},
				{Kind: madeFile, Path: filepath.Join(directory, "a/b/file")},
				{Kind: madeBlock, Path: target, Text: "# ours\nInclude x\n", Before: sum([]byte("Port 22\n"))},
				{Kind: madeService, Name: "none", Path: filepath.Join(directory, "none.service")},
				{Kind: madeInit, Name: "none", Path: filepath.Join(directory, "none.init")},
				{Kind: madeProcess, Path: filepath.Join(directory, "nowhere")},
			}
		}
		for range 2 {
			if err := m.undo(context.Background(), nil); err != nil {
				t.Fatalf("made %v: %v", made, err)
			}
			content, err := os.ReadFile(target)
			info, statErr := os.Stat(target)
			if err != nil || statErr != nil || string(content) != "Port 22\n" || info.Mode() != 0o640 {
				t.Errorf("made %v: the file is %q, %v", made, content, info.Mode())
			}
			if _, err := os.Stat(filepath.Join(directory, "a")); !os.IsNotExist(err) {
				t.Errorf("made %v: a directory is left: %v", made, err)
			}
		}
	}
}

// TestUndoGoesOn: what cannot be undone stays in the manifest, for the next time, and the rest is undone.
func TestUndoGoesOn(t *testing.T) {
	directory := t.TempDir()
	m := newManifest(directory, started())
	file := filepath.Join(directory, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	m.Complete = true
	m.Changes = []change{{Kind: madeTree, Path: directory}, {Kind: madeFile, Path: file}, {Kind: "later-release"}}
	if err := m.undo(context.Background(), nil); err == nil {
		t.Fatal("an unknown change was undone")
	}
	if _, err := os.Stat(file); !os.IsNotExist(err) {
		t.Error("the file was not removed")
	}
	again, err := readManifest(directory)
	if err != nil {
		t.Fatal(err)
	}
	if again.Complete || len(again.Changes) != 2 || again.Changes[0].Kind != madeTree || again.Changes[1].Kind != "later-release" {
		t.Errorf("the manifest holds %+v", again)
	}
}

// The agent has ended between the search for it and the signal, and another process of ours has its pid.
func TestPIDThatIsNoLongerTheAgents(t *testing.T) {
	other := exec.Command("sleep", "600")
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	if err := signalAgent(other.Process.Pid, "/etc/sallyport", syscall.SIGKILL); err != nil {
		t.Error(err)
	}
	if err := other.Process.Signal(syscall.SIGTERM); err != nil {
		t.Error(err)
	}
	other.Wait()
	if status := other.ProcessState.Sys().(syscall.WaitStatus); status.Signal() != syscall.SIGTERM {
		t.Errorf("in the agent's stead it got the signal: %v", status.Signal())
	}
	if err := signalAgent(other.Process.Pid, "/etc/sallyport", syscall.SIGKILL); err != nil {
		t.Errorf("a process that is gone: %v", err)
	}
}

func TestManifestOfALaterReleaseIsRefused(t *testing.T) {
	directory := t.TempDir()
	for _, text := range []string{`{"version":2,"changes":[]}`, `{"version":1,"novelty":true}`, `nonsense`, ``} {
		if err := os.WriteFile(filepath.Join(directory, ManifestFile), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := readManifest(directory); !fault.Is(err, fault.WrongState) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestWithoutLineOf(t *testing.T) {
	path := filepath.Join(t.TempDir(), "passwd-")
	text := "root:x:0:0::/root:/bin/sh\nsallyport:x:9:9::/:/sbin/nologin\nsallyporter:x:8:8::/:/bin/sh\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := withoutLineOf(path, "sallyport"); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(path)
	if err != nil || strings.Contains(string(content), "sallyport:") || !strings.Contains(string(content), "sallyporter:") {
		t.Errorf("%q, %v", content, err)
	}
}

// TestServices: two enrollments of a machine share no service.
func TestServices(t *testing.T) {
	if a, b := serviceName(host.DefaultDirectory), serviceName("/var/lib/x"); a != "sallyport-host" || a == b {
		t.Errorf("%s, %s", a, b)
	}
	if _, err := Service("upstart").choose(); !fault.Is(err, fault.Invalid) {
		t.Errorf("%v", err)
	}
	unit := systemdUnit("/usr/lib/sallyport/sallyport-host agent --directory /x", "/x")
	if !strings.Contains(unit, "\nExecStart=/usr/lib/sallyport/sallyport-host agent --directory /x\n") || !strings.Contains(unit, "\nReadWritePaths=/x\n") {
		t.Error(unit)
	}
}
