package resource_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/internal/db"
	"github.com/sallyport/sallyport/internal/fault"
	"github.com/sallyport/sallyport/internal/gate"
	"github.com/sallyport/sallyport/internal/resource"
)

func TestTable(t *testing.T) { each(t, testTable) }

func testTable(t *testing.T, w *world) {
	made := w.make(map[string]string{"Name": "gärtner", "empty": ""})
	got, err := w.read(made.ID)
	if diff := cmp.Diff(made, got); err != nil || diff != "" {
		t.Errorf("read back: %v\n%s", err, diff)
	}
	bare := w.make(nil)
	if got, err := w.read(bare.ID); err != nil || cmp.Diff(bare, got) != "" {
		t.Errorf("without tags: %v\n%s", err, cmp.Diff(bare, got))
	}
	change := func(version int64) error {
		return w.write(func(tx *gate.Tx) error {
			one := made
			one.Text, one.Version = "changed", version
			return things.Update(tx.Tx, &one)
		})
	}
	w.ok(change(1))
	if got, _ := w.read(made.ID); got.Text != "changed" || got.Version != 2 || got.Tags["Name"] != "gärtner" {
		t.Errorf("changed: %+v", got)
	}
	want(t, change(1), fault.NotFound, "instance") // a resource that another transaction changed since is not written back
	_, err = w.read("i-00000000000000000")
	want(t, err, fault.NotFound, "instance")
	w.ok(w.write(func(tx *gate.Tx) error { return things.Delete(tx.Tx, made.ID) }))
	_, err = w.read(made.ID)
	want(t, err, fault.NotFound, "instance")
	want(t, w.write(func(tx *gate.Tx) error { return things.Delete(tx.Tx, made.ID) }), fault.NotFound, "instance")
}

// A resource that ended is found and listed while it lingers, in its own region only, and a listing continues after any
// id.
func TestListing(t *testing.T) { each(t, testListing) }

func testListing(t *testing.T, w *world) {
	var all []string
	for range 9 {
		all = append(all, w.make(map[string]string{"a": "1", "b": "2"}).ID)
	}
	slices.Sort(all)
	list := func(in, after string, most int) (ids []string) {
		t.Helper()
		w.ok(w.db.View(t.Context(), func(tx *db.Tx) error {
			return things.List(tx, in, w.now(), after, func(one thing) error {
				if len(ids) == most {
					return resource.ErrEnough
				}
				if len(one.Tags) != 2 {
					t.Errorf("%s has the tags %v", one.ID, one.Tags)
				}
				ids = append(ids, one.ID)
				return nil
			})
		}))
		return ids
	}
	if got := list(region, "", 100); !slices.Equal(got, all) {
		t.Errorf("listed %v of %v", got, all)
	}
	if got := list(region, all[3], 2); !slices.Equal(got, all[4:6]) {
		t.Errorf("two after %s: %v", all[3], got)
	}
	if got := list("on-prem-2", "", 100); len(got) != 0 {
		t.Errorf("in another region: %v", got)
	}
	w.ok(w.write(func(tx *gate.Tx) error {
		one, err := things.Get(tx.Tx, all[0])
		if err != nil {
			return err
		}
		one.Ended = w.now()
		return things.Update(tx.Tx, &one)
	}))
	find := func(in string, ids ...string) (found []thing, err error) {
		err = w.db.View(t.Context(), func(tx *db.Tx) error {
			found, err = things.Find(tx, in, w.now(), ids...)
			return err
		})
		return found, err
	}
	for _, passed := range []time.Duration{0, time.Hour - time.Second} {
		w.machine.Pass(passed)
		if found, err := find(region, all[1], all[0], all[1]); err != nil || len(found) != 2 || found[0].ID != all[1] {
			t.Errorf("after %v: %v, %v", passed, found, err)
		}
		if got := list(region, "", 100); len(got) != 9 {
			t.Errorf("after %v, %d are listed", passed, len(got))
		}
	}
	w.machine.Pass(time.Second)
	_, err := find(region, all[1], all[0])
	want(t, err, fault.NotFound, "instance")
	if got := list(region, "", 100); len(got) != 8 {
		t.Errorf("after an hour, %d are listed", len(got))
	}
	_, err = find("on-prem-2", all[1])
	want(t, err, fault.NotFound, "instance")
}

