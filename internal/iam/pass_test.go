package iam_test

import (
	"testing"

	"github.com/sallyport/sallyport/internal/gate/gatetest"
)

func TestNothingWithoutAPass(t *testing.T) {
	gatetest.NeedsPass(t, newWorld(t).service,
		"Principal", "Used", // the gate, to authenticate
		"KeyOwnerARN", "MovedARN", "OwnerARN", "ResourceTags", // what policies are asked about
		"EnsureRoot", "Prune", // upkeep
	)
}
