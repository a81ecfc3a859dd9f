package iam

import (
	"context"
	"maps"
	"strings"
	"sync"
	"time"

	"github.com/sallyport/sallyport/internal/db"
	"github.com/sallyport/sallyport/internal/gate"
)

// LastUse says when, for which service and in which region an access key was last used. It is zero if it never was.
type LastUse struct {
	Time    time.Time
	Service string
	Region  string
}

// or returns the later of u and other, and other if they are equally late.
func (u LastUse) or(other LastUse) LastUse {
	if other.Time.Before(u.Time) {
		return u
	}
	return other
}

// uses holds the last uses of access keys that are not in the database yet. Every request is a use, and only the last
// use of a key matters. A crash loses the pending ones.
type uses struct {
	mu      sync.Mutex
	pending map[string]LastUse // by access key id
}

// unsaved returns the pending uses. Call it before reading the database: a use that is no longer pending by then was
// saved before.
func (u *uses) unsaved() map[string]LastUse {
	u.mu.Lock()
	defer u.mu.Unlock()
	return maps.Clone(u.pending)
}

func (u *uses) add(id string, use LastUse) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.pending == nil {
		u.pending = map[string]LastUse{}
	}
	u.pending[id] = u.pending[id].or(use)
}

// saved removes the uses that were saved, except of keys that were used again since.
func (u *uses) saved(uses map[string]LastUse) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for id, use := range uses {
		if u.pending[id] == use {
			delete(u.pending, id)
		}
	}
}

// Used implements gate.Uses: it records the last use of an access key.
func (s *Service) Used(_ context.Context, accessKeyID, source, region string) {
	if strings.HasPrefix(accessKeyID, accessKeyPrefix) {
		service, _, _ := strings.Cut(source, ".")
		s.uses.add(accessKeyID, LastUse{s.clock.Now().UTC().Truncate(time.Second), service, region})
	}
}

// SaveUses writes the last uses of access keys to the database. Reads of access keys also show unsaved ones. Call it at
// intervals, and when the control plane stops.
func (s *Service) SaveUses(tx *gate.Tx) error {
	if err := tx.Check(); err != nil { // not begin: no principal depends on uses
		return err
	}
	unsaved := s.uses.unsaved()
	for id, use := range unsaved {
		_, err := tx.Exec(`
			UPDATE iam_access_key SET used = $2, used_service = $3, used_region = $4 WHERE id = $1 AND used <= $2`,
			id, db.Micros(use.Time), db.Text(use.Service), db.Text(use.Region))
		if err != nil {
			return err
		}
	}
	tx.After(func(context.Context) error {
		s.uses.saved(unsaved)
		return nil
	})
	return nil
}
