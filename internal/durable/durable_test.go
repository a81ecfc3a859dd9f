package durable_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"

	"github.com/sallyport/sallyport/internal/durable"
)

func TestWriteFile(t *testing.T) {
	defer syscall.Umask(syscall.Umask(0o077))
	path := filepath.Join(t.TempDir(), "file")
	for _, test := range []struct {
		content string
		mode    fs.FileMode
	}{{"first, longer than the second", 0o644}, {"second", 0o600}, {"", 0o755}} {
		if err := durable.WriteFile(path, []byte(test.content), test.mode); err != nil {
			t.Fatal(err)
		}
		expect(t, path, test.content, test.mode)
	}
	alone(t, path)
}

func TestWriteFileReplacesALink(t *testing.T) {
	directory := t.TempDir()
	target, link := filepath.Join(directory, "target"), filepath.Join(directory, "link")
	write(t, target, "the target's", 0o640)
	if err := os.Symlink(target, link); err != nil {
		t.Fatal(err)
	}
	if err := durable.WriteFile(link, []byte("new"), 0o600); err != nil {
		t.Fatal(err)
	}
	expect(t, link, "new", 0o600)
	expect(t, target, "the target's", 0o640)
}

func TestRewriteKeepsOwnerAndMode(t *testing.T) {
	path := filepath.Join(t.TempDir(), "theirs")
	write(t, path, "old", 0o604)
	wantUID, wantGID := uint32(os.Geteuid()), uint32(os.Getegid())
	if os.Geteuid() == 0 {
		wantUID, wantGID = 12345, 23456
		if err := os.Chown(path, int(wantUID), int(wantGID)); err != nil {
			t.Fatal(err)
		}
	}
	if err := durable.Rewrite(path, []byte("new")); err != nil {
		t.Fatal(err)
	}
	expect(t, path, "new", 0o604)
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if stat := info.Sys().(*syscall.Stat_t); stat.Uid != wantUID || stat.Gid != wantGID {
		t.Errorf("it belongs to %d:%d now, instead of %d:%d", stat.Uid, stat.Gid, wantUID, wantGID)
	}
	alone(t, path)
}

func TestRewriteRefuses(t *testing.T) {
	directory := t.TempDir()
	target, link := filepath.Join(directory, "target"), filepath.Join(directory, "link")
	write(t, target, "old", 0o600)
	if err := os.Symlink(target, link); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{link, directory, filepath.Join(directory, "missing")} {
		if err := durable.Rewrite(path, []byte("new")); err == nil {
			t.Errorf("%s was rewritten", path)
		}
	}
	expect(t, target, "old", 0o600)
}

// TestFailureLeavesNothing fails at each step that can be made to fail: the old file stays, and no temporary file is
// left.
func TestFailureLeavesNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	write(t, path, "old", 0o600)
	refusal := errors.New("no")
	if err := durable.Replace(path, []byte("new"), func(*os.File) error { return refusal }); !errors.Is(err, refusal) {
		t.Errorf("the error is %v", err)
	}
	if err := durable.Replace(path, []byte("new"), (*os.File).Close); err == nil {
		t.Error("a file that cannot be written was")
	}
	expect(t, path, "old", 0o600)
	alone(t, path)

	occupied := filepath.Join(t.TempDir(), "directory")
	if err := os.Mkdir(occupied, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := durable.WriteFile(occupied, nil, 0o600); err == nil {
		t.Error("a directory was replaced by a file")
	}
	alone(t, occupied)
	if err := durable.WriteFile(filepath.Join(occupied, "missing", "file"), nil, 0o600); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the error is %v", err)
	}
}

// TestReadersSeeOneOrTheOther reads a file repeatedly while it is being replaced.
func TestReadersSeeOneOrTheOther(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	versions := [][]byte{bytes.Repeat([]byte("a"), 1<<16), bytes.Repeat([]byte("b"), 1<<10)}
	if err := durable.WriteFile(path, versions[0], 0o600); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	var reading sync.WaitGroup
	reading.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
			}
			found, err := os.ReadFile(path)
			if err != nil || !bytes.Equal(found, versions[0]) && !bytes.Equal(found, versions[1]) {
				t.Errorf("a reader saw %d bytes, %v", len(found), err)
				return
			}
		}
	})
	for i := range 50 {
		if err := durable.WriteFile(path, versions[i%2], 0o600); err != nil {
			t.Error(err)
		}
	}
	close(done)
	reading.Wait()
}

func TestLeftovers(t *testing.T) {
	directory := t.TempDir()
	var name string
	err := durable.Replace(filepath.Join(directory, "file"), nil, func(file *os.File) error {
		name = filepath.Base(file.Name()) // the file that a process killed at this point would leave
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if !durable.IsLeftover(name) || durable.IsLeftover("file") {
		t.Errorf("%q is told for no leftover, or file for one", name)
	}
	write(t, filepath.Join(directory, name), "half", 0o600)
	if err := durable.RemoveLeftovers(directory); err != nil {
		t.Fatal(err)
	}
	alone(t, filepath.Join(directory, "file"))
}

func write(t *testing.T, path, content string, mode fs.FileMode) {
	t.Helper()
	if err := errors.Join(os.WriteFile(path, []byte(content), mode), os.Chmod(path, mode)); err != nil {
		t.Fatal(err)
	}
}

func expect(t *testing.T, path, content string, mode fs.FileMode) {
	t.Helper()
	found, err := os.ReadFile(path)
	if err != nil || string(found) != content {
		t.Errorf("%s holds %q, %v; want %q", path, found, err, content)
	}
	info, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode() != mode {
		t.Errorf("%s has mode %v, want %v", path, info.Mode(), mode)
	}
}

// alone fails the test if the directory holds anything beside the file.
func alone(t *testing.T, path string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		if entry.Name() != filepath.Base(path) {
			t.Errorf("%s is left beside %s", entry.Name(), path)
		}
	}
}
