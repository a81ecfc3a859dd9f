package compute_test

import (
	"testing"

	"github.com/sallyport/sallyport/internal/gate/gatetest"
)

func TestNothingWithoutAPass(t *testing.T) {
	gatetest.NeedsPass(t, newWorld(t).Service,
		"ResourceTags", "Condition", // what policies are asked about
		"HostByKey", "Dismissed", // the links, to recognize an agent
		"Prune", // upkeep
	)
}
