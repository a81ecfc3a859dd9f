package sshd

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseOptions(t *testing.T) {
	amazon := Options{Config: DefaultConfig, Arguments: []string{
		"-oAuthorizedKeysCommand /usr/share/ec2-instance-connect/eic_run_authorized_keys %u %f",
		"-oAuthorizedKeysCommandUser ec2-instance-connect", "-p2222",
	}}
	other := Options{Config: "/opt/sshd_config", Arguments: []string{"-4", "-oPort=22", "-u0"}}
	for _, test := range []struct {
		cmdline string
		want    Options
		daemon  bool
	}{
		{"/usr/sbin/sshd\x00-D\x00", Options{Config: DefaultConfig}, true},
		{"sshd: /usr/sbin/sshd -D [listener] 0 of 10-100 startups\x00\x00", Options{Config: DefaultConfig}, true},
		{"sshd: /usr/sbin/sshd -D -o AuthorizedKeysCommand /usr/share/ec2-instance-connect/eic_run_authorized_keys %u %f" +
			" -o AuthorizedKeysCommandUser ec2-instance-connect -p 2222 [listener] 0 of 10-100 startups", amazon, true},
		{"/usr/sbin/sshd\x00-D\x00-oAuthorizedKeysCommand /usr/share/ec2-instance-connect/eic_run_authorized_keys %u %f\x00" +
			"-o\x00AuthorizedKeysCommandUser ec2-instance-connect\x00-p2222\x00", amazon, true},
		{"sshd: /usr/sbin/sshd -De4f/opt/sshd_config -oPort=22 -u0 [listener] 1 of 10-100 startups", other, true},
		{"sshd: /usr/sbin/sshd -o Banner /etc/--notes -eD [listener] 0 of 10-100 startups",
			Options{Config: DefaultConfig, Arguments: []string{"-oBanner /etc/--notes"}}, true},
		{"sshd: alice [priv]\x00", Options{}, false},
		{"sshd: alice@pts/0\x00", Options{}, false},
		{"sshd: [accepted]\x00", Options{}, false},
		{"/usr/sbin/sshd\x00-D\x00-R\x00", Options{}, false},
		{"/usr/sbin/sshd\x00-i\x00", Options{}, false},
		{"/usr/sbin/sshd\x00-T\x00-f\x00/x\x00", Options{}, false},
	} {
		got, ok := parseOptions(test.cmdline)
		if diff := cmp.Diff(test.want, got); diff != "" || ok != test.daemon {
			t.Errorf("%q: a daemon is %v\n%s", test.cmdline, ok, diff)
		}
	}
	if !amazon.Sets("authorizedkeyscommand") || amazon.Sets("AuthorizedKeys") || amazon.Sets("p2222") ||
		!other.Sets("port") {
		t.Error("which keywords options set is not known")
	}
}

// FuzzParseOptions checks that whatever a process calls itself, parseOptions returns options and nothing else.
func FuzzParseOptions(f *testing.F) {
	f.Add("sshd: /usr/sbin/sshd -D -o A b -x [listener] 0")
	f.Add("/usr/sbin/sshd\x00-o")
	f.Add("")
	f.Fuzz(func(t *testing.T, cmdline string) {
		options, ok := parseOptions(cmdline)
		for _, argument := range options.Arguments {
			if len(argument) < 2 || argument[0] != '-' || !strings.Contains(flagsKept, argument[1:2]) {
				t.Errorf("%q: %q is no option to keep", cmdline, argument)
			}
		}
		if ok && !strings.HasPrefix(options.Config, "/") {
			t.Errorf("%q: the configuration is %q", cmdline, options.Config)
		}
	})
}
