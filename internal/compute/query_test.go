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
)

func ids(instances []compute.Instance) []string {
	var list []string
	for _, i := range instances {
		list = append(list, i.ID)
	}
	return list
}

func TestStates(t *testing.T) {
	w := newWorld(t)
	host := w.enroll(nil)
	state := func() compute.State {
		i, err := w.Instance(t.Context(), w.pass(region), host.ID)
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
	changes, err := w.Terminate(t.Context(), w.pass(region), []string{host.ID, host.ID})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]compute.StateChange{{ID: host.ID, Previous: compute.Running, Current: compute.Terminated}}, changes); diff != "" {
		t.Error(diff)
	}
	if s := state(); s != compute.Terminated || s.Code() != 48 {
		t.Errorf("un-enrolled: %s", s)
	}
	if _, err := w.HostByKey(t.Context(), host.PublicKey); !fault.Is(err, fault.NotFound) {
		t.Errorf("an un-enrolled host is still known by its key: %v", err)
	}
	// Only a machine that proves the very key may be told to remove our agent.
	for _, test := range []struct {
		id  string
		key []byte
		yes bool
	}{{host.ID, host.PublicKey, true}, {host.ID, []byte("another"), false}, {"i-00000000000000000", host.PublicKey, false}} {
		if yes, err := w.Dismissed(t.Context(), test.id, test.key); err != nil || yes != test.yes {
			t.Errorf("Dismissed(%s, %q): %v, %v", test.id, test.key, yes, err)
		}
	}
	w.machine.Pass(30 * time.Minute)
	if changes, err = w.Terminate(t.Context(), w.pass(region), []string{host.ID}); err != nil || changes[0].Previous != compute.Terminated {
		t.Errorf("terminated twice: %v, %v", changes, err)
	}
	reason := compute.Query{Filters: []compute.Filter{{Name: "reason", Values: []string{"User initiated (2026-*)"}}}}
	if found, _, err := w.Instances(t.Context(), w.pass(region), reason); err != nil || len(found) != 1 {
		t.Errorf("by the reason of the transition: %v, %v", ids(found), err)
	}
	if !slices.Equal(w.dismissed, []string{host.ID}) {
		t.Errorf("dismissed %v", w.dismissed)
	}
	want(t, w.ReportHost(t.Context(), w.pass(region), host.ID, report()), fault.WrongState, "instance")
	w.machine.Pass(30 * time.Minute)
	_, err = w.Instance(t.Context(), w.pass(region), host.ID)
	want(t, err, fault.NotFound, "instance") // an hour after the first
}

func TestTerminateAllOrNone(t *testing.T) {
	w := newWorld(t)
	host := w.enroll(nil)
	_, err := w.Terminate(t.Context(), w.pass(region), []string{host.ID, "i-00000000000000000"})
	want(t, err, fault.NotFound, "instance")
	_, err = w.Terminate(t.Context(), w.pass("on-prem-2"), []string{host.ID})
	want(t, err, fault.NotFound, "instance")
	_, err = w.Terminate(t.Context(), w.pass(region), nil)
	want(t, err, fault.Invalid, "parameters")
	_, err = w.Terminate(t.Context(), w.pass(region), make([]string, 1001))
	want(t, err, fault.Invalid, "ids")
	if i, err := w.Instance(t.Context(), w.pass(region), host.ID); err != nil || i.State == compute.Terminated {
		t.Errorf("one bad id, and %s is %s, %v", host.ID, i.State, err)
	}
}

// Scripts take what they asked for in the order in which they asked.
func TestOrderIsThatOfTheIDs(t *testing.T) {
	w := newWorld(t)
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
	changes, err := w.Terminate(t.Context(), w.pass(region), append(asked, asked[3]))
	var changed []string
	for _, c := range changes {
		changed = append(changed, c.ID)
	}
	if err != nil || !slices.Equal(changed, asked) {
		t.Errorf("asked for %v, terminated %v, %v", asked, changed, err)
	}
}

