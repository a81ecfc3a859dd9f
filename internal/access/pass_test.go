package access_test

import (
	"testing"

	"github.com/sallyport/sallyport/internal/gate/gatetest"
)

func TestNothingWithoutAPass(t *testing.T) {
	gatetest.NeedsPass(t, newWorld(t).Service,
		"LiveGrants", // the links, to tell a host of its own
		"Prune",      // upkeep
	)
}
