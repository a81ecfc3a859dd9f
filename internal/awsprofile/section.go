package awsprofile

import "strings"

// setting is one line of a section. An empty value removes the line.
type setting struct{ key, value string }

// setSection returns text with the settings in the section. A missing section is added at the end.
func setSection(text, section string, settings []setting) string {
	newline := "\n"
	if strings.Contains(text, "\r\n") {
		newline = "\r\n"
	}
	lines := splitLines(text)
	start, end, ok := findSection(lines, section)
	if !ok {
		if n := len(lines); n > 0 {
			lines[n-1] = strings.TrimRight(lines[n-1], "\r\n") + newline
			if strings.TrimSpace(lines[n-1]) != "" {
				lines = append(lines, newline)
			}
		}
		lines = append(lines, "["+section+"]"+newline)
		start, end = len(lines)-1, len(lines)
	}
	body := append([]string(nil), lines[start+1:end]...)
	for _, s := range settings {
		body = setLine(body, s, newline)
	}
	header := strings.TrimRight(lines[start], "\r\n") + newline
	return strings.Join(lines[:start], "") + header + strings.Join(body, "") + strings.Join(lines[end:], "")
}

// setLine sets one key in the lines of a section: in its place, or after the last line that is not blank.
func setLine(body []string, s setting, newline string) []string {
	for i, line := range body {
		key, value, ok := keyValue(line)
		if !ok || key != s.key {
			continue
		}
		next := i + 1
		for next < len(body) && continues(body[next]) {
			next++
		}
		switch {
		case s.value == "":
			return append(append([]string(nil), body[:i]...), body[next:]...)
		case value == s.value && next == i+1:
			return body
		}
		return append(append(append([]string(nil), body[:i]...), s.key+" = "+s.value+newline), body[next:]...)
	}
	if s.value == "" {
		return body
	}
	last := len(body)
	for last > 0 && strings.TrimSpace(body[last-1]) == "" {
		last--
	}
	if last > 0 {
		body[last-1] = strings.TrimRight(body[last-1], "\r\n") + newline
	}
	return append(append(append([]string(nil), body[:last]...), s.key+" = "+s.value+newline), body[last:]...)
}

// removeSection returns text without the section and the blank line before it.
func removeSection(text, section string) string {
	lines := splitLines(text)
	start, end, ok := findSection(lines, section)
	if !ok {
		return text
	}
	// Comments directly above the next section belong to that section.
	for end > start+1 && end < len(lines) && isComment(lines[end-1]) {
		end--
	}
	before := lines[:start]
	if n := len(before); end == len(lines) && n > 0 && strings.TrimSpace(before[n-1]) == "" {
		before = before[:n-1]
	}
	return strings.Join(before, "") + strings.Join(lines[end:], "")
}

// findSection returns the index of the section's header and of the first line after the section.
func findSection(lines []string, section string) (start, end int, ok bool) {
	start = -1
	for i, line := range lines {
		name, header := sectionName(line)
		switch {
		case header && start >= 0:
			return start, i, true
		case header && name == section:
			start = i
		}
	}
	return start, len(lines), start >= 0
}

// sectionName reads a header as AWS clients do: it ignores extra blanks, and quotes around the name.
func sectionName(line string) (name string, ok bool) {
	line = strings.TrimSpace(line)
	if !strings.HasPrefix(line, "[") {
		return "", false
	}
	name, _, ok = strings.Cut(line[1:], "]")
	words := strings.Fields(strings.NewReplacer(`"`, "", `'`, "").Replace(name))
	return strings.Join(words, " "), ok
}

func keyValue(line string) (key, value string, ok bool) {
	if continues(line) || isComment(line) {
		return "", "", false
	}
	key, value, ok = strings.Cut(line, "=")
	return strings.ToLower(strings.TrimSpace(key)), strings.TrimSpace(value), ok
}

// continues reports whether the line continues the key above it. Such lines are indented.
func continues(line string) bool {
	return strings.TrimSpace(line) != "" && (line[0] == ' ' || line[0] == '\t')
}

func isComment(line string) bool {
	line = strings.TrimSpace(line)
	return strings.HasPrefix(line, "#") || strings.HasPrefix(line, ";")
}

// splitLines splits the text into lines and keeps the line ends.
func splitLines(text string) []string {
	lines := strings.SplitAfter(text, "\n")
	if lines[len(lines)-1] == "" {
		lines = lines[:len(lines)-1]
	}
	return lines
}
