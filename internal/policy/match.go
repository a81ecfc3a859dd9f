package policy

import (
	"strings"
	"unicode/utf8"
)

// pieceKind is the kind of a piece.
type pieceKind uint8

const (
	literal  pieceKind = iota
	anyOne             // ?: one character
	anyRun             // *: any number of characters, or none
	variable           // ${key} or ${key, 'fallback'}; in templates only
)

// piece is a part of a pattern or template.
type piece struct {
	kind        pieceKind
	text        string // a literal's text, or a variable's folded key
	fallback    string
	hasFallback bool
}

// pattern is a text with wildcards, split into pieces.
type pattern []piece

// matches reports whether the pattern matches all of s. At worst it takes time in proportion to the product of both
// lengths: on a mismatch it extends only the last *, because a longer match of an earlier one cannot help.
func (p pattern) matches(s string) bool {
	at := 0             // in s
	next := 0           // in p
	star, held := -1, 0 // the last * seen, and where in s its match ends
	for next < len(p) || at < len(s) {
		if next < len(p) {
			if p[next].kind == anyRun {
				if next == len(p)-1 {
					return true
				}
				star, held = next, at
				next++
				continue
			}
			if width, ok := p[next].fits(s[at:]); ok {
				at += width
				next++
				continue
			}
		}
		if star < 0 || held >= len(s) {
			return false
		}
		held = stretch(s, held, p[star+1])
		at, next = held, star+1
		if held > len(s) {
			return false
		}
	}
	return true
}

// fits reports whether s begins with the piece, and how many bytes of s the piece takes.
func (p piece) fits(s string) (width int, ok bool) {
	switch p.kind {
	case literal:
		return len(p.text), strings.HasPrefix(s, p.text)
	case anyOne:
		_, width = utf8.DecodeRuneInString(s)
		return width, width > 0
	}
	return 0, false // an unresolved variable fits nothing
}

// stretch extends the match of a * by one character, and further to where the literal after it can begin. It returns
// the new end of the match, or len(s)+1 if there is none.
func stretch(s string, held int, after piece) int {
	_, width := utf8.DecodeRuneInString(s[held:])
	held += width
	if after.kind != literal {
		return held
	}
	skip := strings.Index(s[held:], after.text)
	if skip < 0 {
		return len(s) + 1
	}
	return held + skip
}

// matchesAny reports whether one of the patterns matches s.
func matchesAny(patterns []pattern, s string) bool {
	for _, p := range patterns {
		if p.matches(s) {
			return true
		}
	}
	return false
}
