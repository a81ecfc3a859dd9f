package iam_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/internal/fault"
	"github.com/sallyport/sallyport/internal/iam"
	"github.com/sallyport/sallyport/internal/policy"
)

// padded returns allowPush with spaces, which do not count, extended to the number of characters, which do.
func padded(characters int) string {
	name := strings.Repeat("P", characters-len(allowPush)+len("Push"))
	return "\n\t " + strings.Replace(allowPush, "Push", name, 1) + " \r\n"
}

func TestDocumentsAreLimitedAsIAMDoes(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.user("bob")
		w.group("team")
		put := func(owner iam.Owner, name string, characters int) error {
			return w.do(w.service.PutInlinePolicy, owner, iam.InlinePolicy{Name: name, Document: padded(characters)})
		}
		w.ok(put(userNamed("bob"), "A", 2048))
		w.ok(put(userNamed("bob"), "a", 1000)) // replaces it
		w.ok(put(userNamed("bob"), "b", 1048))
		w.refused(put(userNamed("bob"), "b", 1049), fault.Limit, "2048 bytes exceeded for user bob")
		w.ok(put(groupNamed("team"), "a", 5120))
		w.refused(put(groupNamed("team"), "b", 200), fault.Limit, "5120 bytes exceeded for group team")
		create := func(name string, characters int) error {
			return w.do(w.service.CreatePolicy, iam.NewPolicy{Name: name, Document: padded(characters)})
		}
		w.ok(create("fits", 6144))
		w.refused(create("big", 6145), fault.Limit, "6144")
		for _, bad := range []string{"", "{", `{"Version":"2012-10-17"}`, allowPush + "x"} {
			err := w.do(w.service.PutInlinePolicy, userNamed("bob"), inline(bad))
			if f := fault.Of(err); f.Kind != fault.Invalid || f.Subject.String() != "policy-document" {
				t.Errorf("%q: %v", bad, err)
			}
			err = w.do(w.service.CreatePolicy, iam.NewPolicy{Name: "bad", Document: bad})
			if f := fault.Of(err); f.Kind != fault.Invalid || f.Subject.String() != "policy-document" {
				t.Errorf("%q: %v", bad, err)
			}
		}
	})
}

func TestInlinePoliciesAreKeptAsGiven(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.user("bob")
		given := "\n " + allowPush + "\t"
		w.ok(w.do(w.service.PutInlinePolicy, userNamed("bob"), inline(given)))
		got, err := w.service.InlinePolicy(w.ctx, w.pass(), userNamed("bob"), "access")
		w.ok(err)
		if got.Document != given {
			t.Errorf("%q", got.Document)
		}
		_, err = w.service.InlinePolicy(w.ctx, w.pass(), userNamed("bob"), "none")
		w.refused(err, fault.NotFound, "none")
		_, err = w.service.InlinePolicies(w.ctx, w.pass(), userNamed("eve"))
		w.refused(err, fault.NotFound, "eve")
		w.refused(w.do(w.service.PutInlinePolicy, groupNamed("none"), inline(allowPush)), fault.NotFound, "none")
		w.refused(w.do(w.service.DeleteInlinePolicy, userNamed("bob"), "none"), fault.NotFound, "none")
	})
}