func TestClaims(t *testing.T) { each(t, testClaims) }

func testClaims(t *testing.T, w *world) {
	one, two := w.make(nil), w.make(nil)
	taken := fault.New(fault.Exists, fault.Name, "taken")
	claim := func(id, value string) error {
		return w.write(func(tx *gate.Tx) error { return resource.Claim(tx.Tx, "name", value, id, taken) })
	}
	w.ok(claim(one.ID, "web"))
	want(t, claim(two.ID, "web"), fault.Exists, "name")
	w.ok(claim(two.ID, "db"))
	holder := func(value string) string {
		t.Helper()
		id, err := db.Get(t.Context(), w.db.DB, func(tx *db.Tx) (string, error) {
			return resource.Claimed(tx, "name", value)
		})
		w.ok(err)
		return id
	}
	if got := []string{holder("web"), holder("db"), holder("none")}; !slices.Equal(got, []string{one.ID, two.ID, ""}) {
		t.Errorf("claimed by %v", got)
	}
	w.ok(w.write(func(tx *gate.Tx) error { return resource.Disclaim(tx.Tx, "name", one.ID) }))
	w.ok(claim(two.ID, "web"))
	w.ok(w.write(func(tx *gate.Tx) error { return things.Delete(tx.Tx, two.ID) }))
	if got := holder("db"); got != "" {
		t.Errorf("a deleted resource claims %s", got)
	}
}

// A resource that another one uses cannot be deleted.
func TestReferences(t *testing.T) { each(t, testReferences) }

func testReferences(t *testing.T, w *world) {
	user, used := w.make(nil), w.make(nil)
	reference := resource.Reference{Source: user.ID, Role: "volume", Target: used.ID}
	for range 2 {
		w.ok(w.write(func(tx *gate.Tx) error { return resource.Refer(tx.Tx, reference) }))
	}
	for name, list := range map[string]func(*db.Tx) ([]resource.Reference, error){
		"uses":  func(tx *db.Tx) ([]resource.Reference, error) { return resource.Uses(tx, user.ID) },
		"users": func(tx *db.Tx) ([]resource.Reference, error) { return resource.Users(tx, used.ID) },
	} {
		got, err := db.Get(t.Context(), w.db.DB, list)
		if diff := cmp.Diff([]resource.Reference{reference}, got); err != nil || diff != "" {
			t.Errorf("%s: %v\n%s", name, err, diff)
		}
	}
	remove := func(id string) error {
		return w.write(func(tx *gate.Tx) error { return things.Delete(tx.Tx, id) })
	}
	err := remove(used.ID)
	want(t, err, fault.InUse, "instance")
	if code := fault.Of(err).Code; code != "DependencyViolation" {
		t.Errorf("the code is %s", code)
	}
	w.ok(w.write(func(tx *gate.Tx) error { return resource.Unrefer(tx.Tx, reference) }))
	w.ok(remove(used.ID))
	other := w.make(nil)
	reference.Target = other.ID
	w.ok(w.write(func(tx *gate.Tx) error { return resource.Refer(tx.Tx, reference) }))
	w.ok(remove(user.ID)) // a deleted resource uses nothing
	w.ok(remove(other.ID))
}

func TestKinds(t *testing.T) {
	for id, valid := range map[string]bool{
		"i-0123456789abcdef0": true, "i-01234567": true, "i-0123456789abcdef": false, "i-0123456789ABCDEF0": false,
		"i-": false, "": false, "vol-0123456789abcdef0": false, "i-0123456789abcdef0\n": false,
	} {
		if _, ok := resource.Of(id); ok != valid || resource.Instance.Valid(id) != valid {
			t.Errorf("%q is an id: %v", id, ok)
		}
	}
	f := resource.Instance.NotFound("i-2", "i-1")
	if got := fmt.Sprint(f.Code, ": ", f.Message); got !=
		"InvalidInstanceID.NotFound: The instance IDs 'i-2, i-1' do not exist" {
		t.Error(got)
	}
	if got := resource.Instance.ARN(region, account, "i-1"); got != "arn:aws:ec2:on-prem-1:123456789012:instance/i-1" {
		t.Error(got)
	}
}
