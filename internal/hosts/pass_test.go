package hosts_test

import (
	"testing"

	"github.com/sallyport/sallyport/internal/db/dbtest"
	"github.com/sallyport/sallyport/internal/gate/gatetest"
)

func TestNothingWithoutAPass(t *testing.T) {
	gatetest.NeedsPass(t, newWorld(t, dbtest.SQLite(t)).Service,
		"ByKey", "Dismissed", // the links, to recognize an agent
		"Find", "List", // callers with a pass, in their own transaction
	)
}
