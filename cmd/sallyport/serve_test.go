package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestServeMergesFileAndFlags(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config.json")
	text := `{"data": "/file", "listen": "127.0.0.1:1", "account": "123456789012", "regions": ["a-1"], "hostnames": ["file.example"], "allowPlainHTTP": true}`
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := serveCommand{Config: path, Data: "/flag", Regions: []string{"b-1", "c-2"}, DB: "postgres://x"}.config()
	if err != nil {
		t.Fatal(err)
	}
	if got.Data != "/flag" || got.Listen != "127.0.0.1:1" || got.Account != "123456789012" || !slices.Equal(got.Regions, []string{"b-1", "c-2"}) ||
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
