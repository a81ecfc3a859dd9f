// Package prerequisite skips tests that need something that the machine lacks.
package prerequisite

import (
	"os"
	"testing"
)

// Variable is an environment variable. Continuous integration sets it to "required", so that a test that cannot run
// fails.
const Variable = "SALLYPORT_TEST_PREREQUISITES"

// Missing skips the test and says why. If prerequisites are required, it fails the test: a check that silently did not
// run would count as passed.
func Missing(t testing.TB, why ...any) {
	t.Helper()
	if os.Getenv(Variable) == "required" {
		t.Fatal(append([]any{"a prerequisite is missing: "}, why...)...)
	}
	t.Skip(append([]any{"SKIPPED: "}, why...)...)
}
