package sshd

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The lines are those by which `systemctl show` describes sshd's units on several distributions.
func TestUnitStarts(t *testing.T) {
	defaults := filepath.Join(t.TempDir(), "ssh")
	text := "# SSHD_OPTS=-o Port=1\nSSHD_OPTS=\"-o Port=2222 \\\n-4\"\n" +
		"CRYPTO_POLICY='-oCiphers=aes256-ctr -oMACs=hmac-sha2-512'\n"
	if err := os.WriteFile(defaults, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	const end = " ; ignore_errors=yes ; start_time=[n/a] ; stop_time=[n/a] ; pid=0 ; code=(null) ; status=0/0 }"
	files := []string{defaults + " (ignore_errors=yes)", "/nonexistent (ignore_errors=yes)"}
	for argv, want := range map[string]Options{
		"/usr/sbin/sshd -D":            {Config: DefaultConfig},
		"/usr/sbin/sshd -i $SSHD_OPTS": {Config: DefaultConfig, Arguments: []string{"-oPort=2222", "-4"}},
		"/usr/sbin/sshd -D $OPTIONS ${CRYPTO_POLICY}": {
			Config: "/etc/ssh/other", Arguments: []string{"-oCiphers=aes256-ctr", "-oMACs=hmac-sha2-512"}},
		`/usr/sbin/sshd -D -o AuthorizedKeysCommand /usr/share/keys %u %f -o AuthorizedKeysCommandUser nobody $UNKNOWN`: {
			Config: DefaultConfig, Arguments: []string{
				"-oAuthorizedKeysCommand /usr/share/keys %u %f", "-oAuthorizedKeysCommandUser nobody"}},
		`/usr/sbin/sshd -D -o "AuthorizedKeysCommand /usr/share/keys %u"`: {
			Config: DefaultConfig, Arguments: []string{"-oAuthorizedKeysCommand /usr/share/keys %u"}},
	} {
		service := unit{"EnvironmentFiles": files, "Environment": {`"OPTIONS=-f /etc/ssh/other" SSHD_OPTS=-6`}}
		started, ok := service.started("{ path=/usr/sbin/sshd ; argv[]=" + argv + end)
		if diff := cmp.Diff(Started{Program: "/usr/sbin/sshd", Options: want}, started); diff != "" || !ok {
			t.Errorf("%s: %v %s", argv, ok, diff)
		}
	}
	const bus = "{ path=/usr/bin/dbus-daemon ; argv[]=/usr/bin/dbus-daemon --system" + end
	for _, other := range []string{"", bus, "{ path=/usr/sbin/sshd }"} {
		if started, ok := (unit{}).started(other); ok {
			t.Errorf("%q is taken for an sshd: %+v", other, started)
		}
	}
}
