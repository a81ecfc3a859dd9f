package cloudtrail

import (
	"testing"

	"github.com/sallyport/sallyport/internal/db/dbtest"
	"github.com/sallyport/sallyport/internal/fault"
	"github.com/sallyport/sallyport/internal/trail"
)

// The trail, which knows the values that an attribute can have, once gave its fault another spelling. Clients got
// InvalidParameterException, which LookupEvents does not have.
func TestValueTheTrailRefuses(t *testing.T) {
	_, err := trail.NewLog(dbtest.SQLite(t).DB).Events(t.Context(), trail.Query{Attribute: "ReadOnly", Value: "yes"})
	if err == nil {
		t.Fatal("yes is a truth value")
	}
	if e := errorOf(fault.Of(err)); e.Code != "InvalidLookupAttributesException" || e.Status != 400 {
		t.Errorf("%d %s", e.Status, e.Code)
	}
}
