package compute_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/sallyport/sallyport/internal/compute"
	"github.com/sallyport/sallyport/internal/fault"
	"github.com/sallyport/sallyport/internal/gate"
	"github.com/sallyport/sallyport/internal/page"
	"github.com/sallyport/sallyport/internal/resource"
)

func ids(instances []compute.Instance) []string {
	var list []string
	for _, i := range instances {
		list = append(list, i.ID)
	}
	return list
}

func TestStates(t *testing.T) { each(t, testStates) }

func testStates(t *testing.T, w *world) {
	host := w.enroll(nil)
	state := func() compute.State {
		i, err := w.instance(host.ID)
		if err != nil {
			t.Fatal(err)
		}
		return i.State
	}
	if s := state(); s != compute.Stopped || s.Code() != 80 {
		t.Errorf("not linked: %s", s)
	}
	w.linked[host.ID] = true
	if s := state(); s != compute.Running || s.Code() != 16 {
		t.Errorf("linked: %s", s)
	}
	changes, err := w.terminate(region, host.ID, host.ID)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]compute.StateChange{{ID: host.ID, Previous: compute.Running, Current: compute.Terminated}},
		changes); diff != "" {
		t.Error(diff)
	}
	if s := state(); s != compute.Terminated || s.Code() != 48 {
		t.Errorf("un-enrolled: %s", s)
	}
	w.machine.Pass(30 * time.Minute)
	if changes, err = w.terminate(region, host.ID); err != nil || changes[0].Previous != compute.Terminated {
		t.Errorf("terminated twice: %v, %v", changes, err)
	}
	reason := compute.Query{
		Page: whole, Filters: []resource.Filter{{Name: "reason", Values: []string{"User initiated (2026-*)"}}},
	}
	if found, _, err := w.Instances(t.Context(), w.pass(region), reason); err != nil || len(found) != 1 {
		t.Errorf("by the reason of the transition: %v, %v", ids(found), err)
	}
	if !slices.Equal(w.dismissed, []string{host.ID}) {
		t.Errorf("dismissed %v", w.dismissed)
	}
	w.machine.Pass(30 * time.Minute)
	_, err = w.instance(host.ID)
	want(t, err, fault.NotFound, "instance") // an hour after the first
}

func TestTerminateAllOrNone(t *testing.T) { each(t, testTerminateAllOrNone) }

func testTerminateAllOrNone(t *testing.T, w *world) {
	host := w.enroll(nil)
	_, err := w.terminate(region, host.ID, "i-00000000000000000")
	want(t, err, fault.NotFound, "instance")
	_, err = w.terminate("on-prem-2", host.ID)
	want(t, err, fault.NotFound, "instance")
	_, err = w.terminate(region)
	want(t, err, fault.Invalid, "parameters")
	_, err = w.terminate(region, make([]string, 1001)...)
	want(t, err, fault.Invalid, "ids")
	if i, err := w.instance(host.ID); err != nil || i.State == compute.Terminated {
		t.Errorf("one bad id, and %s is %s, %v", host.ID, i.State, err)
	}
}

// Scripts rely on getting instances in the order in which they asked for them.
func TestOrderIsThatOfTheIDs(t *testing.T) { each(t, testOrderIsThatOfTheIDs) }

func testOrderIsThatOfTheIDs(t *testing.T, w *world) {
	var asked []string
	for range 8 {
		asked = append(asked, w.enroll(nil).ID)
	}
	slices.Sort(asked)
	slices.Reverse(asked)
	found, next, err := w.Instances(t.Context(), w.pass(region), compute.Query{IDs: append(asked, asked[3])})
	if err != nil || next != "" || !slices.Equal(ids(found), asked) {
		t.Errorf("asked for %v, got %v, %v", asked, ids(found), err)
	}
	changes, err := w.terminate(region, append(asked, asked[3])...)
	var changed []string
	for _, c := range changes {
		changed = append(changed, c.ID)
	}
	if err != nil || !slices.Equal(changed, asked) {
		t.Errorf("asked for %v, terminated %v, %v", asked, changed, err)
	}
}

func TestNotFoundNamesAll(t *testing.T) { each(t, testNotFoundNamesAll) }

