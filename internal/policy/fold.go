package policy

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Fold returns the form in which keys and names that AWS compares without regard to case are compared, everywhere:
// condition keys, tag keys, actions, the names of IAM. Two texts have the same form if and only if strings.EqualFold
// says so (Unicode's simple case folding), and what is ASCII is in lower case. strings.ToLower would not do: it makes i
// of U+0130, which no folding does, and leaves U+017F, which folds with s.
func Fold(s string) string {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return strings.Map(foldRune, s)
		}
	}
	return strings.ToLower(s)
}

// foldRune returns the one rune that stands for all that fold with r.
func foldRune(r rune) rune {
	first := r
	for other := unicode.SimpleFold(r); other != r; other = unicode.SimpleFold(other) {
		first = min(first, other)
	}
	if 'A' <= first && first <= 'Z' {
		first += 'a' - 'A'
	}
	return first
}
