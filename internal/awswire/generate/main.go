// Command generate writes the wire names of the services whose SDK modules have serializers and deserializers, as
// found in their source. It understands only the Go that the SDK's generator writes. Tests show that the names are
// right: they send the input and output of every operation through the SDK.
package main

import (
	"flag"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

func main() {
	log.SetFlags(0)
	out := flag.String("out", "names.txt", "the `file` to write")
	flag.Parse()
	text, err := generate("cloudtrail", "ec2")
	if err != nil {
		log.Fatal(err)
	}
	if err := os.WriteFile(*out, []byte(text), 0o644); err != nil {
		log.Fatal(err)
	}
}

// generate returns a line for each shape of the services that has fields with other names than the codec assumes.
func generate(services ...string) (string, error) {
	var lines []string
	for _, service := range services {
		dir, err := moduleDir("github.com/aws/aws-sdk-go-v2/service/" + service)
		if err != nil {
			return "", err
		}
		serializers, err := os.ReadFile(filepath.Join(dir, "serializers.go"))
		if err != nil {
			return "", err
		}
		deserializers, err := os.ReadFile(filepath.Join(dir, "deserializers.go"))
		if err != nil {
			return "", err
		}
		lines = append(lines, requests(service, string(serializers))...)
		lines = append(lines, responses(service, string(deserializers))...)
	}
	slices.Sort(lines)
	return "Written from the AWS SDK's source by go generate; do not edit.\n" + strings.Join(lines, "\n") + "\n", nil
}

// moduleDir returns the directory of the module's source.
func moduleDir(module string) (string, error) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", module).Output()
	if err != nil {
		return "", fmt.Errorf("find the module %s: %w", module, err)
	}
	return strings.TrimSpace(string(out)), nil
}

var (
	// A function that writes or reads a value: its name, the type, the body.
	function = regexp.MustCompile(`(?ms)^func (\w+erialize(?:Op)?Document\w+)\(v \**(\S+), .*?\n(.*?)^}`)
	// A field of a struct that is written: if v.Field != nil { … Key("Name").
	written = regexp.MustCompile(`(?ms)^\tif .*?\bv\.([A-Z]\w*).*?Key\("(\w+)"\)`)
	// A field of a struct that is read: case "name": … sv.Field, or a call of a function that reads it.
	read = regexp.MustCompile(`(?ms)^\t\tcase \S*?"(\w+)"(?::|, t\.).*?(?:(\w+)\(&)?\bsv\.(\w+)`)
	// The element of a list that is read.
	element = regexp.MustCompile(`EqualFold\("(\w+)"`)
)

func requests(service, source string) []string {
	var lines []string
	for _, f := range function.FindAllStringSubmatch(source, -1) {
		var renamed []string
		for _, field := range written.FindAllStringSubmatch(f[3], -1) {
			if name, wire := field[1], field[2]; wire != name {
				renamed = append(renamed, name+"="+wire)
			}
		}
		lines = append(lines, line("request", service, f[2], renamed)...)
	}
	return lines
}

// responses appends "/" and the name of the elements to the name of a list whose elements are not called item.
func responses(service, source string) []string {
	functions := function.FindAllStringSubmatch(source, -1)
	items := map[string]string{} // by the function that reads the list
	for _, f := range functions {
		if e := element.FindStringSubmatch(f[3]); strings.HasPrefix(f[2], "[]") && e != nil && e[1] != "item" {
			items[f[1]] = "/" + e[1]
		}
	}
	var lines []string
	for _, f := range functions {
		var renamed []string
		for _, field := range read.FindAllStringSubmatch(f[3], -1) {
			name, wire, usual := field[3], field[1]+items[field[2]], field[3]
			if service == "ec2" {
				usual = strings.ToLower(name[:1]) + name[1:]
			}
			if wire != usual {
				renamed = append(renamed, name+"="+wire)
			}
		}
		lines = append(lines, line("response", service, f[2], renamed)...)
	}
	return lines
}

// line returns the line of a shape, or nil if it needs none.
func line(direction, service, shape string, renamed []string) []string {
	if len(renamed) == 0 {
		return nil
	}
	slices.Sort(renamed)
	if inTypes, ok := strings.CutPrefix(shape, "types."); ok {
		shape = "/types." + inTypes
	} else {
		shape = "." + shape
	}
	return []string{direction + " " + service + shape + " " + strings.Join(renamed, " ")}
}
