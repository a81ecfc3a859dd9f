package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/sallyport/sallyport/internal/controlplane"
	"github.com/sallyport/sallyport/internal/durable"
)

// defaultProfile is the name of the AWS profile we write and look for.
const defaultProfile = controlplane.ProfileName

// profileFiles is where AWS clients keep their profiles.
type profileFiles struct {
	Config      string // "~/.aws/config": sections "[profile NAME]"
	Credentials string // "~/.aws/credentials": sections "[NAME]"
}

// profileFilesFromEnvironment honours AWS_CONFIG_FILE and AWS_SHARED_CREDENTIALS_FILE.
func profileFilesFromEnvironment() profileFiles {
	home, err := os.UserHomeDir()
	if err != nil {
		home = "/"
	}
	files := profileFiles{Config: filepath.Join(home, ".aws", "config"), Credentials: filepath.Join(home, ".aws", "credentials")}
	if path := os.Getenv("AWS_CONFIG_FILE"); path != "" {
		files.Config = path
	}
	if path := os.Getenv("AWS_SHARED_CREDENTIALS_FILE"); path != "" {
		files.Credentials = path
	}
	return files
}

// setting is one line of a section. An empty value takes the line away.
type setting struct{ key, value string }

// profile is what an AWS client needs to know about a control plane.
type profile struct {
	AccessKeyID string
	Secret      string
	Region      string
	EndpointURL string
	CABundle    string // path; empty where the endpoint is not https
}

// writeProfile sets the profile in both files and leaves every other byte of them as it is. It tells whether
// anything had to be changed. Each file is replaced whole or not at all, and keeps its mode and owner.
func writeProfile(files profileFiles, name string, p profile) (changed bool, err error) {
	inCredentials, err := editFile(files.Credentials, func(text string) string {
		return setSection(text, credentialsSection(name), []setting{
			{"aws_access_key_id", p.AccessKeyID}, {"aws_secret_access_key", p.Secret}, {"aws_session_token", ""},
		})
	})
	if err != nil {
		return false, err
	}
	inConfig, err := editFile(files.Config, func(text string) string {
		return setSection(text, configSection(name), []setting{
			{"region", p.Region}, {"endpoint_url", p.EndpointURL}, {"ca_bundle", p.CABundle},
		})
	})
	return inCredentials || inConfig, err
}

// removeProfile takes the profile out of both files.
func removeProfile(files profileFiles, name string) error {
	_, first := editFile(files.Credentials, func(text string) string { return removeSection(text, credentialsSection(name)) })
	_, second := editFile(files.Config, func(text string) string { return removeSection(text, configSection(name)) })
	return errors.Join(first, second)
}

// profileKey returns the profile's access key id; empty if there is none.
func profileKey(files profileFiles, name string) string {
	text, err := os.ReadFile(files.Credentials)
	if err != nil {
		return ""
	}
	lines := splitLines(string(text))
	start, end, ok := findSection(lines, credentialsSection(name))
	if !ok {
		return ""
	}
	for _, line := range lines[start+1 : end] {
		if key, value, ok := keyValue(line); ok && key == "aws_access_key_id" {
			return value
		}
	}
	return ""
}

// hasProfile tells whether either file has the profile.
func hasProfile(files profileFiles, name string) bool {
	for path, section := range map[string]string{files.Credentials: credentialsSection(name), files.Config: configSection(name)} {
		text, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		if _, _, ok := findSection(splitLines(string(text)), section); ok {
			return true
		}
	}
	return false
}

func credentialsSection(name string) string { return name }

func configSection(name string) string {
	if name == "default" {
		return name
	}
	return "profile " + name
}

// setSection returns text with the settings in the section, which is added at the end if it is not there.
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

// setLine sets one key in the lines of a section, in its place if it is there and after the last line that says
// something if it is not.
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

// removeSection returns text without the section and without the blank line that set it off.
func removeSection(text, section string) string {
	lines := splitLines(text)
	start, end, ok := findSection(lines, section)
	if !ok {
		return text
	}
	// Comments right above the next section belong to that one.
	for end > start+1 && end < len(lines) && isComment(lines[end-1]) {
		end--
	}
	before := lines[:start]
	if n := len(before); end == len(lines) && n > 0 && strings.TrimSpace(before[n-1]) == "" {
		before = before[:n-1]
	}
	return strings.Join(before, "") + strings.Join(lines[end:], "")
}

// findSection returns the place of a section's header and of the first line after the section.
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

// sectionName reads a header as AWS clients do: blanks do not matter, and a name may be quoted.
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

// continues tells whether the line belongs to the key above it: such lines are indented.
func continues(line string) bool {
	return strings.TrimSpace(line) != "" && (line[0] == ' ' || line[0] == '\t')
}

func isComment(line string) bool {
	line = strings.TrimSpace(line)
	return strings.HasPrefix(line, "#") || strings.HasPrefix(line, ";")
}

// splitLines keeps the line ends.
func splitLines(text string) []string {
	lines := strings.SplitAfter(text, "\n")
	if lines[len(lines)-1] == "" {
		lines = lines[:len(lines)-1]
	}
	return lines
}

// editFile replaces a file by what edit makes of its text, if that differs. A file that does not exist counts as
// empty; a symbolic link is followed.
func editFile(path string, edit func(string) string) (changed bool, err error) {
	if target, err := filepath.EvalSymlinks(path); err == nil {
		path = target
	}
	old, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, fmt.Errorf("read the AWS profile: %w", err)
	}
	text := []byte(edit(string(old)))
	if bytes.Equal(old, text) {
		return false, nil
	}
	if err := writeProfileFile(path, text); err != nil {
		return false, fmt.Errorf("write the AWS profile: %w", err)
	}
	return true, nil
}

// writeProfileFile keeps a file's mode and owner. A new one nobody else may read, and it belongs to the owner of its
// directory: a profile in somebody's home that root writes must be theirs.
func writeProfileFile(path string, text []byte) error {
	if _, err := os.Stat(path); err == nil {
		return durable.Rewrite(path, text)
	}
	directory := filepath.Dir(path)
	if err := os.MkdirAll(directory, 0o700); err != nil {
		return err
	}
	info, err := os.Stat(directory)
	if err != nil {
		return err
	}
	return durable.Replace(path, text, func(file *os.File) error {
		if owner, ok := info.Sys().(*syscall.Stat_t); ok && os.Geteuid() == 0 {
			return file.Chown(int(owner.Uid), int(owner.Gid))
		}
		return nil
	})
}
