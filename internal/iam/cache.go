package iam

import (
	"sync"

	"github.com/sallyport/sallyport/internal/gate"
)

// maxCached bounds the cache of principals. Beyond it a request costs one read of the database.
const maxCached = 10_000

// principalCache keeps principals until the next change of any identity.
type principalCache struct {
	mu      sync.RWMutex
	entries map[string]gate.Principal // by access key id; loaded after the last change
	changes uint64                    // how many times drop was called
}

// get returns the principal of an access key, and loads it if it is not cached. A principal that was loaded while drop
// was called is returned but not cached, as it may be older than the change.
func (c *principalCache) get(accessKeyID string, load func() (gate.Principal, error)) (gate.Principal, error) {
	c.mu.RLock()
	p, ok := c.entries[accessKeyID]
	changes := c.changes
	c.mu.RUnlock()
	if ok {
		return p, nil
	}
	p, err := load()
	if err != nil {
		return gate.Principal{}, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if changes == c.changes {
		c.put(accessKeyID, p)
	}
	return p, nil
}

func (c *principalCache) put(accessKeyID string, p gate.Principal) {
	if len(c.entries) >= maxCached {
		for any := range c.entries { // make room by removing one at random
			delete(c.entries, any)
			break
		}
	}
	if c.entries == nil {
		c.entries = map[string]gate.Principal{}
	}
	c.entries[accessKeyID] = p
}

func (c *principalCache) drop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.changes++
	c.entries = nil
}
