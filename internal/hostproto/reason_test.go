package hostproto

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"pgregory.net/rapid"
)

// Whatever a machine sends, Reason returns one bounded line that moves no cursor and reverses no text.
func TestReason(t *testing.T) {
	if got := Reason("  The account\n has\texpired. "); got != "The account has expired." {
		t.Errorf("got %q", got)
	}
	rapid.Check(t, func(r *rapid.T) {
		text := string(rapid.SliceOf(rapid.Byte()).Draw(r, "bytes")) + rapid.String().Draw(r, "text")
		got := Reason(strings.Repeat(text, rapid.IntRange(1, 100).Draw(r, "times")))
		if utf8.RuneCountInString(got) > maxReason ||
			strings.ContainsFunc(got, func(r rune) bool { return !unicode.IsPrint(r) }) {
			r.Fatalf("got %q", got)
		}
		if Reason(got) != got {
			r.Fatalf("%q changed to %q", got, Reason(got))
		}
	})
}
