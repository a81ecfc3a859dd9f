package sshd

import "strings"

// Prepend puts a block in front of a configuration. Remove takes it out again and leaves the rest as it is, byte
// for byte, whatever else was edited since.
func Prepend(config, block string) string { return block + config }

// Remove takes the block out; ok is false if it is not there whole. Where it was edited, its own lines are what
// is left to look for: they go one by one.
func Remove(config, block string) (rest string, ok bool) {
	if before, after, found := strings.Cut(config, block); found {
		return before + after, true
	}
	var kept strings.Builder
	removed := 0
	for line := range strings.Lines(config) {
		if strings.Contains("\n"+block, "\n"+strings.TrimRight(line, "\r\n")+"\n") && strings.TrimSpace(line) != "" {
			removed++
			continue
		}
		kept.WriteString(line)
	}
	return kept.String(), removed > 0
}

// FindBlock returns our block where only the configuration itself can say what it is: the Mark and the lines after it
// that a block of ours has. It returns "" if there is none.
func FindBlock(config string) string {
	_, after, found := strings.Cut(config, Mark+"\n")
	if !found {
		return ""
	}
	block := Mark + "\n"
	for line := range strings.Lines(after) {
		keyword, _, _ := strings.Cut(line, " ")
		switch {
		case keyword == "Include":
			return block + line
		case line == principalsAgain, strings.HasPrefix(keyword, "AuthorizedKeysCommand"),
			strings.HasPrefix(keyword, "AuthorizedPrincipalsCommand"):
			block += line
		default:
			return block
		}
	}
	return block
}
