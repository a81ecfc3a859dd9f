package store

import (
	"strings"
	"testing"
)

// TestCredentialUsesIndexes: what runs for every request does not grow with the number of users.
func TestCredentialUsesIndexes(t *testing.T) {
	steps := plan(t, openTest(t), selectCredential, "AKIA")
	for _, step := range steps {
		table, scans := strings.CutPrefix(step, "SCAN ")
		table, _, _ = strings.Cut(table, " ")
		// These are materialized: at most the key, its owners and their policies.
		if scans && table != "held" && table != "owner" && table != "applied" || strings.Contains(step, "AUTOMATIC") {
			t.Errorf("%s\nin the plan\n%s", step, strings.Join(steps, "\n"))
		}
	}
}
