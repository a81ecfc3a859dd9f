package resource_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/internal/fault"
	"github.com/sallyport/sallyport/internal/page"
	"github.com/sallyport/sallyport/internal/resource"
)

func TestTags(t *testing.T) { each(t, testTags) }

func testTags(t *testing.T, w *world) {
	a, b := w.make(map[string]string{"Name": "a"}), w.make(nil)
	if err := w.set([]string{a.ID, b.ID, a.ID}, map[string]string{"team": "x", "empty": ""}); err != nil {
		t.Fatal(err)
	}
	tags := func(id string) map[string]string {
		set, err := w.tags.ResourceTags(t.Context(), resource.Instance.ARN(region, account, id))
		if err != nil {
			t.Fatal(err)
		}
		return set
	}
	if diff := cmp.Diff(map[string]string{"Name": "a", "team": "x", "empty": ""}, tags(a.ID)); diff != "" {
		t.Error(diff)
	}
	other, empty := "y", ""
	if err := w.untag([]string{a.ID}, resource.TagMatch{Key: "team", Value: &other},
		resource.TagMatch{Key: "empty", Value: &empty}, resource.TagMatch{Key: "none"}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]string{"Name": "a", "team": "x"}, tags(a.ID)); diff != "" {
		t.Error(diff)
	}
	if err := w.untag([]string{a.ID}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]string{}, tags(a.ID)); diff != "" {
		t.Error(diff)
	}
	found, _, err := w.tags.List(t.Context(), w.pass(), []resource.Filter{
		{Name: "key", Values: []string{"te*"}}, {Name: "resource-type", Values: []string{"instance"}},
	}, page.Page{Size: 100})
	if diff := cmp.Diff([]resource.Tag{{ResourceID: b.ID, Kind: "instance", Key: "team", Value: "x"}},
		found); diff != "" || err != nil {
		t.Error(diff, err)
	}
	_, _, err = w.tags.List(t.Context(), w.pass(),
		[]resource.Filter{{Name: "tag-value", Values: []string{"x"}}}, page.Page{Size: 100})
	want(t, err, fault.Invalid, "filter")
}

func TestTagPages(t *testing.T) { each(t, testTagPages) }

func testTagPages(t *testing.T, w *world) {
	for range 3 {
		w.make(map[string]string{"a": "", "b": "", "c": "", "a/b": ""})
	}
	seen := map[resource.Tag]bool{}
	p := page.Page{Size: 5}
	for {
		tags, next, err := w.tags.List(t.Context(), w.pass(), nil, p)
		if err != nil {
			t.Fatal(err)
		}
		for _, tag := range tags {
			if seen[tag] {
				t.Errorf("%v twice", tag)
			}
			seen[tag] = true
		}
		if next == "" {
			break
		}
		p.Token = next
	}
	if len(seen) != 12 {
		t.Errorf("%d tags of 12", len(seen))
	}
}

func TestTagRefuses(t *testing.T) { each(t, testTagRefuses) }

func testTagRefuses(t *testing.T, w *world) {
	host := w.make(nil)
	full := map[string]string{}
	for i := range 50 {
		full[fmt.Sprint(i)] = ""
	}
	if err := w.set([]string{host.ID}, full); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		ids      []string
		tags     map[string]string
		kind     fault.Kind
		resource string
	}{
		"a 51st": {[]string{host.ID}, map[string]string{"more": ""}, fault.Limit, "tag"},
		"no such instance": {
			[]string{host.ID, "i-00000000000000000"}, map[string]string{"1": ""}, fault.NotFound, "instance",
		},
		"no tag":     {[]string{host.ID}, nil, fault.Missing, "tag"},
		"reserved":   {[]string{host.ID}, map[string]string{"AWS:x": ""}, fault.Invalid, "tag"},
		"no key":     {[]string{host.ID}, map[string]string{"": ""}, fault.Invalid, "tag"},
		"long key":   {[]string{host.ID}, map[string]string{strings.Repeat("ü", 129): ""}, fault.Invalid, "tag"},
		"long value": {[]string{host.ID}, map[string]string{"1": strings.Repeat("ü", 257)}, fault.Invalid, "tag"},
	} {
		t.Run(name, func(t *testing.T) {
			want(t, w.set(test.ids, test.tags), test.kind, test.resource)
		})
	}
	// at the limits of length, which count characters
	if err := w.set([]string{w.make(nil).ID},
		map[string]string{strings.Repeat("ü", 128): strings.Repeat("ü", 256)}); err != nil {
		t.Error(err)
	}
}

func TestResourceTagsOfOtherThings(t *testing.T) { each(t, testResourceTagsOfOtherThings) }

func testResourceTagsOfOtherThings(t *testing.T, w *world) {
	host := w.make(map[string]string{"a": "b"})
	for _, arn := range []string{
		"*", "", "arn:aws:iam::" + account + ":user/x",
		"arn:aws:ec2:on-prem-1:" + account + ":instance/i-*", "arn:aws:iam::1:instance/" + host.ID,
	} {
		if tags, err := w.tags.ResourceTags(t.Context(), arn); len(tags) != 0 || err != nil {
			t.Errorf("%q has tags %v, %v", arn, tags, err)
		}
	}
}

// Several callers add tags to a resource at once. Together they cannot exceed its limit.
func TestFiftyFirstTag(t *testing.T) { each(t, testFiftyFirstTag) }

func testFiftyFirstTag(t *testing.T, w *world) {
	most := map[string]string{}
	for n := range 48 {
		most[fmt.Sprint(n)] = ""
	}
	host := w.make(most)
	var all sync.WaitGroup
	errs := make([]error, 6)
	for n := range errs {
		all.Go(func() { errs[n] = w.set([]string{host.ID}, map[string]string{fmt.Sprint("late ", n): ""}) })
	}
	all.Wait()
	set := 0
	for _, err := range errs {
		if err == nil {
			set++
		} else {
			want(t, err, fault.Limit, "tag")
		}
	}
	if set != 2 {
		t.Errorf("%d tags were set beside 48", set)
	}
}

// People paste a private key where an id belongs. The error repeats no more of it than an id's length.
func TestBadIDsAreNotRepeatedWhole(t *testing.T) {
	pasted := "-----BEGIN OPENSSH PRIVATE KEY-----\n" + strings.Repeat("b3BlbnNzaC1rZXktdjEAAAAA", 20)
	for _, err := range []error{resource.Instance.CheckIDs([]string{pasted}), resource.CheckTaggable([]string{pasted})} {
		if err == nil || strings.Contains(err.Error(), "b3BlbnNz") {
			t.Errorf("%v", err)
		}
	}
}