func TestNotFoundNamesAll(t *testing.T) {
	w := newWorld(t)
	_, _, err := w.Instances(t.Context(), w.pass(region), compute.Query{IDs: []string{"i-00000002", "i-00000001"}})
	want(t, err, fault.NotFound, "instance")
	if got, want := fault.Of(err).Message, "The instance IDs 'i-00000002, i-00000001' do not exist"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	_, err = w.Instance(t.Context(), w.pass(region), "i-1")
	if got, want := fault.Of(err).Message, "The instance ID 'i-1' does not exist"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestFilters(t *testing.T) {
	w := newWorld(t)
	web := w.enroll(map[string]string{"Name": "web", "team": "a"})
	db := w.enroll(map[string]string{"Name": "db*", "stage": ""})
	r := db.Report
	r.Hostname, r.Architecture, r.Addresses = "db-1", "arm64", []netip.Addr{netip.MustParseAddr("100.64.0.9"), netip.MustParseAddr("8.8.4.4")}
	if err := w.ReportHost(t.Context(), w.pass(region), db.ID, r); err != nil {
		t.Fatal(err)
	}
	w.linked[web.ID] = true

	f := func(name string, values ...string) compute.Filter { return compute.Filter{Name: name, Values: values} }
	for _, test := range []struct {
		filters []compute.Filter
		want    string // of "web db"
	}{
		{nil, "web db"},
		{[]compute.Filter{f("instance-id", web.ID)}, "web"},
		{[]compute.Filter{f("instance-id", "i-*")}, "web db"},
		{[]compute.Filter{f("instance-state-name", "running")}, "web"},
		{[]compute.Filter{f("instance-state-name", "running", "stopped")}, "web db"},
		{[]compute.Filter{f("instance-state-name", "RUNNING")}, ""},
		{[]compute.Filter{f("instance-state-code", "80")}, "db"},
		{[]compute.Filter{f("tag:Name", "web")}, "web"},
		{[]compute.Filter{f("tag:Name", "*")}, "web db"},
		{[]compute.Filter{f("tag:Name", "w?b")}, "web"},
		{[]compute.Filter{f("tag:Name", `db\*`)}, "db"},
		{[]compute.Filter{f("tag:Name", `web\*`)}, ""},
		{[]compute.Filter{f("tag:name", "web")}, ""},
		{[]compute.Filter{f("tag:stage", "")}, "db"},
		{[]compute.Filter{f("tag-key", "team", "none")}, "web"},
		{[]compute.Filter{f("availability-zone", "on-prem-1a")}, "web db"},
		{[]compute.Filter{f("availability-zone-id", "on-prem-1-az1")}, "web db"},
		{[]compute.Filter{f("availability-zone-id", "on-prem-1-az2")}, ""},
		{[]compute.Filter{f("state-reason-code", "Server.AgentNotConnected")}, "db"},
		{[]compute.Filter{f("state-reason-message", "*never been connected")}, "db"},
		{[]compute.Filter{f("state-reason-message", "*")}, "db"},
		{[]compute.Filter{f("reason", "")}, "web db"},
		{[]compute.Filter{f("reason", "User initiated*")}, ""},
		{[]compute.Filter{f("private-ip-address", "10.0.0.*")}, "web"},
		{[]compute.Filter{f("private-ip-address", "100.64.0.9")}, "db"},
		{[]compute.Filter{f("ip-address", "8.8.4.4")}, "db"},
		{[]compute.Filter{f("ip-address", "*")}, "db"},
		{[]compute.Filter{f("private-dns-name", "db-1")}, "db"},
		{[]compute.Filter{f("dns-name", "*")}, ""},
		{[]compute.Filter{f("tenancy", "default")}, "web db"},
		{[]compute.Filter{f("tenancy", "dedicated")}, ""},
		{[]compute.Filter{f("ipv6-address", "2001:*")}, "web"},
		{[]compute.Filter{f("architecture", "arm64")}, "db"},
		{[]compute.Filter{f("reservation-id", web.Reservation)}, "web"},
		{[]compute.Filter{f("owner-id", account)}, "web db"},
		{[]compute.Filter{f("platform-details", "Linux/*")}, "web db"},
		{[]compute.Filter{f("launch-time", "2026-11-22T08:*")}, "web db"},
		{[]compute.Filter{f("tag:team", "a"), f("architecture", "x86_64")}, "web"},
		{[]compute.Filter{f("tag:team", "a"), f("architecture", "arm64")}, ""},
	} {
		found, next, err := w.Instances(t.Context(), w.pass(region), compute.Query{Filters: test.filters})
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
	for _, bad := range []compute.Filter{f("vpc-id", "x"), f("", "x"), f("instance-id"), f("endpoint", "x")} {
		_, _, err := w.Instances(t.Context(), w.pass(region), compute.Query{Filters: []compute.Filter{bad}})
		want(t, err, fault.Invalid, "filter")
	}
	tooMany := make([]compute.Filter, 51)
	for _, bad := range [][]compute.Filter{{{Name: "instance-id", Values: make([]string, 201)}}, tooMany} {
		_, _, err := w.Instances(t.Context(), w.pass(region), compute.Query{Filters: bad})
		want(t, err, fault.Limit, "filter")
	}
	_, _, err := w.Instances(t.Context(), w.pass("on-prem-2"), compute.Query{Filters: []compute.Filter{f("image-id", "x")}})
	want(t, err, fault.Invalid, "filter") // also where there is nothing to filter
}

// The union of the pages is the whole, whatever the sizes, and whatever is added or taken away elsewhere.
func TestPagesAreTheWhole(t *testing.T) {
	w := newWorld(t)
	for i := range 23 {
		w.enroll(map[string]string{"n": fmt.Sprint(i % 2)})
	}
	all, _, err := w.Instances(t.Context(), w.pass(region), compute.Query{})
	if err != nil || len(all) != 23 {
		t.Fatalf("%d instances, %v", len(all), err)
	}
	rapid.Check(t, func(r *rapid.T) {
		query := compute.Query{}
		expected := ids(all)
		if rapid.Bool().Draw(r, "filter") {
			query.Filters = []compute.Filter{{Name: "tag:n", Values: []string{"1"}}}
			expected = nil
			for _, i := range all {
				if i.Tags["n"] == "1" {
					expected = append(expected, i.ID)
				}
			}
		}
		var got []string
		for {
			query.Size = rapid.IntRange(5, 30).Draw(r, "size") // may change from page to page
			part, next, err := w.Instances(t.Context(), w.pass(region), query)
			if err != nil {
				r.Fatal(err)
			}
			if len(part) > query.Size {
				r.Fatalf("a page of %d holds %d", query.Size, len(part))
			}
			got = append(got, ids(part)...)
			if next == "" {
				break
			}
			query.Token = next
		}
		if !slices.Equal(got, expected) {
			r.Fatalf("pages gave %v, want %v", got, expected)
		}
	})
}

func TestPageTokensAreBound(t *testing.T) {
	w := newWorld(t)
	for range 7 {
		w.enroll(map[string]string{"a": "b"})
	}
	_, token, err := w.Instances(t.Context(), w.pass(region), compute.Query{Page: compute.Page{Size: 5}})
	if err != nil || token == "" {
		t.Fatal(token, err)
	}
	filters := []compute.Filter{{Name: "tag-key", Values: []string{"a"}}}
	_, _, err = w.Instances(t.Context(), w.pass(region), compute.Query{Filters: filters, Page: compute.Page{Token: token}})
	want(t, err, fault.Invalid, "page-token")
	_, _, err = w.Instances(t.Context(), w.pass("on-prem-2"), compute.Query{Page: compute.Page{Token: token}})
	want(t, err, fault.Invalid, "page-token")
	_, _, err = w.Tags(t.Context(), w.pass(region), nil, compute.Page{Token: token})
	want(t, err, fault.Invalid, "page-token")
	_, _, err = w.Instances(t.Context(), w.pass(region), compute.Query{Page: compute.Page{Token: "x" + token}})
	want(t, err, fault.Invalid, "page-token")
	for _, size := range []int{-1, 1, 4, 1001} {
		_, _, err = w.Instances(t.Context(), w.pass(region), compute.Query{Page: compute.Page{Size: size}})
		want(t, err, fault.Invalid, "page-size")
	}
	_, _, err = w.Instances(t.Context(), w.pass(region), compute.Query{IDs: []string{"i-00000001"}, Page: compute.Page{Size: 5}})
	want(t, err, fault.Invalid, "parameters")
}

func TestPlaces(t *testing.T) {
	w := newWorld(t)
	got, err := w.Regions(t.Context(), w.pass(region), nil, []compute.Filter{{Name: "region-name", Values: []string{"*-2"}}})
	if err != nil || len(got) != 1 || got[0].Name != "on-prem-2" {
		t.Errorf("regions: %v, %v", got, err)
	}
	got, err = w.Regions(t.Context(), w.pass(region), nil, []compute.Filter{{Name: "endpoint", Values: []string{"*.example:8443"}}})
	if err != nil || len(got) != 1 || got[0].Name != region {
		t.Errorf("regions by endpoint: %v, %v", got, err)
	}
	_, err = w.Regions(t.Context(), w.pass(region), []string{"us-east-1"}, nil)
	want(t, err, fault.Invalid, "region-name")
	zones, err := w.Zones(t.Context(), w.pass(region), nil, nil, nil)
	if diff := cmp.Diff([]compute.Zone{{region, "on-prem-1a", "on-prem-1-az1"}, {region, "on-prem-1b", "on-prem-1-az2"}}, zones); diff != "" || err != nil {
		t.Error(diff, err)
	}
	zones, err = w.Zones(t.Context(), w.pass(region), []string{"on-prem-1b"}, nil, nil)
	if err != nil || len(zones) != 1 {
		t.Errorf("zones: %v, %v", zones, err)
	}
	_, err = w.Zones(t.Context(), w.pass(region), []string{"on-prem-2a"}, nil, nil)
	want(t, err, fault.Invalid, "zone")
}
