package main

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf16"
)

// visible makes a text safe for a terminal and for one field of a table. Text from others (tags, names in refused
// calls, a server's messages) may hold escape sequences, which a terminal would obey, and line ends, which would forge
// rows. Every character that does not print becomes "?".
func visible(text string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, strings.ToValidUTF8(text, "?"))
}

// visibleLines is visible for a text of several lines.
func visibleLines(text string) string {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		lines[i] = visible(line)
	}
	return strings.Join(lines, "\n")
}

// visibleJSON escapes the characters that do not print, which JSON can only have in strings. JSON may contain DEL and
// the control characters beyond ASCII, which terminals obey too.
func visibleJSON(text string) string {
	var b strings.Builder
	for _, r := range text {
		switch {
		case r == '\n' || unicode.IsPrint(r):
			b.WriteRune(r)
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			fmt.Fprintf(&b, `\u%04x\u%04x`, high, low)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return b.String()
}
