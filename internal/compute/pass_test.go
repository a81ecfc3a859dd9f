package compute_test

import (
	"testing"

	"github.com/sallyport/sallyport/internal/db/dbtest"
	"github.com/sallyport/sallyport/internal/gate/gatetest"
)

func TestNothingWithoutAPass(t *testing.T) {
	gatetest.NeedsPass(t, newWorld(t, dbtest.SQLite(t)).Service,
		"Condition", // the gate, to evaluate policies
		"Target",    // callers with a pass, in their own transaction
	)
}
