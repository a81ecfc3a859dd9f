package main

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/internal/host"
)

// sshd hands over the user's name as its second word, and names come from wherever the machine gets its users:
// one that looks like an option must not choose whose authority is believed, nor what is run.
func TestParseKeys(t *testing.T) {
	for _, test := range []struct {
		args []string
		want host.Keys
	}{
		{[]string{"mina", "SHA256:x"}, host.Keys{Directory: "/etc/sallyport", User: "mina", Fingerprint: "SHA256:x"}},
		{[]string{"--directory", "/d", "mina", "SHA256:x"}, host.Keys{Directory: "/d", User: "mina", Fingerprint: "SHA256:x"}},
		{[]string{"--directory=/d", "mina"}, host.Keys{Directory: "/d", User: "mina"}},
		{[]string{"--directory", "/d", "mina", "SHA256:x", "--", "/usr/bin/sss", "mina"}, host.Keys{Directory: "/d", User: "mina", Fingerprint: "SHA256:x", Chain: []string{"/usr/bin/sss", "mina"}}},
		{[]string{"--directory", "/d", "mina", "--", "/usr/bin/sss"}, host.Keys{Directory: "/d", User: "mina", Chain: []string{"/usr/bin/sss"}}},
		{[]string{"--directory", "/d", "--directory=/tmp/evil", "SHA256:x"}, host.Keys{Directory: "/d", User: "--directory=/tmp/evil", Fingerprint: "SHA256:x"}},
		{[]string{"--directory", "/d", "--directory", "SHA256:x"}, host.Keys{Directory: "/d", User: "--directory", Fingerprint: "SHA256:x"}},
		{[]string{"--directory", "/d", "--", "SHA256:x", "--", "/usr/bin/sss"}, host.Keys{Directory: "/d", User: "--", Fingerprint: "SHA256:x", Chain: []string{"/usr/bin/sss"}}},
		{nil, host.Keys{Directory: "/etc/sallyport"}},
	} {
		if diff := cmp.Diff(test.want, parseKeys(test.args)); diff != "" {
			t.Errorf("%q: %s", test.args, diff)
		}
	}
}
