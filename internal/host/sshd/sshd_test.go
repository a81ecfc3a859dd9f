package sshd

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// TestBlockComesOutAgain checks that a block can be taken out of any configuration, whatever was added after it.
func TestBlockComesOutAgain(t *testing.T) {
	block := IncludeBlock("/etc/ssh/sshd_config.d/00-sallyport-host.conf")
	rapid.Check(t, func(t *rapid.T) {
		config, added := rapid.String().Draw(t, "config"), rapid.String().Draw(t, "added")
		got, ok := Remove(Prepend(config, block)+added, block)
		if !ok || got != config+added {
			t.Fatalf("%q, %v", got, ok)
		}
	})
}

func TestRemoveEditedBlock(t *testing.T) {
	block := IncludeBlock("/x.conf")
	for name, test := range map[string]struct {
		config, want string
		ok           bool
	}{
		"gone":  {"Port 22\n", "Port 22\n", false},
		"empty": {"", "", false},
		"line in between": {
			strings.Replace(block, "\nInclude", "\n# mine\nInclude", 1) + "Port 22\n", "# mine\nPort 22\n", true,
		},
		"comment gone":  {"Include /x.conf\nPort 22\n", "Port 22\n", true},
		"other include": {"Include /x.conf.d/*\n\nPort 22\n", "Include /x.conf.d/*\n\nPort 22\n", false},
	} {
		if got, ok := Remove(test.config, block); got != test.want || ok != test.ok {
			t.Errorf("%s: %q, %v", name, got, ok)
		}
	}
}

func TestChain(t *testing.T) {
	const ours = "/usr/lib/sallyport/sallyport-keys /run/sallyport/host.sock %u %f"
	for existing, want := range map[string]string{
		"":                         ours,
		"/bin/true":                ours + " -- /bin/true %u",
		"/bin/true %u":             ours + " -- /bin/true %u",
		"  /bin/echo  \"a b\"  %h": ours + ` -- /bin/echo "a b"  %h`,
	} {
		if got, err := Chain(ours, KeysCommand{Command: existing, User: "nobody"}); err != nil || got != want {
			t.Errorf("%q: %q, %v", existing, got, err)
		}
	}
	for existing, user := range map[string]string{
		`"/bin/with space" %u`: "nobody",
		"relative":             "nobody",
		"/bin/true":            "%u",
		"/tmp/anybodys":        "nobody",
	} {
		if got, err := Chain(ours, KeysCommand{Command: existing, User: user}); err == nil {
			t.Errorf("%q as %q is chained: %q", existing, user, got)
		}
	}
}

