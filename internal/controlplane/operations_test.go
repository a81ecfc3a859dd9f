package controlplane_test

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/internal/awsapi"
	"github.com/sallyport/sallyport/internal/testkit"
)

var write = flag.Bool("write", false, "write docs/operations anew instead of comparing it")

// operationsPage is written by `make generate`, from the tables that the router uses.
const operationsPage = "../../docs/operations/README.md"

// TestOperationsPage checks that the page of supported operations is up to date.
func TestOperationsPage(t *testing.T) {
	want := renderOperations(testkit.Start(t).Services())
	if *write {
		if err := os.MkdirAll("../../docs/operations", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(operationsPage, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := os.ReadFile(operationsPage); err != nil || string(got) != want {
		t.Errorf("%s is not what the tables say (%v): run make generate", operationsPage, err)
	}
}

func renderOperations(services []awsapi.Service) string {
	var page strings.Builder
	page.WriteString("# Operations\n\nGenerated from the tables in `internal/awsapi` by `make generate`. " +
		"A parameter that is not listed is refused by name,\n" +
		"never ignored. Operations without an action are open to every authenticated caller, as on AWS.\n")
	for _, service := range slices.SortedFunc(slices.Values(services),
		func(a, b awsapi.Service) int { return strings.Compare(a.Name, b.Name) }) {
		fmt.Fprintf(&page, "\n## %s (%s)\n\n| operation | IAM action | parameters |\n|---|---|---|\n",
			service.Name, service.Source)
		for _, op := range slices.SortedFunc(slices.Values(service.Operations),
			func(a, b awsapi.Operation) int { return strings.Compare(a.Name, b.Name) }) {
			action := "none"
			if op.Action != "" {
				action = "`" + op.Action + "`"
			}
			parameters := slices.Sorted(slices.Values(op.Accepts))
			fmt.Fprintf(&page, "| %s | %s | %s |\n", op.Name, action, strings.Join(parameters, ", "))
		}
	}
	return page.String()
}
