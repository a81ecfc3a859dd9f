// Command generate writes the table of wire names from the source of the AWS SDK, for the operations its list
// names and every shape they reach. It refuses what the codecs do not expect (a flattened list in the query
// protocol, say), so that a new version of the SDK cannot change a name unseen.
package main

import (
	"bytes"
	"flag"
	"fmt"
	"go/format"
	"log"
	"os"
	"os/exec"
	"slices"
	"sort"
	"strings"
)

func main() {
	log.SetFlags(0)
	operations := flag.String("operations", "operations.txt", "the `file` that lists the operations")
	out := flag.String("out", "names.go", "the Go `file` to write")
	flag.Parse()
	list, err := os.ReadFile(*operations)
	if err != nil {
		log.Fatal(err)
	}
	source, err := generate(string(list))
	if err != nil {
		log.Fatal(err)
	}
	if err := os.WriteFile(*out, source, 0o644); err != nil {
		log.Fatal(err)
	}
}

// generate returns the Go source of the table for a list of operations.
func generate(list string) ([]byte, error) {
	operations := parseOperations(list)
	services := make([]string, 0, len(operations))
	for service := range operations {
		services = append(services, service)
	}
	sort.Strings(services)

	var b bytes.Buffer
	b.WriteString("// Code generated from the AWS SDK's source by go generate; DO NOT EDIT.\n\npackage awswire\n\n")
	b.WriteString("// names holds, a line a shape, the wire names of fields that differ from their Go names.\n")
	b.WriteString("const names = `\n")
	for _, service := range services {
		dir, err := moduleDir("github.com/aws/aws-sdk-go-v2/service/" + service)
		if err != nil {
			return nil, err
		}
		found, err := readService(service, dir, operations[service])
		if err != nil {
			return nil, fmt.Errorf("%s: %w", service, err)
		}
		for _, line := range found.lines() {
			b.WriteString(line + "\n")
		}
	}
	b.WriteString("`\n")
	return format.Source(b.Bytes())
}

// parseOperations reads lines of a service and its operations; # begins a comment.
func parseOperations(list string) map[string][]string {
	operations := map[string][]string{}
	for line := range strings.Lines(list) {
		line, _, _ = strings.Cut(line, "#")
		if words := strings.Fields(line); len(words) > 1 {
			operations[words[0]] = append(operations[words[0]], words[1:]...)
		}
	}
	return operations
}

// moduleDir returns where the module's source is.
func moduleDir(module string) (string, error) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", module).Output()
	if err != nil {
		return "", fmt.Errorf("find the module %s: %w", module, err)
	}
	return strings.TrimSpace(string(out)), nil
}

// shapes maps "request ec2/types.Filter" to its fields' wire names.
type shapes map[string]map[string]string

// lines renders the shapes in order, without the names that are the same in Go.
func (s shapes) lines() []string {
	var lines []string
	for key, fields := range s {
		var renamed []string
		for name, wire := range fields {
			if name != wire {
				renamed = append(renamed, name+"="+wire)
			}
		}
		slices.Sort(renamed)
		lines = append(lines, strings.Join(append([]string{key}, renamed...), " "))
	}
	slices.Sort(lines)
	return lines
}
