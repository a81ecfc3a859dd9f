package host

import (
	"crypto/ed25519"
	"crypto/rand"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/internal/hostproto"
)

// newAgent returns the agent of an enrollment whose spool is where spool says.
func newAgent(t *testing.T, spool func(directory string) string) (Agent, Config) {
	t.Helper()
	directory := t.TempDir()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if err := SaveIdentity(directory, key, newIssuer(t).authority.Certificate().Raw); err != nil {
		t.Fatal(err)
	}
	config := Config{
		Server: "https://127.0.0.1:1", InstanceID: instanceID,
		Socket: filepath.Join(directory, "s"), Spool: spool(directory),
	}
	if err := config.Save(directory); err != nil {
		t.Fatal(err)
	}
	return Agent{Directory: directory, Now: time.Now, Random: rand.Reader, Log: quiet}, config
}

// Somebody runs `sallyport-host agent` by hand while the service's agent runs. The second agent notices and ends. But
// it had replaced the first one's spool by its own, and the first wrote on into a file without a name: keys were handed
// out, and their releases were lost at the next restart.
func TestSecondAgentLeavesTheSpoolAlone(t *testing.T) {
	agent, config := newAgent(t, func(directory string) string { return filepath.Join(directory, "spool", "releases") })
	socket, err := ListenSocket(config.Socket, os.Geteuid())
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	first := mustOpen(t, config.Spool)
	if err := agent.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "another agent") {
		t.Errorf("the second agent ended with %v", err)
	}
	if err := first.Add(hostproto.Release{EventID: "e1"}, alice); err != nil {
		t.Fatal(err)
	}
	first.Close()
	again := mustOpen(t, config.Spool)
	defer again.Close()
	if diff := cmp.Diff([]string{"e1"}, unsent(again, 10)); diff != "" {
		t.Error(diff)
	}
}

// An agent that cannot open its spool leaves no socket behind that no process serves.
func TestAgentWithoutASpool(t *testing.T) {
	agent, config := newAgent(t, func(directory string) string { return directory })
	if err := agent.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "spool") {
		t.Errorf("the agent ended with %v", err)
	}
	if _, err := os.Lstat(config.Socket); !os.IsNotExist(err) {
		t.Errorf("the socket is left: %v", err)
	}
}
