package compute_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/internal/compute"
	"github.com/sallyport/sallyport/internal/fault"
)

func TestTags(t *testing.T) {
	w := newWorld(t)
	a, b := w.enroll(map[string]string{"Name": "a"}), w.enroll(nil)
	if err := w.Tag(t.Context(), w.pass(region), []string{a.ID, b.ID, a.ID}, map[string]string{"team": "x", "empty": ""}); err != nil {
		t.Fatal(err)
	}
	tags := func(id string) map[string]string {
		set, err := w.ResourceTags(t.Context(), compute.InstanceARN(region, account, id))
		if err != nil {
			t.Fatal(err)
		}
		return set
	}
	if diff := cmp.Diff(map[string]string{"Name": "a", "team": "x", "empty": ""}, tags(a.ID)); diff != "" {
		t.Error(diff)
	}
	other, empty := "y", ""
	if err := w.Untag(t.Context(), w.pass(region), []string{a.ID}, []compute.TagMatch{{Key: "team", Value: &other}, {Key: "empty", Value: &empty}, {Key: "none"}}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]string{"Name": "a", "team": "x"}, tags(a.ID)); diff != "" {
		t.Error(diff)
	}
	if err := w.Untag(t.Context(), w.pass(region), []string{a.ID}, nil); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]string{}, tags(a.ID)); diff != "" {
		t.Error(diff)
	}
	found, _, err := w.Tags(t.Context(), w.pass(region), []compute.Filter{{Name: "key", Values: []string{"te*"}}, {Name: "resource-type", Values: []string{"instance"}}}, compute.Page{})
	if diff := cmp.Diff([]compute.Tag{{ResourceID: b.ID, ResourceType: "instance", Key: "team", Value: "x"}}, found); diff != "" || err != nil {
		t.Error(diff, err)
	}
	_, _, err = w.Tags(t.Context(), w.pass(region), []compute.Filter{{Name: "tag-value", Values: []string{"x"}}}, compute.Page{})
	want(t, err, fault.Invalid, "filter")
}

func TestTagPages(t *testing.T) {
	w := newWorld(t)
	for range 3 {
		w.enroll(map[string]string{"a": "", "b": "", "c": "", "a/b": ""})
	}
	seen := map[compute.Tag]bool{}
	page := compute.Page{Size: 5}
	for {
		tags, next, err := w.Tags(t.Context(), w.pass(region), nil, page)
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
		page.Token = next
	}
	if len(seen) != 12 {
		t.Errorf("%d tags of 12", len(seen))
	}
}

func TestTagRefuses(t *testing.T) {
	w := newWorld(t)
	host := w.enroll(nil)
	full := map[string]string{}
	for i := range 50 {
		full[fmt.Sprint(i)] = ""
	}
	if err := w.Tag(t.Context(), w.pass(region), []string{host.ID}, full); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		ids      []string
		tags     map[string]string
		kind     fault.Kind
		resource string
	}{
		"a 51st":           {[]string{host.ID}, map[string]string{"more": ""}, fault.Limit, "tag"},
		"no such instance": {[]string{host.ID, "i-00000000000000000"}, map[string]string{"1": ""}, fault.NotFound, "instance"},
		"no instance":      {nil, map[string]string{"1": ""}, fault.Missing, "ResourceId"},
		"no tag":           {[]string{host.ID}, nil, fault.Missing, "Tag"},
		"reserved":         {[]string{host.ID}, map[string]string{"AWS:x": ""}, fault.Invalid, "tag"},
		"no key":           {[]string{host.ID}, map[string]string{"": ""}, fault.Invalid, "tag"},
		"long key":         {[]string{host.ID}, map[string]string{strings.Repeat("ü", 129): ""}, fault.Invalid, "tag"},
		"long value":       {[]string{host.ID}, map[string]string{"1": strings.Repeat("ü", 257)}, fault.Invalid, "tag"},
	} {
		t.Run(name, func(t *testing.T) {
			want(t, w.Tag(t.Context(), w.pass(region), test.ids, test.tags), test.kind, test.resource)
		})
	}
	// at the limits of length, counted in characters
	if err := w.Tag(t.Context(), w.pass(region), []string{w.enroll(nil).ID}, map[string]string{strings.Repeat("ü", 128): strings.Repeat("ü", 256)}); err != nil {
		t.Error(err)
	}
}

func TestResourceTagsOfOtherThings(t *testing.T) {
	w := newWorld(t)
	host := w.enroll(map[string]string{"a": "b"})
	for _, arn := range []string{"*", "", "arn:aws:iam::" + account + ":user/x", "arn:aws:ec2:on-prem-1:" + account + ":instance/i-*", "arn:aws:iam::1:instance/" + host.ID} {
		if tags, err := w.ResourceTags(t.Context(), arn); len(tags) != 0 || err != nil {
			t.Errorf("%q has tags %v, %v", arn, tags, err)
		}
	}
}
