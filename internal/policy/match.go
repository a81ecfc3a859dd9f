package policy

import (
	"strings"
	"unicode/utf8"
)

// pieceKind tells the kinds of piece apart.
type pieceKind uint8

const (
	literal  pieceKind = iota
	anyOne             // ? : one character
	anyRun             // * : any characters, also none
	variable           // ${key} or ${key, 'fallback'}; not in a pattern, only in a template
)

// piece is a part of a pattern or template.
type piece struct {
	kind        pieceKind
	text        string // of a literal; of a variable its key, folded
	fallback    string
	hasFallback bool
}

// pattern is a text with wildcards, taken apart.
type pattern []piece

// matches tells whether the pattern covers the whole of s. It takes time in proportion to the product of both
// lengths at worst, whatever the pattern: when pieces do not fit, only the last * is stretched, because a longer
// match of an earlier one could not help.
func (p pattern) matches(s string) bool {
	at := 0             // in s
	next := 0           // in p
	star, held := -1, 0 // the last * seen, and up to where in s it reaches
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

// fits tells whether s begins with the piece, and how much of s that takes.
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

// stretch moves the end of a * one character on, and further to where the literal after it can begin. It returns
// len(s)+1 if there is no such place.
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

// matchesAny tells whether one of the patterns covers s.
func matchesAny(patterns []pattern, s string) bool {
	for _, p := range patterns {
		if p.matches(s) {
			return true
		}
	}
	return false
}