func TestVersionsOfAPolicy(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		key := w.user("bob")
		p := w.policy("push", allowPush)
		w.ok(w.do(w.service.AttachPolicy, userNamed("bob"), p.ARN))
		may := func(want bool, why string) {
			t.Helper()
			if _, err := w.ask(key.ID, "", push, host); (err == nil) != want {
				t.Errorf("%s: %v", why, err)
			}
		}
		may(true, "v1 allows")
		add := func(document string, makeDefault bool) (string, error) {
			v, err := made[iam.PolicyVersion](w, w.pass(), w.service.CreatePolicyVersion, p.ARN, document, makeDefault)
			return v.ID(), err
		}
		v2, err := add(denyPush, false)
		w.ok(err)
		may(true, "v2 is not the default")
		w.ok(w.do(w.service.SetDefaultPolicyVersion, p.ARN, v2))
		may(false, "v2 is the default")
		w.refused(w.do(w.service.DeletePolicyVersion, p.ARN, "v2"), fault.InUse, "default version")
		_, err = add(allowPush, true)
		w.ok(err)
		may(true, "v3 was made the default")
		w.ok(w.do(w.service.DeletePolicyVersion, p.ARN, "v2"))
		for range 3 {
			_, err = add(allowPush, false)
			w.ok(err)
		}
		_, err = add(allowPush, false)
		w.refused(err, fault.Limit, "5 versions")
		versions, err := w.service.PolicyVersions(w.ctx, w.pass(), p.ARN)
		w.ok(err)
		var ids []string
		for _, v := range versions {
			id := v.ID()
			if v.Default {
				id += "*"
			}
			ids = append(ids, id)
		}
		if !slices.Equal(ids, []string{"v6", "v5", "v4", "v3*", "v1"}) {
			t.Error(ids)
		}
		updated, err := w.service.Policy(w.ctx, w.pass(), p.ARN)
		w.ok(err)
		if updated.DefaultVersion != "v3" || updated.Updated.Before(p.Updated) {
			t.Errorf("%+v", updated)
		}
		for _, bad := range []string{"", "v0", "3", "v-1", "v1 ", "v01", "v2", "v7"} {
			w.refused(w.do(w.service.SetDefaultPolicyVersion, p.ARN, bad), fault.NotFound, "does not exist")
			w.refused(w.do(w.service.DeletePolicyVersion, p.ARN, bad), fault.NotFound, "does not exist")
		}
		_, err = w.service.PolicyVersion(w.ctx, w.pass(), p.ARN, "v2")
		w.refused(err, fault.NotFound, "v2 does not exist")
		w.refused(w.do(w.service.DeletePolicy, p.ARN), fault.InUse, "attached")
		w.ok(w.do(w.service.DetachPolicy, userNamed("bob"), p.ARN))
		may(false, "detached")
		w.refused(w.do(w.service.DeletePolicy, p.ARN), fault.InUse, "more than one version")
		for _, id := range []string{"v1", "v4", "v5", "v6"} {
			w.ok(w.do(w.service.DeletePolicyVersion, p.ARN, id))
		}
		w.ok(w.do(w.service.DeletePolicy, p.ARN))
		_, err = w.service.Policy(w.ctx, w.pass(), p.ARN)
		w.refused(err, fault.NotFound, "push")
	})
}

func TestAttachments(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.user("bob")
		w.group("team")
		for i := range 10 {
			w.ok(w.do(w.service.AttachPolicy, userNamed("bob"), w.policy(fmt.Sprint("p", i), allowPush).ARN))
		}
		w.refused(w.do(w.service.AttachPolicy, userNamed("bob"), administrator), fault.Limit, "PoliciesPerUser: 10")
		p3 := "arn:aws:iam::111122223333:policy/p3"
		w.ok(w.do(w.service.AttachPolicy, userNamed("bob"), p3)) // already attached
		w.ok(w.do(w.service.AttachPolicy, groupNamed("team"), p3))
		owners, err := w.service.PolicyOwners(w.ctx, w.pass(), p3)
		w.ok(err)
		if len(owners) != 2 || owners[0].Owner != groupNamed("team") || owners[1].Owner != userNamed("bob") {
			t.Errorf("%+v", owners)
		}
		p, err := w.service.Policy(w.ctx, w.pass(), p3)
		w.ok(err)
		if p.Attachments != 2 {
			t.Errorf("%d attachments", p.Attachments)
		}
		w.refused(w.do(w.service.DetachPolicy, groupNamed("team"), administrator), fault.NotFound, "AdministratorAccess")
		w.refused(w.do(w.service.AttachPolicy, groupNamed("none"), p3), fault.NotFound, "none")
		for _, arn := range []string{
			"arn:aws:iam::111122223333:policy/none", "arn:aws:iam::aws:policy/None", "arn:aws:iam::111122223333:policy/P3",
		} {
			w.refused(w.do(w.service.AttachPolicy, groupNamed("team"), arn), fault.NotFound, arn)
		}
		for _, arn := range []string{
			"", "p3", "arn:aws:iam::999999999999:policy/p3", "arn:aws:iam::111122223333:user/bob",
		} {
			w.refused(w.do(w.service.AttachPolicy, groupNamed("team"), arn), fault.Invalid, "is not valid")
		}
	})
}

