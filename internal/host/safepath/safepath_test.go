package safepath

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/internal/testkit/prerequisite"
)

func TestCheckSafePath(t *testing.T) {
	if os.Geteuid() != 0 {
		prerequisite.Missing(t, "files of root need root")
	}
	top, err := os.MkdirTemp("/root", "safe-path-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(top) })
	directory := filepath.Join(top, "directory")
	program := filepath.Join(directory, "program")
	if err := os.MkdirAll(directory, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(program, nil, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{program, filepath.Join(directory, "not/there/yet")} {
		if err := Check(path); err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
	link := filepath.Join(top, "link")
	if err := os.Symlink("/tmp/somewhere", link); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"program", directory + "/a b", directory + "/%u", "/tmp/x"} {
		if err := Check(path); err == nil {
			t.Errorf("%s is safe", path)
		}
	}
	if err := os.Chmod(directory, 0o775); err != nil {
		t.Fatal(err)
	}
	err = Check(program)
	if err == nil || !strings.Contains(err.Error(), "chmod go-w "+directory) {
		t.Errorf("the component is not named: %v", err)
	}
	if err := os.Chmod(directory, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(program, 1, 0); err != nil {
		t.Fatal(err)
	}
	if err := Check(program); err == nil || !strings.Contains(err.Error(), "chown root "+program) {
		t.Errorf("the component is not named: %v", err)
	}
}
