// Package wait waits in tests for what takes an unknown time.
package wait

import (
	"testing"
	"time"
)

// Patience bounds every wait, so that a hanging test ends. It is not an expectation: on an idle machine nothing that
// tests wait for takes a tenth of it, and a busy machine must not fail a test.
const Patience = 5 * time.Minute

// For returns when ready returns true, and fails the test if that does not happen within Patience. It calls ready every
// 20 ms.
func For(t testing.TB, what string, ready func() bool) {
	t.Helper()
	for end := time.Now().Add(Patience); !ready(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited %v in vain for %s", Patience, what)
		}
	}
}