// Another user's policy may have the same name in another case, and a user's policy is not a group's of the same name.
func TestPoliciesAreTheirOwners(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.policy("Read", allowPush)
		err := w.do(w.service.CreatePolicy, iam.NewPolicy{Name: "READ", Document: allowPush})
		w.refused(err, fault.Exists, "A policy called READ already exists. Duplicate names are not allowed.")
		w.user("same")
		w.group("same")
		put := func(owner iam.Owner, name, document string) {
			w.Helper()
			w.ok(w.do(w.service.PutInlinePolicy, owner, iam.InlinePolicy{Name: name, Document: document}))
		}
		put(userNamed("Same"), "b", allowPush)
		put(userNamed("same"), "A", allowPush)
		put(userNamed("same"), "B", denyPush) // replaces b
		put(groupNamed("same"), "b", allowPush)
		for owner, want := range map[iam.Owner][]iam.InlinePolicy{
			userNamed("same"):  {{Name: "A", Document: allowPush}, {Name: "B", Document: denyPush}},
			groupNamed("SAME"): {{Name: "b", Document: allowPush}},
		} {
			got, err := w.service.InlinePolicies(w.ctx, w.pass(), owner)
			w.ok(err)
			if !slices.Equal(got, want) {
				t.Errorf("%v: %+v", owner, got)
			}
		}
		w.ok(w.do(w.service.DeleteInlinePolicy, groupNamed("same"), "B"))
		w.refused(w.do(w.service.DeleteInlinePolicy, groupNamed("same"), "b"),
			fault.NotFound, "The group policy with name b cannot be found.")
	})
}

func TestAWSManagedPolicies(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		key := w.user("bob")
		local := w.policy("Zed", allowPush)
		list := func(filter iam.PolicyFilter) (names []string) {
			t.Helper()
			policies, err := w.service.Policies(w.ctx, w.pass(), filter)
			w.ok(err)
			for _, p := range policies {
				names = append(names, p.Name)
				if p.DefaultVersion != "v1" || p.ID == "" || p.Created.IsZero() {
					t.Errorf("%+v", p)
				}
			}
			return names
		}
		ours := []string{
			"AdministratorAccess", "AmazonEC2ReadOnlyAccess", "EC2InstanceConnect", "IAMFullAccess", "ReadOnlyAccess",
		}
		if got := list(iam.PolicyFilter{Scope: iam.AWSPolicies}); !slices.Equal(got, ours) {
			t.Error(got)
		}
		if got := list(iam.PolicyFilter{}); !slices.Equal(got, append(ours, local.Name)) {
			t.Error(got)
		}
		if got := list(iam.PolicyFilter{Scope: iam.LocalPolicies}); !slices.Equal(got, []string{local.Name}) {
			t.Error(got)
		}
		for _, name := range ours {
			arn := "arn:aws:iam::aws:policy/" + name
			version, err := w.service.PolicyVersion(w.ctx, w.pass(), arn, "v1")
			w.ok(err)
			if _, err := policy.Parse(version.Document); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			w.refused(w.do(w.service.DeletePolicy, arn), fault.Denied, "AWS's own")
			w.refused(w.do(w.service.CreatePolicyVersion, arn, allowPush, true), fault.Denied, "AWS's own")
		}
		readOnly := "arn:aws:iam::aws:policy/ReadOnlyAccess"
		w.ok(w.do(w.service.AttachPolicy, userNamed("bob"), readOnly))
		if got := list(iam.PolicyFilter{OnlyAttached: true}); !slices.Equal(got, []string{"ReadOnlyAccess"}) {
			t.Error(got)
		}
		for action, want := range map[string]bool{
			"iam:ListUsers": true, "ec2:DescribeInstances": true, "cloudtrail:LookupEvents": true,
			"iam:CreateUser": false, push: false,
		} {
			if _, err := w.ask(key.ID, "", action, "*"); (err == nil) != want {
				t.Errorf("%s: %v", action, err)
			}
		}
		attached, err := w.service.AttachedPolicies(w.ctx, w.pass(), userNamed("bob"), "")
		w.ok(err)
		if len(attached) != 1 || attached[0].ARN != readOnly || attached[0].Attachments != 1 {
			t.Errorf("%+v", attached)
		}
	})
}
