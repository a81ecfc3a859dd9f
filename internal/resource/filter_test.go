package resource

import (
	"path"
	"strings"
	"testing"
)

func TestWildcard(t *testing.T) {
	for _, test := range []struct {
		pattern, value string
		want           bool
	}{
		{"", "", true}, {"", "a", false}, {"*", "", true}, {"?", "", false}, {"?", "ü", true}, {"a*", "abc", true},
		{"*c", "abc", true}, {"a*c", "abc", true}, {"a*b*c", "aXbYbZc", true}, {"a*b*c", "acb", false}, {`\*`, "*", true},
		{`\*`, "a", false}, {`a\`, `a\`, true}, {`\\`, `\`, true},
		{`*\?`, "what?", true}, {`*\?`, "what!", false}, {"**", "x", true},
	} {
		if got := wildcard(test.pattern, test.value); got != test.want {
			t.Errorf("%q, %q: %v", test.pattern, test.value, got)
		}
	}
	if wildcard(strings.Repeat("*a", 100), strings.Repeat("a", 99)) {
		t.Error("99 are not 100")
	}
}

// path.Match knows the same * and ? where there are no slashes and brackets.
func FuzzWildcard(f *testing.F) {
	f.Add("a*b?c", "aXXbYc")
	f.Add(`\*a`, "*a")
	f.Fuzz(func(t *testing.T, pattern, value string) {
		if strings.ContainsAny(pattern+value, "/[]-^") || len(pattern) > 64 || len(value) > 64 ||
			strings.HasSuffix(pattern, `\`) || strings.ToValidUTF8(pattern+value, "") != pattern+value {
			t.Skip()
		}
		want, err := path.Match(pattern, value)
		if err != nil {
			t.Skip()
		}
		if got := wildcard(pattern, value); got != want {
			t.Errorf("%q, %q: %v, path.Match says %v", pattern, value, got, want)
		}
	})
}
