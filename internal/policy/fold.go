package policy

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Fold returns the form in which texts are compared that AWS compares without regard to case: condition keys, tag
// keys, actions and names in IAM. Two texts have the same form if and only if strings.EqualFold reports true
// (Unicode's simple case folding). ASCII letters become lower case. strings.ToLower does not serve: it turns U+0130
// into i, which no folding does, and leaves U+017F, which folds with s.
func Fold(s string) string {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return strings.Map(foldRune, s)
		}
	}
	return strings.ToLower(s)
}

// foldRune returns the rune that represents all runes that fold with r.
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
