package sshd

import "strings"

// Prepend puts a block in front of a configuration. Remove takes it out again and leaves the rest as it is, byte for
// byte, whatever was edited in between.
func Prepend(config, block string) string { return block + config }

// Remove takes the block out; ok is false if nothing of it is there. If the block was edited, Remove takes out those of
// its lines that are left, one by one.
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

// FindBlock finds our block by the configuration alone: the Mark and the lines after it that our blocks have. It
// returns "" if there is none.
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
