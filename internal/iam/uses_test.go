package iam_test

import (
	"errors"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/fault"
	"github.com/sallyport/sallyport/internal/gate"
	"github.com/sallyport/sallyport/internal/iam"
)

// lastUse reads the last use of an access key in both ways, which must agree.
func (w *world) lastUse(key iam.AccessKey) iam.LastUse {
	w.Helper()
	one, err := w.service.AccessKeyLastUsed(w.ctx, w.pass(), key.ID)
	w.ok(err)
	keys, err := w.service.AccessKeys(w.ctx, w.pass(), key.UserName)
	w.ok(err)
	if len(keys) != 1 || keys[0] != one {
		w.Errorf("AccessKeys say %+v, AccessKeyLastUsed %+v", keys, one)
	}
	return one.LastUsed
}

func (w *world) saveUses() { w.Helper(); w.ok(w.gate.Maintain(w.ctx, w.service.SaveUses)) }

// Uses are shown at once, though they are saved only at intervals, and survive a restart once they are saved.
func TestLastUseOfAccessKeys(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		key := w.user("bob")
		if never := w.lastUse(key.AccessKey); never != (iam.LastUse{}) {
			t.Errorf("before its first use: %+v", never)
		}
		_, err := w.ask(key.ID, "", push, host) // denied, but signed
		w.refused(err, fault.Denied, "")
		used := w.lastUse(key.AccessKey)
		if used.Time.IsZero() || used.Service != "iam" || used.Region != region {
			t.Errorf("after a use: %+v", used)
		}
		w.saveUses()
		if saved := w.lastUse(key.AccessKey); saved != used {
			t.Errorf("after it was saved: %+v, want %+v", saved, used)
		}
		w.clock.Pass(time.Hour)
		w.as(key.ID)
		later := w.lastUse(key.AccessKey)
		if !later.Time.After(used.Time) {
			t.Errorf("after another use: %+v", later)
		}
		w.service.Used(w.ctx, "AKIAAAAAAAAAAAAAAAAA", "iam.amazonaws.com", region) // deleted in the meantime
		w.saveUses()
		w.serve()
		if restarted := w.lastUse(key.AccessKey); restarted != later {
			t.Errorf("after a restart: %+v, want %+v", restarted, later)
		}
		_, err = w.service.AccessKeyLastUsed(w.ctx, w.pass(), "AKIAAAAAAAAAAAAAAAAA")
		w.refused(err, fault.NotFound, "AKIAAAAAAAAAAAAAAAAA cannot be found")
	})
}

// An earlier use does not replace a later one, in memory or in the database, and what could not be saved is saved the
// next time.
func TestOnlyTheLastUseCounts(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		key := w.user("bob")
		use := func(service string) { w.service.Used(w.ctx, key.ID, service+".amazonaws.com", region) }
		use("ec2")
		w.clock.Set(-time.Hour)
		use("sts")
		if last := w.lastUse(key.AccessKey); last.Service != "ec2" {
			t.Errorf("in memory: %+v", last)
		}
		w.saveUses()
		use("iam")
		w.saveUses()
		w.serve()
		if last := w.lastUse(key.AccessKey); last.Service != "ec2" {
			t.Errorf("in the database: %+v", last)
		}
		w.clock.Set(2 * time.Hour)
		use("sts")
		full := errors.New("disk full")
		err := w.gate.Maintain(w.ctx, func(tx *gate.Tx) error {
			w.ok(w.service.SaveUses(tx))
			return full
		})
		if !errors.Is(err, full) {
			t.Error(err)
		}
		if last := w.lastUse(key.AccessKey); last.Service != "sts" {
			t.Errorf("after a save that failed: %+v", last)
		}
		w.ok(w.gate.Maintain(w.ctx, func(tx *gate.Tx) error {
			err := w.service.SaveUses(tx)
			w.clock.Pass(time.Minute)
			use("ec2")
			return err
		}))
		if last := w.lastUse(key.AccessKey); last.Service != "ec2" {
			t.Errorf("used while it was saved: %+v", last)
		}
		w.saveUses()
		w.serve()
		if last := w.lastUse(key.AccessKey); last.Service != "ec2" {
			t.Errorf("after a restart: %+v", last)
		}
	})
}
