package sshd

import (
	"fmt"
	"os"
	"slices"
	"strings"
)

// Override is a Match block that sets its own AuthorizedKeysCommand. The global command does not hold for its logins.
type Override struct {
	File    string
	Line    int    // of the command
	Match   string // the block's criteria
	Nested  bool   // it is in a file that is included only for the logins of another block
	Command string
	User    string // AuthorizedKeysCommandUser, if the block sets it

	Principals KeysCommand // the block's AuthorizedPrincipalsCommand, if it sets one
}

// String names the block by its criteria, file and line.
func (o Override) String() string {
	return fmt.Sprintf("%s:%d: Match %s sets AuthorizedKeysCommand %s", o.File, o.Line, o.Match, o.Command)
}

// Users returns the users whom the block names in full, without wildcards.
func (o Override) Users() []string {
	words := splitWords(strings.ReplaceAll(o.Match, "=", " "))
	for i := 0; i+1 < len(words); i += 2 {
		if strings.EqualFold(words[i], "user") {
			return slices.DeleteFunc(strings.Split(words[i+1], ","), func(name string) bool {
				return name == "" || strings.ContainsAny(name, "*?!")
			})
		}
	}
	return nil
}

// maxIncludes is sshd's own limit for files that include files.
const maxIncludes = 16

// Overrides returns the Match blocks of a configuration and its included files that set another AuthorizedKeysCommand,
// in the order in which sshd reads them. Of the blocks that match a login, the first counts.
func Overrides(config string) ([]Override, error) {
	return overridesIn(config, "", 0)
}

// overridesIn reads a file that is included for logins that meet the criteria; "" stands for all logins.
func overridesIn(path, criteria string, depth int) ([]Override, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var found []Override
	nested := criteria != "" && !strings.EqualFold(criteria, "all")
	block := Override{File: path, Match: criteria}
	end := func() {
		if block.Match != "" && block.Command != "" {
			found = append(found, block)
		}
	}
	number := 0
	for line := range strings.Lines(string(text)) {
		number++
		keyword, value := splitDirective(line)
		switch strings.ToLower(keyword) {
		case "match":
			end()
			block = Override{File: path, Match: value, Nested: nested}
		case "authorizedkeyscommand":
			if block.Command == "" {
				block.Command, block.Line = value, number
			}
		case "authorizedkeyscommanduser":
			if block.User == "" {
				block.User = value
			}
		case "authorizedprincipalscommand":
			if block.Principals.Command == "" {
				block.Principals.Command = value
			}
		case "authorizedprincipalscommanduser":
			if block.Principals.User == "" {
				block.Principals.User = value
			}
		case "include":
			if depth >= maxIncludes {
				continue
			}
			for _, file := range includedFiles(value) {
				more, err := overridesIn(file, block.Match, depth+1)
				if err != nil {
					return nil, err
				}
				found = append(found, more...)
			}
		}
	}
	end()
	return found, nil
}

// Unasked returns the overrides for whose logins sshd runs no command that begins with ours: neither the block's own
// nor that of an earlier block for the same logins.
func Unasked(overrides []Override, ours string) (unasked []Override) {
	asked := map[string]bool{}
	for _, o := range overrides {
		if strings.HasPrefix(o.Command, ours) {
			asked[o.Match] = true
		} else if !asked[o.Match] {
			unasked = append(unasked, o)
		}
	}
	return unasked
}

// splitDirective splits a line into its keyword and the rest: "Keyword value", "Keyword=value", "Keyword = value".
func splitDirective(line string) (keyword, value string) {
	line = strings.TrimSpace(line)
	if line == "" || line[0] == '#' {
		return "", ""
	}
	end := strings.IndexAny(line, " \t=")
	if end < 0 {
		return line, ""
	}
	value = strings.TrimSpace(line[end:])
	value = strings.TrimSpace(strings.TrimPrefix(value, "="))
	return strings.Trim(line[:end], `"`), value
}

// splitWords splits at white space outside of double or single quotes, and ends at a comment.
func splitWords(text string) []string {
	var words []string
	var word strings.Builder
	var quote rune
	inWord := false
	flush := func() {
		if inWord {
			words = append(words, word.String())
		}
		word.Reset()
		inWord = false
	}
	for _, r := range text {
		switch {
		case quote != 0 && r == quote:
			quote = 0
		case quote != 0:
			word.WriteRune(r)
		case r == '"' || r == '\'':
			quote, inWord = r, true
		case r == ' ' || r == '\t':
			flush()
		case r == '#' && !inWord:
			return words
		default:
			word.WriteRune(r)
			inWord = true
		}
	}
	flush()
	return words
}
