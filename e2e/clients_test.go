package e2e_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/internal/testkit"
)

var (
	wordEnds    = regexp.MustCompile(`([a-z0-9])([A-Z])`)
	acronymEnds = regexp.MustCompile(`([A-Z])([A-Z][a-z])`)
)

// The clients' scripts must have every operation of AWS that is served.
func TestClientsScriptsHaveEveryOperation(t *testing.T) {
	scripts, err := filepath.Glob("testdata/clients_*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	var text string
	for _, script := range scripts {
		content, err := os.ReadFile(script)
		if err != nil {
			t.Fatal(err)
		}
		text += string(content)
	}
	for _, service := range testkit.Start(t).Services() {
		if service.Name == "sallyport" { // its client is our own
			continue
		}
		for _, op := range service.Operations {
			dashes := strings.ToLower(acronymEnds.ReplaceAllString(wordEnds.ReplaceAllString(op.Name, "$1-$2"), "$1-$2"))
			command, method := "aws "+service.Name+" "+dashes+" ", "."+strings.ReplaceAll(dashes, "-", "_")+"("
			if !strings.Contains(text, command) && !strings.Contains(text, method) {
				t.Errorf("no %q and no %q in the scripts", command, method)
			}
		}
	}
}
