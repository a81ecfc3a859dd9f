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
