package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/aws/smithy-go"

	"github.com/sallyport/sallyport/internal/awsprofile"
)

func TestHelpTeaches(t *testing.T) {
	status, out, _ := runCommand(t, "--help")
	if status != 0 {
		t.Errorf("status %d", status)
	}
	commands := []string{"ssh", "hosts", "host-token", "trail", "configure", "serve", "up", "down", "version"}
	for _, command := range commands {
		if !strings.Contains(out, "  "+command) {
			t.Errorf("%s is not in the help", command)
		}
		status, help, errs := runCommand(t, command, "--help")
		if status != 0 || !strings.Contains(help, "Usage: sallyport "+command) {
			t.Errorf("%s --help: status %d, %s%s", command, status, help, errs)
		}
		if command != "version" && !strings.Contains(help, "sallyport "+command+" ") &&
			!strings.Contains(help, "sallyport down") {
			t.Errorf("%s --help has no example:\n%s", command, help)
		}
	}
}

// TestDocumentedCommandsAreOurs checks that the program accepts the commands that the pages and the help texts show.
func TestDocumentedCommandsAreOurs(t *testing.T) {
	pages, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	for _, page := range append(pages, "../../README.md", "../../README.ko.md", "../../CONTRIBUTING.md") {
		content, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		text.Write(content)
	}
	for _, c := range []interface{ Help() string }{
		sshCommand{}, hostsCommand{}, hostTokenCommand{}, trailCommand{}, configureCommand{}, serveCommand{},
		upCommand{}, downCommand{},
	} {
		text.WriteString(c.Help() + "\n")
	}
	indented := regexp.MustCompile("(?m)^ +(?:bin/)?sallyport ([^#|>\n]+)")
	inline := regexp.MustCompile("`(?:bin/)?sallyport ([^`#|>\n]+)`")
	seen := 0
	for _, match := range slices.Concat(
		indented.FindAllStringSubmatch(text.String(), -1), inline.FindAllStringSubmatch(text.String(), -1),
	) {
		// Three blanks set off a remark.
		line, _, _ := strings.Cut(strings.TrimSpace(match[1]), "   ")
		parser, err := newParser(terminal{out: io.Discard, err: io.Discard})
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(line, "--help") || line == "ssh" {
			continue // would end the program
		}
		seen++
		if _, err := parser.Parse(strings.Fields(line)); err != nil {
			t.Errorf("sallyport %s: %v", line, err)
		}
	}
	if seen < 30 {
		t.Errorf("only %d commands were found", seen)
	}
}

func TestMistakesAreAnswered(t *testing.T) {
	for _, c := range []struct {
		line, says string
		status     int
	}{
		{"flee", "unexpected argument flee", 2},
		{"hosts --colour", "unknown flag --colour", 2},
		{"hosts --output yaml", "must be one of", 2},
		{"configure", "missing flags: --data", 2},
		{"ssh", "<instance>", 2},
		{"ssh web --frobnicate", "before the instance", 255},
		{"trail -n 0", "1 or more", 1},
		{"host-token --expires 500ms --endpoint-url http://127.0.0.1:1 --region r", "1m or more", 1},
	} {
		status, _, errs := runCommand(t, strings.Fields(c.line)...)
		if status != c.status || !strings.Contains(errs, c.says) {
			t.Errorf("%s: status %d, want %d and %q in:\n%s", c.line, status, c.status, c.says, errs)
		}
	}
}

func TestVersion(t *testing.T) {
	status, out, _ := runCommand(t, "version")
	if status != 0 || !strings.HasPrefix(out, "sallyport devel (go") {
		t.Errorf("status %d, %q", status, out)
	}
}

func TestWhichProfile(t *testing.T) {
	directory := t.TempDir()
	for _, name := range []string{"AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_ACCESS_KEY_ID"} {
		t.Setenv(name, "")
	}
	t.Setenv("AWS_CONFIG_FILE", filepath.Join(directory, "config"))
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", filepath.Join(directory, "credentials"))
	if got := (connection{}).profile(); got != "" {
		t.Errorf("without any: %q", got)
	}
	profile := awsprofile.Profile{AccessKeyID: "A", Secret: "s", Region: "r-1", EndpointURL: "http://x"}
	if _, err := awsprofile.FromEnvironment().Write(defaultProfile, profile); err != nil {
		t.Fatal(err)
	}
	if got := (connection{}).profile(); got != defaultProfile {
		t.Errorf("with ours there: %q", got)
	}
	if got := (connection{Profile: "named"}).profile(); got != "named" {
		t.Errorf("named: %q", got)
	}
	config, err := connection{EndpointURL: "http://other"}.config(t.Context())
	if err != nil || config.Region != "r-1" || *config.BaseEndpoint != "http://other" {
		t.Errorf("%v in %s, %v", config.BaseEndpoint, config.Region, err)
	}
	t.Setenv("AWS_PROFILE", "work")
	if got := (connection{}).profile(); got != "" {
		t.Errorf("the environment's choice is overruled: %q", got)
	}
}

func TestExplain(t *testing.T) {
	refused := &smithy.OperationError{
		ServiceID: "EC2", OperationName: "DescribeInstances",
		Err: fmt.Errorf("dial: %w", fmt.Errorf("connection refused")),
	}
	denied := &smithy.OperationError{
		ServiceID: "EC2", OperationName: "DescribeInstances",
		Err: &smithy.GenericAPIError{Code: "UnauthorizedOperation", Message: "You may not."},
	}
	for want, err := range map[string]error{
		"DescribeInstances: You may not. (UnauthorizedOperation)":                denied,
		"DescribeInstances: the API does not answer: connection refused\nIs the": fmt.Errorf("hosts: %w", refused),
		"plain": fmt.Errorf("plain"),
	} {
		if got := explain(err); !strings.HasPrefix(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
