package iam_test

import (
	"testing"

	"github.com/sallyport/sallyport/internal/db/dbtest"
	"github.com/sallyport/sallyport/internal/gate/gatetest"
)

func TestNothingWithoutAPass(t *testing.T) {
	gatetest.NeedsPass(t, newWorld(t, dbtest.SQLite(t)).service,
		"Principal", "Used", // the gate, to authenticate
		"Asked", "AskedByKey", "ResourceTags", // the gate, to evaluate policies
	)
}
