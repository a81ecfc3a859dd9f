package main

import (
	"bytes"
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/crypto/ssh/agent"
)

// Another user of the machine looks for the key of a session. The key is on no disk, its socket is in a directory that
// only the session's user may enter, and everything is removed when the session is over.
func TestSessionKeepsItsKeyToItself(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	s, err := newSSHSession(sshTarget{instanceID: "i-0aaa", hostKeys: []string{"ssh-ed25519 AAAA"}})
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(s.directory); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the session's directory has the mode %v, %v", info.Mode(), err)
	}
	conn, err := net.Dial("unix", filepath.Join(s.directory, agentSocket))
	if err != nil {
		t.Fatal(err)
	}
	keys, err := agent.NewClient(conn).List()
	conn.Close()
	if err != nil || len(keys) != 1 {
		t.Errorf("the agent offers %v, %v", keys, err)
	}
	entries, err := os.ReadDir(s.directory)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		if entry.Name() == agentSocket {
			continue
		}
		content, err := os.ReadFile(filepath.Join(s.directory, entry.Name()))
		if err != nil || bytes.Contains(content, []byte("PRIVATE")) {
			t.Errorf("%s holds %q, %v", entry.Name(), content, err)
		}
	}
	s.close()
	if _, err := os.Stat(s.directory); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the session leaves its directory: %v", err)
	}
}
