package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestDaemon(t *testing.T) {
	shell, err := exec.LookPath("sh")
	if err != nil {
		t.Fatal(err)
	}
	d := daemon{name: "sleeper", directory: t.TempDir(), path: shell, args: []string{"-c", "echo hello; sleep 600 & sleep 600"}}
	if _, ok := d.running(); ok {
		t.Fatal("it runs before it was started")
	}
	p, err := d.start()
	if err != nil {
		t.Fatal(err)
	}
	defer d.stop()
	if again, ok := d.running(); !ok || again != p {
		t.Errorf("on record is %+v, %v; want %+v", again, ok, p)
	}
	var family []process
	for deadline := time.Now().Add(20 * time.Second); len(family) < 2 && time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		family = p.descendants()
	}
	if len(family) != 2 {
		t.Fatalf("it has %d descendants, want 2", len(family))
	}
	if got := tail(d.log()); got != "hello" {
		t.Errorf("the log holds %q", got)
	}
	if stopped, err := d.stop(); err != nil || !stopped {
		t.Errorf("stopped %v, %v", stopped, err)
	}
	for _, q := range append(family, p) {
		if q.alive() {
			t.Errorf("%d still runs", q.PID)
		}
	}
	if _, err := os.Stat(d.record()); !os.IsNotExist(err) {
		t.Errorf("the record is still there: %v", err)
	}
	if stopped, err := d.stop(); err != nil || stopped {
		t.Errorf("stopped twice: %v, %v", stopped, err)
	}
}

// TestNeverAForeignProcess: a pid that was given to another process meanwhile is left alone.
func TestNeverAForeignProcess(t *testing.T) {
	sleeper := exec.Command("sleep", "600")
	if err := sleeper.Start(); err != nil {
		t.Fatal(err)
	}
	defer sleeper.Wait()
	defer sleeper.Process.Kill()
	p, err := identify(sleeper.Process.Pid)
	if err != nil || !p.alive() {
		t.Fatalf("%+v, %v", p, err)
	}
	for name, stranger := range map[string]process{
		"started earlier": {PID: p.PID, Start: p.Start - 1, Boot: p.Boot},
		"another boot":    {PID: p.PID, Start: p.Start, Boot: "x"},
		"process 1":       {PID: 1, Start: p.Start, Boot: p.Boot},
		"nobody":          {},
	} {
		if stranger.alive() {
			t.Errorf("%s: taken for ours", name)
		}
		if err := stop([]process{stranger}, time.Second); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if !p.alive() {
		t.Error("it was killed under another's name")
	}
}

func TestStartTellsWhyNot(t *testing.T) {
	d := daemon{name: "nothing", directory: t.TempDir(), path: filepath.Join(t.TempDir(), "absent")}
	if _, err := d.start(); err == nil || !strings.Contains(err.Error(), "start the nothing") {
		t.Errorf("got %v", err)
	}
}
