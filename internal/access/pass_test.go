package access_test

import (
	"testing"

	"github.com/sallyport/sallyport/internal/db/dbtest"
	"github.com/sallyport/sallyport/internal/gate/gatetest"
)

func TestNothingWithoutAPass(t *testing.T) {
	gatetest.NeedsPass(t, newWorld(t, dbtest.SQLite(t)).Service,
		"LiveGrants", // the links, to tell a host of its own grants
	)
}
