package cloudtrail

import (
	"log/slog"
	"path/filepath"
	"testing"

	"github.com/sallyport/sallyport/internal/fault"
	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/internal/trail"
)

// TestValueTheStoreRefuses: the store, which knows what values an attribute has, spelled its fault in its own way, and
// clients got InvalidParameterException, which LookupEvents has not.
func TestValueTheStoreRefuses(t *testing.T) {
	s, err := store.Open(t.Context(), filepath.Join(t.TempDir(), "db"), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	_, err = s.Events(t.Context(), trail.Query{Attribute: "ReadOnly", Value: "yes"})
	if err == nil {
		t.Fatal("yes is a truth value")
	}
	if e := errorOf(fault.Of(err)); e.Code != "InvalidLookupAttributesException" || e.Status != 400 {
		t.Errorf("%d %s", e.Status, e.Code)
	}
}
