package policy

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func compiled(t testing.TB, source string) pattern {
	t.Helper()
	p, err := parseTemplate(source, syntax{wildcards: true})
	if err != nil {
		t.Fatal(err)
	}
	return p.pieces
}

func TestWildcards(t *testing.T) {
	for _, test := range []struct {
		pattern, text string
		want          bool
	}{
		{"", "", true}, {"", "a", false}, {"a", "", false}, {"a", "a", true}, {"a", "ab", false},
		{"*", "", true}, {"*", "abc", true}, {"**", "abc", true}, {"?", "", false}, {"?", "a", true}, {"?", "한", true},
		{"?", "ab", false},
		{"?*", "", false}, {"*?", "a", true}, {"a*", "a", true}, {"*a", "ba", true}, {"*a", "ab", false},
		{"a*b*c", "a1b2b3c", true}, {"a*b*c", "a1b2b3", false}, {"*ab", "aab", true}, {"*aab", "aaab", true},
		{"a?c", "abc", true}, {"*한?", "대한민", true}, {"a*?b", "ab", false}, {"*.*", "a.b", true},
	} {
		if got := compiled(t, test.pattern).matches(test.text); got != test.want {
			t.Errorf("%q on %q: %v", test.pattern, test.text, got)
		}
	}
}

// TestWildcardBlowUp: a pattern made to explode costs no more than its length times the text's. A matcher that tries
// every way to split the text would not finish.
func TestWildcardBlowUp(t *testing.T) {
	text := strings.Repeat("a", 10_000)
	if compiled(t, strings.Repeat("a*", 3_000)+"b").matches(text) {
		t.Error("matched")
	}
	if compiled(t, strings.Repeat("*?", 3_000)+"b").matches(text) {
		t.Error("matched")
	}
	if !compiled(t, strings.Repeat("*a", 3_000)).matches(text) {
		t.Error("did not match")
	}
}

// FuzzWildcard compares the matcher with a naive one that follows the definition of wildcards.
func FuzzWildcard(f *testing.F) {
	f.Add("a*b?c*", "aXbYcZ")
	f.Add("*ab*ab?", "abababx")
	f.Add("**?한*", "대한민국")
	f.Fuzz(func(t *testing.T, source, text string) {
		if len(source) > 12 || len(text) > 24 || !utf8.ValidString(source) || !utf8.ValidString(text) {
			return // too long for the naive matcher
		}
		if got, want := compiled(t, source).matches(text), naive([]rune(source), []rune(text)); got != want {
			t.Fatalf("%q on %q: %v, want %v", source, text, got, want)
		}
	})
}

func naive(pattern, text []rune) bool {
	if len(pattern) == 0 {
		return len(text) == 0
	}
	if pattern[0] == '*' {
		return naive(pattern[1:], text) || len(text) > 0 && naive(pattern, text[1:])
	}
	return len(text) > 0 && (pattern[0] == '?' || pattern[0] == text[0]) && naive(pattern[1:], text[1:])
}
