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
	status, _, complaint := runCommand(t, "configure", "--data", data)
	if status == 0 || !strings.Contains(complaint, "was started once") {
		t.Errorf("without credentials: status %d, %s", status, complaint)
	}
	text := "[sallyport]\naws_access_key_id = AKIA1\naws_secret_access_key = s\nregion = r\n" +
		"endpoint_url = https://192.0.2.1:7474\n"
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
	want := "[profile lab]\nregion = r\nendpoint_url = https://192.0.2.1:7474\n" +
		"ca_bundle = " + filepath.Join(data, "ca.pem") + "\n"
	if err != nil || string(config) != want {
		t.Errorf("config %v\n%s", err, config)
	}
}

// A profile of the same name for another endpoint was overwritten, and its secret was lost.
func TestConfigureLeavesAnothersProfile(t *testing.T) {
	data, home := t.TempDir(), t.TempDir()
	credentials, config := filepath.Join(home, "s"), filepath.Join(home, "c")
	t.Setenv("AWS_CONFIG_FILE", config)
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", credentials)
	write := func(path, text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	const ours = "aws_access_key_id = AKIA1\naws_secret_access_key = s\n"
	const place = "region = r\nendpoint_url = http://127.0.0.1:7474\n"
	write(filepath.Join(data, "credentials"), "[sallyport]\n"+ours+place)
	for _, another := range []struct{ credentials, config string }{
		{"[sallyport]\naws_access_key_id = AKIA2\naws_secret_access_key = t\naws_session_token = u\n",
			"[profile sallyport]\nregion = r\nendpoint_url = https://192.0.2.1:7474\n"},
		{"[sallyport]\naws_access_key_id = AKIA2\naws_secret_access_key = t\n", ""},
		{"", "[profile sallyport]\nendpoint_url = https://192.0.2.1:7474\ncredential_process = vault\n"},
	} {
		write(credentials, another.credentials)
		write(config, another.config)
		status, _, complaint := runCommand(t, "configure", "--data", data)
		if status == 0 || !strings.Contains(complaint, "--name") {
			t.Errorf("status %d, %s", status, complaint)
		}
		keys, _ := os.ReadFile(credentials)
		settings, _ := os.ReadFile(config)
		if string(keys) != another.credentials || string(settings) != another.config {
			t.Errorf("the profile became\n%s%s", keys, settings)
		}
	}
	// An earlier control plane at the same endpoint is gone with its keys.
	write(credentials, "[sallyport]\naws_access_key_id = AKIA0\naws_secret_access_key = r\n")
	write(config, "[profile sallyport]\n"+place)
	if status, _, complaint := runCommand(t, "configure", "--data", data); status != 0 {
		t.Errorf("status %d, %s", status, complaint)
	}
	if keys, _ := os.ReadFile(credentials); string(keys) != "[sallyport]\n"+ours {
		t.Errorf("the key is\n%s", keys)
	}
}

// runCommand runs the command line and returns its output.
func runCommand(t *testing.T, args ...string) (status int, out, err string) {
	t.Helper()
	var stdout, stderr strings.Builder
	status = run(args, terminal{in: strings.NewReader(""), out: &stdout, err: &stderr})
	return status, stdout.String(), stderr.String()
}
