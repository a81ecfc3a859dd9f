// Package prerequisite is what a test says when the machine lacks what it needs.
package prerequisite

import (
	"os"
	"testing"
)

// Variable is what continuous integration sets in the environment to "required": there a test that cannot run fails.
const Variable = "SALLYPORT_TEST_PREREQUISITES"

// Missing skips the test, and says why. Where every prerequisite is required it fails: a check that quietly did not
// run would pass for one that held.
func Missing(t testing.TB, why ...any) {
	t.Helper()
	if os.Getenv(Variable) == "required" {
		t.Fatal(append([]any{"a prerequisite is missing: "}, why...)...)
	}
	t.Skip(append([]any{"SKIPPED: "}, why...)...)
}
