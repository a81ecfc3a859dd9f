package sshd

import (
	"regexp"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// TestMatchPattern compares the patterns of ssh_config(5) with the regular expressions of the same meaning.
func TestMatchPattern(t *testing.T) {
	for _, test := range []struct {
		text, pattern string
		want          bool
	}{
		{"", "", true}, {"", "*", true}, {"", "?", false}, {"mina", "mina", true}, {"mina", "m*a", true},
		{"mina", "m?na", true}, {"mina", "min", false}, {"mina", "*i*a*", true}, {"mina", "[m]ina", false},
		{"a.b", "a?b", true}, {`a\b`, `a\b`, true},
	} {
		if got := matchPattern(test.text, test.pattern); got != test.want {
			t.Errorf("%q by %q: %v", test.text, test.pattern, got)
		}
	}
	rapid.Check(t, func(r *rapid.T) {
		text := rapid.StringMatching(`[ab.]{0,8}`).Draw(r, "text")
		pattern := rapid.StringMatching(`[ab.*?]{0,8}`).Draw(r, "pattern")
		expression := strings.NewReplacer(`\*`, ".*", `\?`, ".").Replace(regexp.QuoteMeta(pattern))
		if want := regexp.MustCompile("^(" + expression + ")$").MatchString(text); matchPattern(text, pattern) != want {
			r.Fatalf("%q by %q is not %v", text, pattern, want)
		}
	})
}

func TestKeyTypes(t *testing.T) {
	const p256, rsa2048 = "ecdsa-sha2-nistp256", "ssh-rsa"
	for _, test := range []struct {
		settings Settings
		want     string
	}{
		{Settings{}, ""},
		{Settings{"pubkeyacceptedalgorithms": {
			"ssh-ed25519-cert-v01@openssh.com,ecdsa-sha2-nistp256,rsa-sha2-512,rsa-sha2-256",
		}}, p256 + " " + rsa2048},
		{Settings{"pubkeyacceptedkeytypes": {"ssh-rsa,rsa-sha2-256"}}, rsa2048},
		{Settings{"pubkeyacceptedalgorithms": {"sk-ssh-ed25519@openssh.com"}}, "sk-ssh-ed25519@openssh.com"},
	} {
		if got := strings.Join(test.settings.KeyTypes(), " "); got != test.want {
			t.Errorf("%v accepts %q, want %q", test.settings, got, test.want)
		}
	}
	small := Settings{"pubkeyacceptedalgorithms": {"rsa-sha2-512"}, "requiredrsasize": {"4096"}}
	const key = "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAAwEAAQ=="
	if why := small.RefusesKey(key); !strings.Contains(why, "fewer than 4096 bits") {
		t.Errorf("a small RSA key: %q", why)
	}
	if why := (Settings{"pubkeyacceptedalgorithms": {"rsa-sha2-512"}}).RefusesKey(key); why != "" {
		t.Errorf("where any size will do: %q", why)
	}
	if why := small.RefusesKey("ssh-rsa ????"); why == "" {
		t.Error("no key is taken for one")
	}
}

// A user with a nologin shell cannot log in, unless sshd is configured for a use that needs no shell.
func TestAccountsWithoutAShell(t *testing.T) {
	account := Account{Name: "web", UID: 1000, Shell: "/usr/sbin/nologin"}
	for forced, refused := range map[string]bool{"none": true, "internal-sftp -d /in": false, "/bin/echo": true} {
		settings := Settings{"usepam": {"yes"}, "chrootdirectory": {"/srv"}, "forcecommand": {forced}}
		if why := settings.Refusal(account); (why != "") != refused {
			t.Errorf("ForceCommand %s: %q", forced, why)
		}
	}
	if why := (Settings{"usepam": {"yes"}, "chrootdirectory": {"/srv"}, "permittty": {"no"}}).Refusal(account); why != "" {
		t.Errorf("for tunnels: %q", why)
	}
}
