package iam

import (
	"strings"
	"testing"

	"github.com/sallyport/sallyport/internal/db"
	"github.com/sallyport/sallyport/internal/db/dbtest"
)

// Reading a principal takes no longer with more users.
func TestCredentialUsesIndexes(t *testing.T) {
	w := dbtest.SQLite(t)
	for _, query := range []string{selectCredential, selectOwnedPolicies} {
		var steps []string
		err := w.View(t.Context(), func(tx *db.Tx) error {
			return tx.Each(func(row db.Scanner) error {
				var id, parent, unused int
				var step string
				err := row.Scan(&id, &parent, &unused, &step)
				steps = append(steps, step)
				return err
			}, "EXPLAIN QUERY PLAN "+query, "AKIA")
		})
		if err != nil || len(steps) == 0 {
			t.Fatalf("%d steps, %v", len(steps), err)
		}
		for _, step := range steps {
			// owner is materialized; it has at most the user and their groups.
			scans := strings.HasPrefix(step, "SCAN ") && step != "SCAN owner"
			if scans || strings.Contains(step, "AUTOMATIC") {
				t.Errorf("%s\nin the plan\n%s", step, strings.Join(steps, "\n"))
			}
		}
	}
}
