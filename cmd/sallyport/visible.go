package main

import (
	"strings"
	"unicode"
)

// visible makes a text fit for a terminal and for one field of a table. What others wrote (tags, names in refused
// calls, the words of a server) may hold escape sequences, which a terminal would obey, and line ends, which would
// forge rows: every character that does not print becomes "?".
func visible(text string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, strings.ToValidUTF8(text, "?"))
}

// visibleLines is visible for a text that may have several lines.
func visibleLines(text string) string {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		lines[i] = visible(line)
	}
	return strings.Join(lines, "\n")
}
