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

// padded is allowPush with spaces, which do not count, and grown to the size in characters, which do.
func padded(characters int) string {
	return "\n\t " + strings.Replace(allowPush, "Push", strings.Repeat("P", characters-len(allowPush)+len("Push")), 1) + " \r\n"
}

func TestDocumentsAreLimitedAsIAMDoes(t *testing.T) {
	w := newWorld(t)
	w.user("bob")
	w.group("team")
	put := func(owner iam.Owner, name string, characters int) error {
		return w.service.PutInlinePolicy(w.ctx, w.pass(), owner, iam.InlinePolicy{Name: name, Document: padded(characters)})
	}
	w.ok(put(userNamed("bob"), "a", 2048))
	w.ok(put(userNamed("bob"), "a", 1000)) // in its place
	w.ok(put(userNamed("bob"), "b", 1048))
	w.refused(put(userNamed("bob"), "b", 1049), fault.Limit, "2048 bytes exceeded for user bob")
	w.ok(put(groupNamed("team"), "a", 5120))
	w.refused(put(groupNamed("team"), "b", 200), fault.Limit, "5120 bytes exceeded for group team")
	create := func(name string, characters int) error {
		_, err := w.service.CreatePolicy(w.ctx, w.pass(), iam.NewPolicy{Name: name, Document: padded(characters)})
		return err
	}
	w.ok(create("fits", 6144))
	w.refused(create("big", 6145), fault.Limit, "6144")
	for _, bad := range []string{"", "{", `{"Version":"2012-10-17"}`, allowPush + "x"} {
		err := w.service.PutInlinePolicy(w.ctx, w.pass(), userNamed("bob"), inline(bad))
		if f := fault.Of(err); f.Kind != fault.Invalid || f.Resource != "policy-document" {
			t.Errorf("%q: %v", bad, err)
		}
		_, err = w.service.CreatePolicy(w.ctx, w.pass(), iam.NewPolicy{Name: "bad", Document: bad})
		if f := fault.Of(err); f.Kind != fault.Invalid || f.Resource != "policy-document" {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestInlinePoliciesAreKeptAsGiven(t *testing.T) {
	w := newWorld(t)
	w.user("bob")
	given := "\n " + allowPush + "\t"
	w.ok(w.service.PutInlinePolicy(w.ctx, w.pass(), userNamed("bob"), inline(given)))
	got, err := w.service.InlinePolicy(w.ctx, w.pass(), userNamed("bob"), "access")
	w.ok(err)
	if got.Document != given {
		t.Errorf("%q", got.Document)
	}
	_, err = w.service.InlinePolicy(w.ctx, w.pass(), userNamed("bob"), "none")
	w.refused(err, fault.NotFound, "none")
	_, err = w.service.InlinePolicies(w.ctx, w.pass(), userNamed("eve"))
	w.refused(err, fault.NotFound, "eve")
	w.refused(w.service.PutInlinePolicy(w.ctx, w.pass(), groupNamed("none"), inline(allowPush)), fault.NotFound, "none")
	w.refused(w.service.DeleteInlinePolicy(w.ctx, w.pass(), userNamed("bob"), "none"), fault.NotFound, "none")
}

func TestVersionsOfAPolicy(t *testing.T) {
	w := newWorld(t)
	key := w.user("bob")
	p := w.policy("push", allowPush)
	w.ok(w.service.AttachPolicy(w.ctx, w.pass(), userNamed("bob"), p.ARN))
	may := func(want bool, why string) {
		t.Helper()
		if _, err := w.ask(key.ID, "", push, host); (err == nil) != want {
			t.Errorf("%s: %v", why, err)
		}
	}
	may(true, "v1 allows")
	v2, err := w.service.CreatePolicyVersion(w.ctx, w.pass(), p.ARN, denyPush, false)
	w.ok(err)
	may(true, "v2 is not the default")
	w.ok(w.service.SetDefaultPolicyVersion(w.ctx, w.pass(), p.ARN, v2.ID))
	may(false, "v2 is the default")
	w.refused(w.service.DeletePolicyVersion(w.ctx, w.pass(), p.ARN, "v2"), fault.InUse, "default version")
	v3, err := w.service.CreatePolicyVersion(w.ctx, w.pass(), p.ARN, allowPush, true)
	w.ok(err)
	may(true, "v3 was made the default")
	w.ok(w.service.DeletePolicyVersion(w.ctx, w.pass(), p.ARN, "v2"))
	for range 3 {
		_, err = w.service.CreatePolicyVersion(w.ctx, w.pass(), p.ARN, allowPush, false)
		w.ok(err)
	}
	_, err = w.service.CreatePolicyVersion(w.ctx, w.pass(), p.ARN, allowPush, false)
	w.refused(err, fault.Limit, "5 versions")
	versions, err := w.service.PolicyVersions(w.ctx, w.pass(), p.ARN)
	w.ok(err)
	var ids []string
	for _, v := range versions {
		ids = append(ids, v.ID)
		if v.Default != (v.ID == v3.ID) {
			t.Errorf("%s: default %v", v.ID, v.Default)
		}
	}
	if !slices.Equal(ids, []string{"v6", "v5", "v4", "v3", "v1"}) {
		t.Error(ids)
	}
	for _, bad := range []string{"", "v0", "3", "v-1", "v1 "} {
		w.refused(w.service.SetDefaultPolicyVersion(w.ctx, w.pass(), p.ARN, bad), fault.NotFound, "does not exist")
	}
	_, err = w.service.PolicyVersion(w.ctx, w.pass(), p.ARN, "v2")
	w.refused(err, fault.NotFound, "v2 does not exist")
	w.refused(w.service.DeletePolicy(w.ctx, w.pass(), p.ARN), fault.InUse, "attached")
	w.ok(w.service.DetachPolicy(w.ctx, w.pass(), userNamed("bob"), p.ARN))
	may(false, "detached")
	w.refused(w.service.DeletePolicy(w.ctx, w.pass(), p.ARN), fault.InUse, "more than one version")
	for _, id := range []string{"v1", "v4", "v5", "v6"} {
		w.ok(w.service.DeletePolicyVersion(w.ctx, w.pass(), p.ARN, id))
	}
	w.ok(w.service.DeletePolicy(w.ctx, w.pass(), p.ARN))
	_, err = w.service.Policy(w.ctx, w.pass(), p.ARN)
	w.refused(err, fault.NotFound, "push")
}

func TestAttachments(t *testing.T) {
	w := newWorld(t)
	w.user("bob")
	w.group("team")
	for i := range 10 {
		w.ok(w.service.AttachPolicy(w.ctx, w.pass(), userNamed("bob"), w.policy(fmt.Sprint("p", i), allowPush).ARN))
	}
	w.refused(w.service.AttachPolicy(w.ctx, w.pass(), userNamed("bob"), administrator), fault.Limit, "PoliciesPerUser: 10")
	p3 := "arn:aws:iam::111122223333:policy/p3"
	w.ok(w.service.AttachPolicy(w.ctx, w.pass(), userNamed("bob"), p3)) // is attached already
	w.ok(w.service.AttachPolicy(w.ctx, w.pass(), groupNamed("team"), p3))
	users, groups, err := w.service.PolicyOwners(w.ctx, w.pass(), p3)
	w.ok(err)
	if len(users) != 1 || users[0].Name != "bob" || len(groups) != 1 || groups[0].Name != "team" {
		t.Errorf("%+v %+v", users, groups)
	}
	p, err := w.service.Policy(w.ctx, w.pass(), p3)
	w.ok(err)
	if p.Attachments != 2 {
		t.Errorf("%d attachments", p.Attachments)
	}
	w.refused(w.service.DetachPolicy(w.ctx, w.pass(), groupNamed("team"), administrator), fault.NotFound, "AdministratorAccess")
	w.refused(w.service.AttachPolicy(w.ctx, w.pass(), groupNamed("none"), p3), fault.NotFound, "none")
	for _, arn := range []string{"arn:aws:iam::111122223333:policy/none", "arn:aws:iam::aws:policy/None", "arn:aws:iam::111122223333:policy/P3"} {
		w.refused(w.service.AttachPolicy(w.ctx, w.pass(), groupNamed("team"), arn), fault.NotFound, arn)
	}
	for _, arn := range []string{"", "p3", "arn:aws:iam::999999999999:policy/p3", "arn:aws:iam::111122223333:user/bob"} {
		w.refused(w.service.AttachPolicy(w.ctx, w.pass(), groupNamed("team"), arn), fault.Invalid, "is not valid")
	}
}

func TestAWSManagedPolicies(t *testing.T) {
	w := newWorld(t)
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
	ours := []string{"AdministratorAccess", "AmazonEC2ReadOnlyAccess", "EC2InstanceConnect", "IAMFullAccess", "ReadOnlyAccess"}
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
		w.refused(w.service.DeletePolicy(w.ctx, w.pass(), arn), fault.Denied, "AWS's own")
		_, err = w.service.CreatePolicyVersion(w.ctx, w.pass(), arn, allowPush, true)
		w.refused(err, fault.Denied, "AWS's own")
	}
	readOnly := "arn:aws:iam::aws:policy/ReadOnlyAccess"
	w.ok(w.service.AttachPolicy(w.ctx, w.pass(), userNamed("bob"), readOnly))
	if got := list(iam.PolicyFilter{OnlyAttached: true}); !slices.Equal(got, []string{"ReadOnlyAccess"}) {
		t.Error(got)
	}
	for action, want := range map[string]bool{"iam:ListUsers": true, "ec2:DescribeInstances": true, "cloudtrail:LookupEvents": true, "iam:CreateUser": false, push: false} {
		if _, err := w.ask(key.ID, "", action, "*"); (err == nil) != want {
			t.Errorf("%s: %v", action, err)
		}
	}
	attached, err := w.service.AttachedPolicies(w.ctx, w.pass(), userNamed("bob"), "")
	w.ok(err)
	if len(attached) != 1 || attached[0].ARN != readOnly || attached[0].Attachments != 1 {
		t.Errorf("%+v", attached)
	}
}
