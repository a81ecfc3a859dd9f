package internal_test

import (
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// pages returns the repository's Markdown files: their names and texts.
func pages(t *testing.T) map[string]string {
	t.Helper()
	return files(t, ".md", 5)
}

// files returns the names and texts of the repository's files with the extension. It fails the test if there are fewer
// than atLeast.
func files(t *testing.T, extension string, atLeast int) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := filepath.WalkDir("..", func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && (entry.Name() == ".git" || entry.Name() == "testdata" || entry.Name() == "bin"):
			return filepath.SkipDir
		case entry.IsDir() || filepath.Ext(path) != extension:
			return nil
		}
		text, err := os.ReadFile(path)
		found[path] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(found) < atLeast {
		t.Fatalf("only %d files %s were found", len(found), extension)
	}
	return found
}

// lines returns a page's lines of prose and its lines of code, which are indented.
func lines(page string) (prose, code []string) {
	for line := range strings.Lines(page) {
		line = strings.TrimRight(line, "\n")
		if strings.HasPrefix(line, "    ") {
			code = append(code, strings.TrimSpace(line))
		} else {
			prose = append(prose, line)
		}
	}
	return prose, code
}

// TestLinksLeadSomewhere checks every link from a page to a file, or to a heading in one.
func TestLinksLeadSomewhere(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)\s]+)\)`)
	all := pages(t)
	seen := 0
	for name, page := range all {
		prose, _ := lines(page)
		for _, match := range link.FindAllStringSubmatch(strings.Join(prose, "\n"), -1) {
			target, err := url.Parse(match[1])
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			if target.IsAbs() {
				continue
			}
			seen++
			path := name
			if target.Path != "" {
				path = filepath.Join(filepath.Dir(name), target.Path)
			}
			if _, err := os.Stat(path); err != nil {
				t.Errorf("%s links to %s, which is not there", name, match[1])
			} else if target.Fragment != "" && !slices.Contains(headings(all[path]), target.Fragment) {
				t.Errorf("%s links to %s, which has no such heading", name, match[1])
			}
		}
	}
	if seen == 0 {
		t.Error("no link was tested")
	}
}

// headings returns the anchors of a page's headings.
func headings(page string) []string {
	var names []string
	drop := regexp.MustCompile(`[^\p{L}\p{N} _-]`)
	prose, _ := lines(page)
	for _, line := range prose {
		if title := strings.TrimLeft(line, "#"); title != line {
			names = append(names,
				strings.ReplaceAll(strings.ToLower(drop.ReplaceAllString(strings.TrimSpace(title), "")), " ", "-"))
		}
	}
	return names
}

// TestBothREADMEsNameTheSameCommands checks that neither README is out of date against the other.
func TestBothREADMEsNameTheSameCommands(t *testing.T) {
	command := regexp.MustCompile(
		`^(make|cat|export|ssh|scp|ssh-keygen|aws|bin/sallyport|sallyport|sallyport-host|[A-Z_]+=\S*) `)
	commands := func(path string) (found []string) {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		_, code := lines(string(text))
		for _, line := range code {
			line, _, _ = strings.Cut(line, "  #")
			if line = strings.TrimSpace(line); command.MatchString(line) {
				found = append(found, line)
			}
		}
		return found
	}
	english, korean := commands("../README.md"), commands("../README.ko.md")
	if len(english) < 20 {
		t.Errorf("only %d commands were found", len(english))
	}
	if diff := cmp.Diff(english, korean); diff != "" {
		t.Errorf("README.md (-) and README.ko.md (+):\n%s", diff)
	}
}
