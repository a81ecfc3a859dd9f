package controlplane

import (
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestReadConfig(t *testing.T) {
	write := func(text string) string {
		path := filepath.Join(t.TempDir(), "config.json")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	got, err := ReadConfig(write(`{"data": "/d", "listen": "0.0.0.0:1", "db": "postgres://h/d", "account": "123456789012",
		"regions": ["a-1", "b-2"], "hostnames": ["n"], "advertise": "https://n:1", "allowPlainHTTP": true}`))
	if err != nil {
		t.Fatal(err)
	}
	want := Config{Data: "/d", Listen: "0.0.0.0:1", Database: "postgres://h/d", Account: "123456789012",
		Regions: []string{"a-1", "b-2"}, Hostnames: []string{"n"}, Advertise: "https://n:1", AllowPlainHTTP: true}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for text, complaint := range map[string]string{
		`{"lissten": "x"}`:               `"lissten" is not a setting`,
		`{"Listen": "x"}`:                `"Listen" is not a setting`,
		`{"listen": "a", "listen": "b"}`: `"listen" is set twice`,
		`{"listen": 1}`:                  "listen",
		`{} {}`:                          "follows",
		`[]`:                             "no JSON object",
		`{"listen": "a"`:                 "EOF",
		`listen: 127.0.0.1`:              "invalid character",
		``:                               "EOF",
	} {
		if _, err := ReadConfig(write(text)); err == nil || !strings.Contains(err.Error(), complaint) {
			t.Errorf("%s: %v, want something about %q", text, err, complaint)
		}
	}
	if _, err := ReadConfig("/nonexistent"); err == nil {
		t.Error("a missing file is no error")
	}
}

func TestWithDefaults(t *testing.T) {
	got, err := Config{Data: "/d"}.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	if got.Listen != DefaultListen || !slices.Equal(got.Regions, []string{DefaultRegion}) || got.AllowPlainHTTP {
		t.Errorf("%+v", got)
	}
	for name, bad := range map[string]Config{
		"no data":          {},
		"listen":           {Data: "/d", Listen: "localhost"},
		"account":          {Data: "/d", Account: "1234"},
		"account, letters": {Data: "/d", Account: "12345678901x"},
		"region":           {Data: "/d", Regions: []string{"Europe"}},
		"region twice":     {Data: "/d", Regions: []string{"a-1", "a-1"}},
		"database":         {Data: "/d", Database: "mysql://x"},
		"advertise http":   {Data: "/d", Advertise: "http://x"},
		"advertise path":   {Data: "/d", Advertise: "https://x/y"},
		"advertise user":   {Data: "/d", Advertise: "https://a@x"},
	} {
		if _, err := bad.withDefaults(); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
}

func TestURLs(t *testing.T) {
	for _, c := range []struct {
		listener            string
		config              Config
		endpoint, advertise string
	}{
		{"127.0.0.1:7474", Config{}, "http://127.0.0.1:7474", "https://127.0.0.1:7474"},
		{"[::1]:7474", Config{}, "http://[::1]:7474", "https://[::1]:7474"},
		{"192.0.2.1:7474", Config{}, "https://192.0.2.1:7474", "https://192.0.2.1:7474"},
		{
			"0.0.0.0:7474", Config{Hostnames: []string{"bastion.example.com"}},
			"http://127.0.0.1:7474", "https://bastion.example.com:7474",
		},
		{"[::]:7474", Config{Advertise: "https://x:1"}, "http://127.0.0.1:7474", "https://x:1"},
	} {
		address, err := net.ResolveTCPAddr("tcp", c.listener)
		if err != nil {
			t.Fatal(err)
		}
		endpoint, advertise := c.config.urls(address)
		if endpoint != c.endpoint || advertise != c.advertise {
			t.Errorf("%s: %s and %s, want %s and %s", c.listener, endpoint, advertise, c.endpoint, c.advertise)
		}
	}
}

func TestNames(t *testing.T) {
	address, err := net.ResolveTCPAddr("tcp", "0.0.0.0:7474")
	if err != nil {
		t.Fatal(err)
	}
	got := Config{
		Listen: "0.0.0.0:7474", Hostnames: []string{"a.example", "192.0.2.1"}, Advertise: "https://b.example:1",
	}.names(address)
	for _, name := range []string{"localhost", "127.0.0.1", "::1", "a.example", "192.0.2.1", "b.example"} {
		if !slices.Contains(got, name) {
			t.Errorf("%s is missing in %v", name, got)
		}
	}
	if slices.Contains(got, "0.0.0.0") {
		t.Errorf("every address is no name: %v", got)
	}
}
