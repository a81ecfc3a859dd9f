package main

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/sallyport/sallyport/internal/testkit/wait"
)

func TestServeMergesFileAndFlags(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config.json")
	text := `{"data": "/file", "listen": "127.0.0.1:1", "account": "123456789012", "regions": ["a-1"],
		"hostnames": ["file.example"], "allowPlainHTTP": true}`
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := serveCommand{Config: path, Data: "/flag", Regions: []string{"b-1", "c-2"}, DB: "postgres://x"}.config()
	if err != nil {
		t.Fatal(err)
	}
	if got.Data != "/flag" || got.Listen != "127.0.0.1:1" || got.Account != "123456789012" ||
		!slices.Equal(got.Regions, []string{"b-1", "c-2"}) ||
		!slices.Equal(got.Hostnames, []string{"file.example"}) || got.Database != "postgres://x" || !got.AllowPlainHTTP {
		t.Errorf("%+v", got)
	}
	if got, err := (serveCommand{Data: "/d"}).config(); err != nil || got.AllowPlainHTTP {
		t.Errorf("plain HTTP is allowed to strangers by default: %v, %v", got.AllowPlainHTTP, err)
	}
}

func TestServeRefusesUnknownKeys(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config.json")
	if err := os.WriteFile(path, []byte(`{"data": "/d", "lisen": "127.0.0.1:1"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if status, _, errs := runCommand(t, "serve", "--config", path); status != 1 || !strings.Contains(errs, `"lisen"`) {
		t.Errorf("status %d, %s", status, errs)
	}
	if status, _, errs := runCommand(t, "serve"); status != 1 || !strings.Contains(errs, "--data") {
		t.Errorf("without a directory: status %d, %s", status, errs)
	}
}

// A control plane ended when its terminal was closed, or when somebody told it to read its settings again, as other
// daemons do.
func TestServeOutlivesItsTerminal(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), becomeServe+"="+data)
	log, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Process.Kill()
	wait.For(t, "the control plane to start", func() bool {
		_, err := os.Stat(filepath.Join(data, "credentials"))
		return err == nil
	})
	if err := cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(log)
	for heard := false; !heard && lines.Scan(); {
		heard = strings.Contains(lines.Text(), "SIGHUP changes nothing")
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Errorf("it ended: %v", err)
	}
	for lines.Scan() {
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("it did not end in order: %v", err)
	}
}
