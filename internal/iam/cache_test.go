package iam

import (
	"fmt"
	"testing"

	"github.com/sallyport/sallyport/internal/gate"
)

// A load that reads before a change and ends after it must not leave what it read in the cache: a user who was removed
// from a group would keep the group's permissions.
func TestALoadThatBeganBeforeAChangeIsNotKept(t *testing.T) {
	var c principalCache
	old, fresh := gate.Principal{Secret: "old"}, gate.Principal{Secret: "new"}
	p, err := c.get("AKIA", func() (gate.Principal, error) {
		c.drop() // the change, during the load
		return old, nil
	})
	if err != nil || p.Secret != old.Secret {
		t.Errorf("the load itself: %v, %v", p.Secret, err)
	}
	loads := 0
	for range 10 {
		p, err = c.get("AKIA", func() (gate.Principal, error) { loads++; return fresh, nil })
		if err != nil || p.Secret != fresh.Secret {
			t.Errorf("after the change: %v, %v", p.Secret, err)
		}
	}
	if loads != 1 {
		t.Errorf("ten requests after the change cost %d loads, want 1", loads)
	}
}

func TestTheCacheIsBounded(t *testing.T) {
	var c principalCache
	for i := range maxCached + 100 {
		if _, err := c.get(fmt.Sprint(i), func() (gate.Principal, error) { return gate.Principal{}, nil }); err != nil {
			t.Fatal(err)
		}
	}
	if len(c.entries) != maxCached {
		t.Errorf("%d entries, want %d", len(c.entries), maxCached)
	}
}
