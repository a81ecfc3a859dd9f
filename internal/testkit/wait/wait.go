// Package wait is how tests wait for something that takes as long as it takes.
package wait

import (
	"testing"
	"time"
)

// Patience ends what hangs. It is no expectation: on an idle machine nothing that tests wait for takes a tenth of it,
// and a machine that is busy with something else is no reason for a test to fail.
const Patience = 5 * time.Minute

// For returns when ready does, and fails the test if that never happens. It asks every 20 ms.
func For(t testing.TB, what string, ready func() bool) {
	t.Helper()
	for end := time.Now().Add(Patience); !ready(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited %v in vain for %s", Patience, what)
		}
	}
}
