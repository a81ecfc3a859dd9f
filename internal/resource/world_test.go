package resource_test

import (
	"context"
	"crypto/rand"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/clock/clocktest"
	"github.com/sallyport/sallyport/internal/db"
	"github.com/sallyport/sallyport/internal/db/dbtest"
	"github.com/sallyport/sallyport/internal/fault"
	"github.com/sallyport/sallyport/internal/gate"
	"github.com/sallyport/sallyport/internal/resource"
	"github.com/sallyport/sallyport/internal/trail"
	"github.com/sallyport/sallyport/internal/uuid"
)

const (
	account = "123456789012"
	region  = "on-prem-1"
)

// thing is a resource of these tests. Its kind is Instance, the only kind there is.
type thing struct {
	resource.Head `json:"-"`
	Text          string
}

var things = resource.Table[thing, *thing]{Kind: resource.Instance}

type world struct {
	t       *testing.T
	db      *db.Writer
	tags    *resource.Tags
	gate    *gate.Gate
	machine *clocktest.Machine
}

// each runs the test on both databases.
func each(t *testing.T, test func(t *testing.T, w *world)) {
	dbtest.Each(t, func(t *testing.T, database *db.Writer) {
		w := &world{t: t, db: database, machine: clocktest.New(time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC))}
		w.tags = resource.NewTags(database.DB, w.machine.Read)
		w.gate = gate.New(account, w, w.tags, database, w.machine.Read, rand.Reader)
		test(t, w)
	})
}

func (w *world) now() time.Time { return w.machine.Read().Time }

// Principal knows nobody.
func (w *world) Principal(context.Context, string) (gate.Principal, error) {
	return gate.Principal{}, fault.New(fault.NotFound, fault.AccessKey, "nobody")
}

func (w *world) pass() gate.Pass {
	w.t.Helper()
	pass, err := w.gate.AdmitHost(trail.Identity{Type: trail.Host, PrincipalID: "test"}, gate.Call{
		RequestID: uuid.New(time.Now(), rand.Reader), Name: "Test", Source: "test", Region: region,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return pass
}

func (w *world) write(fn func(*gate.Tx) error) error {
	w.t.Helper()
	return w.gate.Write(w.t.Context(), w.pass(), fn)
}

func (w *world) set(ids []string, tags map[string]string) error {
	w.t.Helper()
	return w.write(func(tx *gate.Tx) error { return w.tags.Set(tx, ids, tags) })
}

func (w *world) untag(ids []string, matches ...resource.TagMatch) error {
	w.t.Helper()
	return w.write(func(tx *gate.Tx) error { return w.tags.Delete(tx, ids, matches) })
}

// make makes a thing with the tags.
func (w *world) make(tags map[string]string) thing {
	w.t.Helper()
	made := thing{Head: resource.Head{ID: resource.Instance.NewID(rand.Reader), Region: region, Tags: tags}, Text: "한국어"}
	w.ok(w.write(func(tx *gate.Tx) error { return things.Create(tx.Tx, &made) }))
	return made
}

// read reads a thing back.
func (w *world) read(id string) (thing, error) {
	w.t.Helper()
	return db.Get(w.t.Context(), w.db.DB, func(tx *db.Tx) (thing, error) { return things.Get(tx, id) })
}

func (w *world) ok(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// want fails the test unless err is a fault of the kind and resource.
func want(t *testing.T, err error, kind fault.Kind, resource string) {
	t.Helper()
	f := fault.Of(err)
	if err == nil || f.Kind != kind || f.Subject.String() != resource {
		t.Errorf("got %v (%v %q), want a fault %v %q", err, f.Kind, f.Subject.String(), kind, resource)
	}
}
