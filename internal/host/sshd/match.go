package sshd

import (
	"fmt"
	"os"
	"slices"
	"strings"
)

// Override is a Match block that sets its own AuthorizedKeysCommand, for which the global one does not hold.
type Override struct {
	File    string
	Line    int    // of the command
	Match   string // the block's criteria
	Nested  bool   // it stands in a file that is included for the logins of another block only
	Command string
	User    string // AuthorizedKeysCommandUser, if the block sets it

	Principals KeysCommand // the block's AuthorizedPrincipalsCommand, if it sets one
}

// String names the block as its author would find it.
func (o Override) String() string {
	return fmt.Sprintf("%s:%d: Match %s sets AuthorizedKeysCommand %s", o.File, o.Line, o.Match, o.Command)
}

// Users returns the users whom the block names without a pattern.
func (o Override) Users() []string {
	words := splitWords(strings.ReplaceAll(o.Match, "=", " "))
	for i := 0; i+1 < len(words); i += 2 {
		if strings.EqualFold(words[i], "user") {
			return slices.DeleteFunc(strings.Split(words[i+1], ","), func(name string) bool { return name == "" || strings.ContainsAny(name, "*?!") })
		}
	}
	return nil
}

// maxIncludes is sshd's own limit of files that include files.
const maxIncludes = 16

// Overrides reads the configuration and the files it includes for Match blocks that set another
// AuthorizedKeysCommand, in the order in which sshd comes to them: of those that a login matches, the first counts.
func Overrides(config string) ([]Override, error) {
	return overridesIn(config, "", 0)
}

// overridesIn reads a file that is included where the criteria hold; "" is everywhere.
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

// Unasked returns those of the overrides whose logins do not come to a command that begins with ours: neither by the
// block itself nor by an earlier one for the same logins.
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

// splitDirective cuts a line into keyword and the rest: "Keyword value", "Keyword=value", "Keyword = value".
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
