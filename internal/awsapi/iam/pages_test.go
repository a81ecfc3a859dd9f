package iam_test

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A page begins after the key of the last item of the page before. So the domain's order and the order of the keys
// must be the same, whatever letters names have. Names of inline policies were once listed without regard to case,
// but cut with regard to it.
func TestPagesOfOneAreTheWhole(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		names := []string{"beta", "Alpha", "alpha_2", "alpha-3", "alpha.4", "Gamma", "delta", "al"}
		valuesOf := func(name string) map[string]any {
			return map[string]any{
				"UserName": name, "GroupName": name, "PolicyName": name, "PolicyDocument": allowPush,
				"PolicyArn": "arn:aws:iam::111122223333:policy/" + name, "Tags": tagsOf(name, "x"),
			}
		}
		for _, name := range names {
			w.step("CreateUser", valuesOf(name))
			w.step("CreateGroup", valuesOf(name))
			w.step("CreatePolicy", valuesOf(name))
		}
		for i, name := range names {
			for _, at := range []map[string]any{
				{"UserName": name, "GroupName": "Alpha"}, {"UserName": "Alpha", "GroupName": name},
			} {
				for key, value := range valuesOf(name) {
					if at[key] == nil {
						at[key] = value
					}
				}
				w.step("AddUserToGroup", at)
				w.step("TagUser", at)
				w.step("PutUserPolicy", at)
				w.step("PutGroupPolicy", at)
				w.step("AttachUserPolicy", at)
				w.step("AttachGroupPolicy", at)
				at["PolicyArn"] = "arn:aws:iam::111122223333:policy/Alpha"
				w.step("AttachUserPolicy", at)
				w.step("AttachGroupPolicy", at)
			}
			if i < 2 {
				w.step("CreateAccessKey", map[string]any{"UserName": "Alpha"})
			}
		}
		// The account has a policy with the name of one of AWS's.
		w.step("CreatePolicy", map[string]any{"PolicyName": "readonlyaccess", "PolicyDocument": allowPush})
		for _, arn := range []string{
			"arn:aws:iam::aws:policy/ReadOnlyAccess", "arn:aws:iam::111122223333:policy/readonlyaccess",
		} {
			policy := map[string]any{"PolicyArn": arn, "UserName": "Alpha", "GroupName": "Alpha"}
			w.step("AttachUserPolicy", policy)
			w.step("AttachGroupPolicy", policy)
		}
		versions := map[string]any{"PolicyArn": "arn:aws:iam::111122223333:policy/Alpha", "PolicyDocument": allowPush}
		for n := 2; n <= 11; n++ {
			w.step("CreatePolicyVersion", versions)
			if n > 2 && n < 9 {
				w.step("DeletePolicyVersion", map[string]any{"PolicyArn": versions["PolicyArn"], "VersionId": fmt.Sprint("v", n)})
			}
		}

		subject := map[string]any{"UserName": "Alpha", "GroupName": "Alpha", "PolicyArn": versions["PolicyArn"]}
		for name, least := range map[string]int{
			"ListUsers": 8, "ListUserTags": 8, "ListGroups": 8, "GetGroup": 8, "ListGroupsForUser": 8,
			"ListUserPolicies": 8, "ListGroupPolicies": 8, "ListPolicies": 10, "ListPolicyVersions": 5, "ListAccessKeys": 2,
			"ListAttachedUserPolicies": 10, "ListAttachedGroupPolicies": 10, "ListEntitiesForPolicy": 16,
		} {
			whole, _ := w.page(name, subject, 1000, "")
			var pages []string
			for marker, more := "", true; more && len(pages) <= len(whole); more = marker != "" {
				var page []string
				page, marker = w.page(name, subject, 1, marker)
				pages = append(pages, page...)
			}
			slices.Sort(pages) // ListEntitiesForPolicy answers in several lists
			slices.Sort(whole)
			if diff := cmp.Diff(whole, pages); diff != "" || len(whole) < least {
				t.Errorf("%s: %d items, and page by page (-whole +pages)\n%s", name, len(whole), diff)
			}
		}
	})
}

// A marker holds the key of the last item. For policies with the longest names and paths it was once longer than a
// marker may be, and the second page could not be read.
func TestPagesOfTheLongestNames(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		long := strings.Repeat("x", 127)
		for _, last := range []string{"1", "2", "3"} {
			w.step("CreatePolicy", map[string]any{
				"PolicyName": long + last, "PolicyDocument": allowPush, "Path": "/" + strings.Repeat("p", 510) + "/",
			})
		}
		found := 0
		for marker, more := "", true; more; more = marker != "" {
			var items []string
			items, marker = w.page("ListPolicies", map[string]any{"Scope": "Local"}, 1, marker)
			found += len(items)
		}
		if found != 3 {
			t.Errorf("%d policies were found, want 3", found)
		}
	})
}

// page calls a listing. It returns the items as text, and the marker of the next page.
func (w *world) page(name string, values map[string]any, size int, marker string) (items []string, next string) {
	w.Helper()
	given := map[string]any{"MaxItems": int32(size)}
	if marker != "" {
		given["Marker"] = marker
	}
	for key, value := range values {
		given[key] = value
	}
	out := w.step(name, given)
	for i := range out.NumField() {
		field := out.Field(i)
		if field.Kind() != reflect.Slice {
			continue
		}
		for j := range field.Len() {
			text, err := json.Marshal(field.Index(j).Interface())
			w.ok(err)
			items = append(items, out.Type().Field(i).Name+" "+string(text))
		}
	}
	if m := out.FieldByName("Marker"); !m.IsNil() {
		next = strings.Clone(m.Elem().String())
	}
	return items, next
}
