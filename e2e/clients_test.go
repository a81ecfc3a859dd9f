package e2e_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/internal/testkit"
)

var (
	wordEnds    = regexp.MustCompile(`([a-z0-9])([A-Z])`)
	acronymEnds = regexp.MustCompile(`([A-Z])([A-Z][a-z])`)
)

// The clients' script is only worth its name while it has every operation of AWS that is served.
func TestClientsScriptHasEveryOperation(t *testing.T) {
	script, err := os.ReadFile("testdata/clients.txtar")
	if err != nil {
		t.Fatal(err)
	}
	for _, service := range testkit.Start(t).Services() {
		if service.Name == "sallyport" { // whose client is our own
			continue
		}
		for _, op := range service.Operations {
			dashes := strings.ToLower(acronymEnds.ReplaceAllString(wordEnds.ReplaceAllString(op.Name, "$1-$2"), "$1-$2"))
			command, method := "aws "+service.Name+" "+dashes+" ", "."+strings.ReplaceAll(dashes, "-", "_")+"("
			if text := string(script); !strings.Contains(text, command) && !strings.Contains(text, method) {
				t.Errorf("no %q and no %q in the script", command, method)
			}
		}
	}
}
