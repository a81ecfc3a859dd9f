package daemon

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A control plane that `up` started logged for months to a file that was never rotated, until the disk was full and
// nothing could be recorded any more.
func TestLogsAreBounded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "control-plane.log")
	if err := boundLog(path, 1000); !os.IsNotExist(err) {
		t.Errorf("where there is none: %v", err)
	}
	log, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600) // as the daemon has it
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	for n := range 10_000 {
		fmt.Fprintf(log, "line %d\n", n)
		if err := boundLog(path, 1000); err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		newest := fmt.Sprintf("line %d\n", n)
		if len(text) > 1000 || !strings.HasPrefix(string(text), "line ") || !strings.HasSuffix(string(text), newest) {
			t.Fatalf("after line %d the log has %d bytes:\n%s", n, len(text), text)
		}
	}
	text, err := os.ReadFile(path)
	if err != nil || len(text) < 400 {
		t.Errorf("only %d bytes are left, %v", len(text), err)
	}
	elsewhere := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(path, elsewhere); err != nil {
		t.Fatal(err)
	}
	if boundLog(elsewhere, 100) == nil {
		t.Error("a link to somebody's file is followed")
	}
	over, cancel := context.WithCancel(t.Context())
	cancel()
	BoundLogs(over, path, filepath.Join(t.TempDir(), "none")) // ends
}
