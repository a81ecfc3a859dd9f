package enroll

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/internal/fault"
	"github.com/sallyport/sallyport/internal/host"
	"github.com/sallyport/sallyport/internal/testkit/prerequisite"
)

func started() time.Time { return time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC) }

// A program that was not built by scripts/build has no keys helper to install. It says so and what to do, before it
// changes anything.
func TestPlainBuildDoesNotEnroll(t *testing.T) {
	if len(helper) > 0 {
		t.Fatal("go test holds a keys helper: the file in its place is to be empty")
	}
	if os.Geteuid() != 0 {
		prerequisite.Missing(t, "enrolling needs root")
	}
	directory := filepath.Join(t.TempDir(), "none")
	_, err := Run(t.Context(), Options{Directory: directory}, nil)
	_, repairErr := Repair(t.Context(), Options{Directory: directory}, nil)
	for _, err := range []error{err, repairErr} {
		if !fault.Is(err, fault.Unsupported) || !strings.Contains(err.Error(), "make build") {
			t.Errorf("got %v", err)
		}
	}
	if isThere(directory) {
		t.Error("it made the directory")
	}
}

// TestUndoIsIdempotent undoes changes that were made, half made or not made, and undoes them again.
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
				m.makeDirectory(filepath.Join(directory, "a/b")),
				m.makeFile(filepath.Join(directory, "a/b/file"), []byte("x"), 0o600),
				m.addBlock(target, "# ours\nInclude x\n"),
			); err != nil {
				t.Fatal(err)
			}
		} else {
			m.Changes = []change{
				{Kind: madeDirectory, Path: filepath.Join(directory, "a")},
				{Kind: madeDirectory, Path: filepath.Join(directory, "a/b")},
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

// TestUndoGoesOn: a change that cannot be undone stays in the manifest, for the next time, and the others are undone.
func TestUndoGoesOn(t *testing.T) {
	directory := t.TempDir()
	m := newManifest(directory, started())
	file := filepath.Join(directory, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	m.Complete = true
	m.Changes = []change{{Kind: madeDirectory, Path: directory}, {Kind: madeFile, Path: file}, {Kind: "later-release"}}
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
	if again.Complete || len(again.Changes) != 2 || again.Changes[0].Kind != madeDirectory ||
		again.Changes[1].Kind != "later-release" {
		t.Errorf("the manifest holds %+v", again)
	}
}

// Unenroll, and an enrollment that cleaned up, read the manifest while another enrollment was still writing it. When
// they got the lock, that enrollment was complete, and they undid the half of it that they had read: sshd's
// configuration went on naming a helper that was gone.
func TestManifestIsReadUnderTheLock(t *testing.T) {
	if os.Geteuid() != 0 {
		prerequisite.Missing(t, "root, to un-enroll")
	}
	for name, read := range map[string]func(directory string) error{
		"unenroll": func(directory string) error { return Unenroll(t.Context(), directory, nil) },
		"begin": func(directory string) error {
			e := &enrollment{Options: Options{Directory: directory, Now: started}}
			release, err := e.begin()
			if err == nil {
				release()
			}
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			directory := filepath.Join(t.TempDir(), "enrollment")
			path := filepath.Join(directory, ManifestFile)
			if err := errors.Join(os.Mkdir(directory, 0o755), syscall.Mkfifo(path, 0o600)); err != nil {
				t.Fatal(err)
			}
			ended := make(chan error, 1)
			go func() { ended <- read(directory) }()
			manifest, err := os.OpenFile(path, os.O_WRONLY, 0) // returns when somebody reads
			if err != nil {
				t.Fatal(err)
			}
			if release, err := lockDirectory(directory); !fault.Is(err, fault.InUse) {
				t.Errorf("the manifest is read while it could be written: %v", err)
				if err == nil {
					release()
				}
			}
			_, err = manifest.WriteString(`{"version":1,"changes":[{"kind":"directory","path":"` + directory + `"}]}`)
			if err := errors.Join(err, manifest.Close(), <-ended); err != nil {
				t.Error(err)
			}
			m, err := readManifest(directory)
			if began := m != nil; err != nil || began != (name == "begin") {
				t.Errorf("afterwards the manifest is %+v, %v", m, err)
			}
		})
	}
	if err := Unenroll(t.Context(), filepath.Join(t.TempDir(), "none"), nil); !fault.Is(err, fault.NotFound) {
		t.Errorf("no directory: %v", err)
	}
	if err := Unenroll(t.Context(), t.TempDir(), nil); !fault.Is(err, fault.NotFound) {
		t.Errorf("no manifest: %v", err)
	}
}

// Undoing a manifest that does not name its directory leaves the manifest behind: begin must not find it forever.
func TestBeginAfterAManifestWithoutItsDirectory(t *testing.T) {
	directory := t.TempDir()
	if err := newManifest(directory, started()).save(); err != nil {
		t.Fatal(err)
	}
	e := &enrollment{Options: Options{Directory: directory, Now: started}}
	release, err := e.begin()
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	if len(e.manifest.Changes) != 1 || e.manifest.Changes[0].Kind != madeDirectory {
		t.Errorf("the journal begins with %+v", e.manifest.Changes)
	}
}

// Un-enrolling removes the directory with the lock on it. A process that had opened it before, and one that has made it
// again, would then both hold a lock.
func TestLockOfARemovedDirectory(t *testing.T) {
	directory := filepath.Join(t.TempDir(), "enrollment")
	var holders atomic.Int32
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 500 {
				os.Mkdir(directory, 0o755) // or another process did
				release, err := lockDirectory(directory)
				if err != nil {
					continue
				}
				if n := holders.Add(1); n != 1 {
					t.Errorf("%d hold the lock", n)
				}
				runtime.Gosched()
				holders.Add(-1)
				os.Remove(directory)
				release()
			}
		})
	}
	wg.Wait()
}

// The code that reports login users and the code that tries logins must agree on who can log in. Here, halt's shell was
// mistaken for a shell, and the login tried with it.
func TestLoginCandidates(t *testing.T) {
	t.Setenv("SUDO_USER", "root")
	path := filepath.Join(t.TempDir(), "passwd")
	text := "root:x:0:0::/root:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\ngames:x:5:60::/:/bin/sh\n" +
		"alice:x:1000:1000::/home/alice:\nhalt:x:1001:0::/sbin:/sbin/halt\nbob:x:1002:1002::/:/bin/false\n" +
		"#eve:x:1003:1003::/:/bin/sh\nalice:x:1000:1000::/:/bin/sh\n"
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"root", "alice"}, loginCandidates(path)); diff != "" {
		t.Error(diff)
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
	left := string(content)
	if err != nil || strings.Contains(left, "sallyport:") || !strings.Contains(left, "sallyporter:") {
		t.Errorf("%q, %v", left, err)
	}
}

// TestServices checks that two enrollments of a machine share no service.
func TestServices(t *testing.T) {
	if a, b := serviceName(host.DefaultDirectory), serviceName("/var/lib/x"); a != "sallyport-host" || a == b {
		t.Errorf("%s, %s", a, b)
	}
	if _, err := Service("upstart").choose(); !fault.Is(err, fault.Invalid) {
		t.Errorf("%v", err)
	}
	unit := systemdUnit("/usr/lib/sallyport/sallyport-host agent --directory /x", "/x")
	if !strings.Contains(unit, "\nExecStart=/usr/lib/sallyport/sallyport-host agent --directory /x\n") ||
		!strings.Contains(unit, "\nReadWritePaths=/x\n") {
		t.Error(unit)
	}
}