func TestOverrides(t *testing.T) {
	directory := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(directory, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	included := write("a.conf", "Match Group admins\n\tauthorizedkeyscommand=/bin/a %u\n")
	within := write("b.inc", "AuthorizedKeysCommand /bin/b\nMatch Address ::1\nAuthorizedKeysCommand /bin/c\n")
	config := write("sshd_config", "# Match x\nAuthorizedKeysCommand /bin/global\nInclude "+directory+"/*.conf # all\n"+
		"Match User bob\n  Include \""+within+"\"\nMatch all\n AuthorizedKeysCommandUser x\n"+
		" AuthorizedKeysCommand /bin/later\n AuthorizedKeysCommand /bin/no\n")
	got, err := Overrides(config)
	if err != nil {
		t.Fatal(err)
	}
	want := []Override{
		{File: included, Line: 2, Match: "Group admins", Command: "/bin/a %u"},
		{File: within, Line: 1, Match: "User bob", Command: "/bin/b"},
		{File: within, Line: 3, Match: "Address ::1", Nested: true, Command: "/bin/c"},
		// This one counts for every login, and the global one for none.
		{File: config, Line: 8, Match: "all", Command: "/bin/later", User: "x"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	matched := []Matched{{Match: "User bob", KeysCommand: KeysCommand{"/ours -- /bin/b", "x"}}}
	dropIn := write("drop-in", KeysCommand{"/ours -- /bin/global", "x"}.DropIn(KeysCommand{}, matched))
	chained := write("chained", IncludeBlock(dropIn)+"Include "+config+"\n")
	if got, err = Overrides(chained); err != nil {
		t.Fatal(err)
	}
	want = []Override{want[0], want[2], want[3]}
	if diff := cmp.Diff(want, Unasked(got, "/ours")); diff != "" {
		t.Errorf("with bob's asking ours: %s", diff)
	}
	loop := write("loop", "Include "+directory+"/loop\n")
	if _, err := Overrides(loop); err != nil {
		t.Errorf("a file that includes itself: %v", err)
	}
}

func TestAddresses(t *testing.T) {
	for text, want := range map[string]string{
		"listenaddress 127.0.0.1:22\nlistenaddress [fd00::2]:22\n": "[127.0.0.1 fd00::2]",
		"listenaddress 127.0.0.1:22\nlistenaddress 0.0.0.0:22\n":   "[]",
		"listenaddress [::]:22\n":                                  "[]",
		"port 22\n":                                                "[]",
	} {
		if got := fmt.Sprint(parseSettings(text).Addresses()); got != want {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
}

func TestSettings(t *testing.T) {
	settings := parseSettings(
		"port 22\nlistenaddress [::]:2200\nlistenaddress 0.0.0.0:22\nauthorizedkeyscommand none\npidfile /run/sshd.pid\n")
	if got := settings.Listens().String(); got != "[::1]:2200" {
		t.Error(got)
	}
	if got := settings.KeysCommand(); got != (KeysCommand{}) {
		t.Error(got)
	}
	if got := settings.Difference(parseSettings("port 22\n")); got == "" {
		t.Error("settings that lack lines are equal")
	}
	if !settings.Equal(settings) {
		t.Error("settings differ from themselves")
	}
}

// TestOutcome has log lines of several releases of OpenSSH.
func TestOutcome(t *testing.T) {
	const (
		failed = "error: AuthorizedKeysCommand /x keys failed, status 3"
		unsafe = `error: Unsafe AuthorizedKeysCommand "/x": bad ownership or modes for file /x`
	)
	for log, want := range map[string]Outcome{
		"debug3: Running AuthorizedKeysCommand: \"/x keys\" as \"nobody\"\n":                            {CommandRan: true},
		"debug3: subprocess: AuthorizedKeysCommand command \"/x keys\" running as nobody (flags 0x6)\n": {CommandRan: true},
		"debug3: subprocess: AuthorizedKeysCommand command \"/x\" running as n\n" + failed + "\r\n": {
			CommandRan: true, CommandProblem: failed,
		},
		unsafe + "\n": {CommandProblem: unsafe},
		"debug1: trying public key file /root/.ssh/authorized_keys\n": {},
	} {
		if diff := cmp.Diff(want, outcome(log)); diff != "" {
			t.Errorf("%s: %s", log, diff)
		}
	}
}

func TestVersion(t *testing.T) {
	for _, test := range []struct {
		version Version
		include bool
	}{{Version{7, 4}, false}, {Version{8, 1}, false}, {Version{8, 2}, true}, {Version{10, 0}, true}} {
		if test.version.HasInclude() != test.include {
			t.Errorf("%v", test.version)
		}
	}
}

// FuzzSplitDirective checks that no line makes the reader of configurations fail or invent words.
func FuzzSplitDirective(f *testing.F) {
	f.Add("Match User \"a b\" # c")
	f.Add("Include='x'=")
	f.Fuzz(func(t *testing.T, line string) {
		keyword, value := splitDirective(line)
		if !strings.Contains(line, value) || len(keyword) > len(line) {
			t.Fatalf("%q gives %q and %q", line, keyword, value)
		}
		for _, word := range splitWords(value) {
			if len(word) > len(value)*3 { // an invalid byte reads as three
				t.Fatalf("%q gives %q", value, word)
			}
		}
	})
}
