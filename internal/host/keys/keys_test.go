package keys

import (
	"bufio"
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/sallyport/sallyport/internal/keyblob"
)

const line = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ1xMgAZ3UGSnR3kR4jCXE5bI6qLF3lF0D2oXLGyhVhz"

// sshd passes the user's name as the second word, and names may come from anywhere: one that looks like an option must
// not choose which agent is believed, nor what is run.
func TestParseKeys(t *testing.T) {
	helper := func(socket, user, fingerprint string, chain ...string) Helper {
		return Helper{Socket: socket, Question: Question{User: user, Fingerprint: fingerprint}, Chain: chain}
	}
	for _, test := range []struct {
		args []string
		want Helper
	}{
		{[]string{"/s", "mina", "SHA256:x"}, helper("/s", "mina", "SHA256:x")},
		{[]string{"/s", "mina"}, helper("/s", "mina", "")},
		{[]string{"/s", "mina", "SHA256:x", "--", "/c", "mina"}, helper("/s", "mina", "SHA256:x", "/c", "mina")},
		{[]string{"/s", "mina", "--", "/usr/bin/sss"}, helper("/s", "mina", "", "/usr/bin/sss")},
		{[]string{"/s", "--socket=/tmp/evil", "SHA256:x"}, helper("/s", "--socket=/tmp/evil", "SHA256:x")},
		{[]string{"/s", "/tmp/evil", "SHA256:x"}, helper("/s", "/tmp/evil", "SHA256:x")},
		{[]string{"/s", "--", "SHA256:x", "--", "/usr/bin/sss"}, helper("/s", "--", "SHA256:x", "/usr/bin/sss")},
		{[]string{"/s"}, helper("/s", "", "")},
		{nil, Helper{}},
	} {
		if diff := cmp.Diff(test.want, Parse(test.args)); diff != "" {
			t.Errorf("%q: %s", test.args, diff)
		}
	}
}

// A key is not accepted for longer than it lives.
func TestLifetime(t *testing.T) {
	if Lifetime != keyblob.Lifetime {
		t.Errorf("a key lives %v, and may end after %v", keyblob.Lifetime, Lifetime)
	}
	const up = time.Hour
	for ends, want := range map[time.Duration]bool{
		0: false, up - 1: false, up: false, up + 1: true, up + Lifetime: true, up + Lifetime + 1: false,
	} {
		if got := (Key{Ends: ends}).inTime(up); got != want {
			t.Errorf("a key that ends after %v is taken after %v: %v", ends, up, got)
		}
	}
}

// Each end reads what the other wrote, and rejects a part of it.
func TestConversation(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		argument := rapid.StringOf(rapid.Rune().Filter(func(r rune) bool { return r != 0 }))
		asked := Question{User: argument.Draw(t, "user"), Fingerprint: argument.Draw(t, "fingerprint")}
		heard, about := bufio.NewReader(bytes.NewReader(asked.text())), ""
		if about, _ = heard.ReadString(0); about != About {
			t.Fatalf("it is about %q", about)
		}
		if got, err := ReadQuestion(heard); err != nil || got != asked {
			t.Fatalf("%+v was heard as %+v, %v", asked, got, err)
		}
		answer := rapid.SliceOf(rapid.Custom(func(t *rapid.T) Key {
			ends := time.Duration(rapid.Int64().Draw(t, "ends"))
			return Key{ends, rapid.StringMatching(`[a-z0-9@.-]{1,9} [A-Za-z0-9+/]{1,99}={0,2}`).Draw(t, "line")}
		})).Draw(t, "answer")
		text := string(AppendAnswer(nil, answer))
		got, err := parseAnswer(text)
		if err != nil || len(got) != len(answer) || len(got) > 0 && !cmp.Equal(got, answer) {
			t.Fatalf("%q was heard as %+v, %v", text, got, err)
		}
		cut := text[:rapid.IntRange(0, len(text)-1).Draw(t, "cut")]
		if got, err := parseAnswer(cut); err == nil {
			t.Fatalf("%q, which is cut off, was heard as %+v", cut, got)
		}
	})
}

func FuzzParseAnswer(f *testing.F) {
	f.Add(string(AppendAnswer(nil, []Key{{time.Hour, line}})))
	f.Add("\n")
	f.Fuzz(func(t *testing.T, text string) {
		answer, err := parseAnswer(text)
		if err != nil {
			return
		}
		for _, key := range answer {
			if words := strings.Fields(key.Line); len(words) != 2 || strings.Join(words, " ") != key.Line {
				t.Errorf("%q holds the line %q", text, key.Line)
			}
		}
	})
}
