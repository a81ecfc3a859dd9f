package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestConfigure(t *testing.T) {
	data := t.TempDir()
	home := t.TempDir()
	t.Setenv("AWS_CONFIG_FILE", filepath.Join(home, "c"))
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", filepath.Join(home, "s"))
	if status, _, err := runCommand(t, "configure", "--data", data); status == 0 || !strings.Contains(err, "was started once") {
		t.Errorf("without credentials: status %d, %s", status, err)
	}
	text := "[sallyport]\naws_access_key_id = AKIA1\naws_secret_access_key = s\nregion = r\nendpoint_url = https://192.0.2.1:7474\n"
	if err := os.WriteFile(filepath.Join(data, "credentials"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(data, "ca.pem"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	status, out, errs := runCommand(t, "configure", "--data", data, "--name", "lab")
	if status != 0 || !strings.Contains(out, "--profile lab") {
		t.Errorf("status %d, %s%s", status, out, errs)
	}
	config, err := os.ReadFile(filepath.Join(home, "c"))
	want := "[profile lab]\nregion = r\nendpoint_url = https://192.0.2.1:7474\nca_bundle = " + filepath.Join(data, "ca.pem") + "\n"
	if err != nil || string(config) != want {
		t.Errorf("config %v\n%s", err, config)
	}
}

// runCommand runs the command line and returns what it said.
func runCommand(t *testing.T, args ...string) (status int, out, err string) {
	t.Helper()
	var stdout, stderr strings.Builder
	status = run(args, terminal{in: strings.NewReader(""), out: &stdout, err: &stderr})
	return status, stdout.String(), stderr.String()
}
