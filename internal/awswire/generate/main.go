// Command generate writes the names on the wire of the services whose SDK modules have serializers and deserializers,
// as their source says them. That they are right is shown by tests, which send every operation's input and output
// through the SDK.
package main

import (
	"flag"
	"fmt"
	"log"
	"os"
	"os/exec"
	"slices"
	"strings"
)

func main() {
	log.SetFlags(0)
	out := flag.String("out", "names.txt", "the `file` to write")
	flag.Parse()
	text, err := generate(services())
	if err != nil {
		log.Fatal(err)
	}
	if err := os.WriteFile(*out, []byte(text), 0o644); err != nil {
		log.Fatal(err)
	}
}

// services are those whose modules have no schemas.
func services() []service {
	return []service{
		{name: "cloudtrail", prefix: "awsAwsjson11"},
		{name: "ec2", prefix: "awsEc2query", lower: true},
	}
}

// generate returns the text for the services.
func generate(all []service) (string, error) {
	var lines []string
	for _, s := range all {
		dir, err := moduleDir("github.com/aws/aws-sdk-go-v2/service/" + s.name)
		if err != nil {
			return "", err
		}
		found, err := s.read(dir)
		if err != nil {
			return "", fmt.Errorf("%s: %w", s.name, err)
		}
		lines = append(lines, found...)
	}
	slices.Sort(lines)
	return "Written from the AWS SDK's source by go generate; do not edit.\n" + strings.Join(lines, "\n") + "\n", nil
}

// moduleDir returns where the module's source is.
func moduleDir(module string) (string, error) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", module).Output()
	if err != nil {
		return "", fmt.Errorf("find the module %s: %w", module, err)
	}
	return strings.TrimSpace(string(out)), nil
}