func testNotFoundNamesAll(t *testing.T, w *world) {
	_, _, err := w.Instances(t.Context(), w.pass(region), compute.Query{IDs: []string{"i-00000002", "i-00000001"}})
	want(t, err, fault.NotFound, "instance")
	if got, want := fault.Of(err).Message, "The instance IDs 'i-00000002, i-00000001' do not exist"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	_, err = w.instance("i-1")
	if got, want := fault.Of(err).Message, "The instance ID 'i-1' does not exist"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestFilters(t *testing.T) { each(t, testFilters) }

func testFilters(t *testing.T, w *world) {
	web := w.enroll(map[string]string{"Name": "web", "team": "a"})
	db := w.enroll(map[string]string{"Name": "db*", "stage": ""})
	r := db.Report
	r.Hostname, r.Architecture, r.Addresses = "db-1", "arm64", []netip.Addr{
		netip.MustParseAddr("100.64.0.9"), netip.MustParseAddr("8.8.4.4"),
	}
	if err := w.write(region, func(tx *gate.Tx) error { return w.hosts.Report(tx, db.ID, r) }); err != nil {
		t.Fatal(err)
	}
	w.linked[web.ID] = true

	f := func(name string, values ...string) resource.Filter {
		return resource.Filter{Name: name, Values: values}
	}
	for _, test := range []struct {
		filters []resource.Filter
		want    string // of "web db"
	}{
		{nil, "web db"},
		{[]resource.Filter{f("instance-id", web.ID)}, "web"},
		{[]resource.Filter{f("instance-id", "i-*")}, "web db"},
		{[]resource.Filter{f("instance-state-name", "running")}, "web"},
		{[]resource.Filter{f("instance-state-name", "running", "stopped")}, "web db"},
		{[]resource.Filter{f("instance-state-name", "RUNNING")}, ""},
		{[]resource.Filter{f("instance-state-code", "80")}, "db"},
		{[]resource.Filter{f("tag:Name", "web")}, "web"},
		{[]resource.Filter{f("tag:Name", "*")}, "web db"},
		{[]resource.Filter{f("tag:Name", "w?b")}, "web"},
		{[]resource.Filter{f("tag:Name", `db\*`)}, "db"},
		{[]resource.Filter{f("tag:Name", `web\*`)}, ""},
		{[]resource.Filter{f("tag:name", "web")}, ""},
		{[]resource.Filter{f("tag:stage", "")}, "db"},
		{[]resource.Filter{f("tag-key", "team", "none")}, "web"},
		{[]resource.Filter{f("availability-zone", "on-prem-1a")}, "web db"},
		{[]resource.Filter{f("availability-zone-id", "on-prem-1-az1")}, "web db"},
		{[]resource.Filter{f("availability-zone-id", "on-prem-1-az2")}, ""},
		{[]resource.Filter{f("state-reason-code", "Server.AgentNotConnected")}, "db"},
		{[]resource.Filter{f("state-reason-message", "*never been connected")}, "db"},
		{[]resource.Filter{f("state-reason-message", "*")}, "db"},
		{[]resource.Filter{f("reason", "")}, "web db"},
		{[]resource.Filter{f("reason", "User initiated*")}, ""},
		{[]resource.Filter{f("private-ip-address", "10.0.0.*")}, "web"},
		{[]resource.Filter{f("private-ip-address", "100.64.0.9")}, "db"},
		{[]resource.Filter{f("ip-address", "8.8.4.4")}, "db"},
		{[]resource.Filter{f("ip-address", "*")}, "db"},
		{[]resource.Filter{f("private-dns-name", "db-1")}, "db"},
		{[]resource.Filter{f("dns-name", "*")}, ""},
		{[]resource.Filter{f("tenancy", "default")}, "web db"},
		{[]resource.Filter{f("tenancy", "dedicated")}, ""},
		{[]resource.Filter{f("ipv6-address", "2001:*")}, "web"},
		{[]resource.Filter{f("architecture", "arm64")}, "db"},
		{[]resource.Filter{f("reservation-id", web.Reservation)}, "web"},
		{[]resource.Filter{f("owner-id", account)}, "web db"},
		{[]resource.Filter{f("platform-details", "Linux/*")}, "web db"},
		{[]resource.Filter{f("launch-time", "2026-11-22T08:*")}, "web db"},
		{[]resource.Filter{f("tag:team", "a"), f("architecture", "x86_64")}, "web"},
		{[]resource.Filter{f("tag:team", "a"), f("architecture", "arm64")}, ""},
	} {
		found, next, err := w.Instances(t.Context(), w.pass(region), compute.Query{Filters: test.filters, Page: whole})
		if err != nil || next != "" {
			t.Errorf("%v: %q, %v", test.filters, next, err)
			continue
		}
		var names []string
		if slices.Contains(ids(found), web.ID) {
			names = append(names, "web")
		}
		if slices.Contains(ids(found), db.ID) {
			names = append(names, "db")
		}
		if got := strings.Join(names, " "); got != test.want {
			t.Errorf("%v: got %q, want %q", test.filters, got, test.want)
		}
	}
	for _, bad := range []resource.Filter{f("vpc-id", "x"), f("", "x"), f("instance-id"), f("endpoint", "x")} {
		_, _, err := w.Instances(t.Context(), w.pass(region), compute.Query{Filters: []resource.Filter{bad}})
		want(t, err, fault.Invalid, "filter")
	}
	tooMany := make([]resource.Filter, 51)
	for _, bad := range [][]resource.Filter{{{Name: "instance-id", Values: make([]string, 201)}}, tooMany} {
		_, _, err := w.Instances(t.Context(), w.pass(region), compute.Query{Filters: bad})
		want(t, err, fault.Limit, "filter")
	}
	_, _, err := w.Instances(t.Context(), w.pass("on-prem-2"),
		compute.Query{Filters: []resource.Filter{f("image-id", "x")}})
	want(t, err, fault.Invalid, "filter") // also where there is nothing to filter
}

// Together the pages have every instance once, whatever their sizes, while other instances come and go.
func TestPagesAreTheWhole(t *testing.T) { each(t, testPagesAreTheWhole) }

func testPagesAreTheWhole(t *testing.T, w *world) {
	for i := range 23 {
		w.enroll(map[string]string{"n": fmt.Sprint(i % 2)})
	}
	all, _, err := w.Instances(t.Context(), w.pass(region), compute.Query{Page: whole})
	if err != nil || len(all) != 23 {
		t.Fatalf("%d instances, %v", len(all), err)
	}
	rapid.Check(t, func(r *rapid.T) {
		query := compute.Query{Page: whole}
		expected := ids(all)
		if rapid.Bool().Draw(r, "filter") {
			query.Filters = []resource.Filter{{Name: "tag:n", Values: []string{"1"}}}
			expected = nil
			for _, i := range all {
				if i.Tags["n"] == "1" {
					expected = append(expected, i.ID)
				}
			}
		}
		var got []string
		for {
			query.Page.Size = rapid.IntRange(5, 30).Draw(r, "size") // may change from page to page
			part, next, err := w.Instances(t.Context(), w.pass(region), query)
			if err != nil {
				r.Fatal(err)
			}
			if len(part) > query.Page.Size {
				r.Fatalf("a page of %d holds %d", query.Page.Size, len(part))
			}
			got = append(got, ids(part)...)
			if next == "" {
				break
			}
			query.Page.Token = next
		}
		if !slices.Equal(got, expected) {
			r.Fatalf("pages gave %v, want %v", got, expected)
		}
	})
}

func TestPageTokensAreBound(t *testing.T) { each(t, testPageTokensAreBound) }

func testPageTokensAreBound(t *testing.T, w *world) {
	for range 7 {
		w.enroll(map[string]string{"a": "b"})
	}
	_, token, err := w.Instances(t.Context(), w.pass(region), compute.Query{Page: page.Page{Size: 5}})
	if err != nil || token == "" {
		t.Fatal(token, err)
	}
	filters := []resource.Filter{{Name: "tag-key", Values: []string{"a"}}}
	_, _, err = w.Instances(t.Context(), w.pass(region), compute.Query{Filters: filters, Page: page.Page{Token: token}})
	want(t, err, fault.Invalid, "page-token")
	_, _, err = w.Instances(t.Context(), w.pass("on-prem-2"), compute.Query{Page: page.Page{Token: token}})
	want(t, err, fault.Invalid, "page-token")
	_, _, err = w.tags.List(t.Context(), w.pass(region), nil, page.Page{Size: 5, Token: token})
	want(t, err, fault.Invalid, "page-token")
	_, _, err = w.Instances(t.Context(), w.pass(region), compute.Query{Page: page.Page{Token: "x" + token}})
	want(t, err, fault.Invalid, "page-token")
}

func TestPlaces(t *testing.T) { each(t, testPlaces) }

func testPlaces(t *testing.T, w *world) {
	got, err := w.Regions(t.Context(), w.pass(region), nil,
		[]resource.Filter{{Name: "region-name", Values: []string{"*-2"}}})
	if err != nil || len(got) != 1 || got[0].Name != "on-prem-2" {
		t.Errorf("regions: %v, %v", got, err)
	}
	got, err = w.Regions(t.Context(), w.pass(region), nil,
		[]resource.Filter{{Name: "endpoint", Values: []string{"*.example:8443"}}})
	if err != nil || len(got) != 1 || got[0].Name != region {
		t.Errorf("regions by endpoint: %v, %v", got, err)
	}
	_, err = w.Regions(t.Context(), w.pass(region), []string{"us-east-1"}, nil)
	want(t, err, fault.Invalid, "region-name")
	zones, err := w.Zones(t.Context(), w.pass(region), nil, nil, nil)
	if diff := cmp.Diff([]compute.Zone{{region, "on-prem-1a", "on-prem-1-az1"}, {region, "on-prem-1b", "on-prem-1-az2"}},
		zones); diff != "" || err != nil {
		t.Error(diff, err)
	}
	zones, err = w.Zones(t.Context(), w.pass(region), []string{"on-prem-1b"}, nil, nil)
	if err != nil || len(zones) != 1 {
		t.Errorf("zones: %v, %v", zones, err)
	}
	_, err = w.Zones(t.Context(), w.pass(region), []string{"on-prem-2a"}, nil, nil)
	want(t, err, fault.Invalid, "zone")
}
