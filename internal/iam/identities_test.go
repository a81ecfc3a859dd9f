package iam_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/internal/fault"
	"github.com/sallyport/sallyport/internal/iam"
)

func TestNamesAreOneWithoutRegardToCase(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		key := w.user("Bob")
		_, err := w.create(userNamed("bob"), "")
		w.refused(err, fault.Exists, "already exists")
		user, err := w.service.User(w.ctx, w.pass(), "BOB")
		w.ok(err)
		if user.Name != "Bob" || user.ARN != "arn:aws:iam::111122223333:user/Bob" {
			t.Errorf("%+v", user)
		}
		w.group("Team")
		_, err = w.create(groupNamed("TEAM"), "")
		w.refused(err, fault.Exists, "already exists")
		w.ok(w.do(w.service.AddMember, "team", "BOB"))
		w.ok(w.do(w.service.PutInlinePolicy, groupNamed("tEAM"), inline(allowPush)))
		_, err = w.ask(key.ID, "", push, host)
		w.ok(err)
		keys, err := w.service.AccessKeys(w.ctx, w.pass(), "bOB")
		w.ok(err)
		if len(keys) != 1 || keys[0].UserName != "Bob" {
			t.Errorf("%+v", keys)
		}
	})
}

func TestTagLimits(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.user("bob")
		tags := map[string]string{}
		for i := range 50 {
			tags[fmt.Sprint("k", i)] = "v"
		}
		tag := func(tags map[string]string) error { return w.do(w.service.Tag, userNamed("bob"), tags) }
		w.ok(tag(tags))
		w.refused(tag(map[string]string{"k50": "v"}), fault.Limit, "Cannot exceed quota for TagsPerUser: 50")
		w.ok(tag(map[string]string{"K49": "w"}))
		w.refused(tag(map[string]string{"AWS:x": ""}), fault.Invalid, "reserved")
	})
}

func TestTags(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.user("bob")
		w.ok(w.do(w.service.Tag, userNamed("bob"), map[string]string{"Team": "web", "Stage": "test"}))
		w.ok(w.do(w.service.Tag, userNamed("bob"), map[string]string{"team": "db"}))
		w.ok(w.do(w.service.Untag, userNamed("bob"), []string{"STAGE", "none"}))
		user, err := w.service.User(w.ctx, w.pass(), "bob")
		w.ok(err)
		if diff := cmp.Diff(map[string]string{"Team": "db"}, user.Tags); diff != "" {
			t.Error(diff)
		}
		tags, err := w.service.ResourceTags(w.ctx, user.ARN)
		w.ok(err)
		if diff := cmp.Diff(user.Tags, tags); diff != "" {
			t.Error(diff)
		}
		for _, arn := range []string{
			"*", "", "arn:aws:iam::111122223333:user/none", "arn:aws:iam::111122223333:group/g", "arn:aws:s3:::bucket",
			w.service.RootARN(), "arn:aws:iam::111122223333:policy/none",
		} {
			if tags, err := w.service.ResourceTags(w.ctx, arn); err != nil || len(tags) > 0 {
				t.Errorf("%s: %v %v", arn, tags, err)
			}
		}
	})
}

// A user who is renamed or moved keeps keys, groups and policies, and policies know the user by the new name at once.
func TestRenamedUserStaysTheSame(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		key := w.user("bob")
		w.user("eve")
		w.ok(w.do(w.service.PutInlinePolicy, userNamed("bob"), inline(allowPush)))
		before := w.as(key.ID).Identity()
		w.ok(w.do(w.service.Update, userNamed("bob"), "Robert", "/web/"))
		pass, err := w.ask(key.ID, "", push, host)
		w.ok(err)
		after := pass.Identity()
		if after.UserName != "Robert" || after.ARN != "arn:aws:iam::111122223333:user/web/Robert" ||
			after.PrincipalID != before.PrincipalID {
			t.Errorf("%+v", after)
		}
		w.refused(w.do(w.service.Update, userNamed("robert"), "EVE", ""), fault.Exists, "already exists")
		w.refused(w.do(w.service.Update, userNamed("bob"), "x", ""), fault.NotFound, "bob cannot be found")
		w.ok(w.do(w.service.Update, userNamed("robert"), "ROBERT", "")) // changes only the spelling
	})
}

func TestDeleteUserSaysWhatIsLeft(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		key := w.user("bob")
		w.group("team")
		w.ok(w.do(w.service.AddMember, "team", "bob"))
		w.ok(w.do(w.service.PutInlinePolicy, userNamed("bob"), inline(allowPush)))
		w.ok(w.do(w.service.AttachPolicy, userNamed("bob"), administrator))
		for _, left := range []struct {
			text   string
			remove func() error
		}{
			{"delete access keys", func() error { return w.do(w.service.DeleteAccessKey, "bob", key.ID) }},
			{"delete policies", func() error { return w.do(w.service.DeleteInlinePolicy, userNamed("bob"), "access") }},
			{"detach all policies", func() error { return w.do(w.service.DetachPolicy, userNamed("bob"), administrator) }},
			{"remove users from group", func() error { return w.do(w.service.RemoveMember, "team", "bob") }},
		} {
			w.refused(w.do(w.service.Delete, userNamed("bob")), fault.InUse, left.text)
			w.ok(left.remove())
		}
		w.ok(w.do(w.service.Delete, userNamed("bob")))
		w.refused(w.do(w.service.Delete, userNamed("bob")), fault.NotFound, "bob cannot be found")
	})
}

func TestDeleteGroupSaysWhatIsLeft(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.user("bob")
		w.group("team")
		w.ok(w.do(w.service.AddMember, "team", "bob"))
		w.ok(w.do(w.service.AddMember, "team", "bob"))
		w.ok(w.do(w.service.PutInlinePolicy, groupNamed("team"), inline(allowPush)))
		w.ok(w.do(w.service.AttachPolicy, groupNamed("team"), administrator))
		for _, remove := range []func() error{
			func() error { return w.do(w.service.RemoveMember, "team", "bob") },
			func() error { return w.do(w.service.DeleteInlinePolicy, groupNamed("team"), "access") },
			func() error { return w.do(w.service.DetachPolicy, groupNamed("team"), administrator) },
		} {
			w.refused(w.do(w.service.Delete, groupNamed("team")), fault.InUse, "Cannot delete entity")
			w.ok(remove())
		}
		w.refused(w.do(w.service.RemoveMember, "team", "bob"), fault.NotFound, "bob")
		w.ok(w.do(w.service.Delete, groupNamed("team")))
	})
}

func TestRenamedGroupKeepsItsMembers(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		key := w.user("bob")
		w.group("team")
		w.ok(w.do(w.service.AddMember, "team", "bob"))
		w.ok(w.do(w.service.PutInlinePolicy, groupNamed("team"), inline(allowPush)))
		w.ok(w.do(w.service.Update, groupNamed("team"), "crew", "/x/"))
		_, err := w.ask(key.ID, "", push, host)
		w.ok(err)
		group, members, err := w.service.Group(w.ctx, w.pass(), "CREW")
		w.ok(err)
		if group.ARN != "arn:aws:iam::111122223333:group/x/crew" || len(members) != 1 || members[0].Name != "bob" {
			t.Errorf("%+v %+v", group, members)
		}
		of, err := w.service.GroupsOf(w.ctx, w.pass(), "bob")
		w.ok(err)
		if diff := cmp.Diff([]iam.Identity{group}, of); diff != "" {
			t.Error(diff)
		}
	})
}

func TestAUserIsInTenGroupsAtMost(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.user("bob")
		for i := range 11 {
			w.group(fmt.Sprint("g", i))
		}
		for i := range 10 {
			w.ok(w.do(w.service.AddMember, fmt.Sprint("g", i), "bob"))
		}
		w.refused(w.do(w.service.AddMember, "g10", "bob"), fault.Limit, "GroupsPerUser: 10")
		w.ok(w.do(w.service.AddMember, "g3", "bob")) // already a member
	})
}

// Policies are asked about the ARN of a resource, however the request spells its name.
func TestARNsOfWhatARequestNames(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		_, err := w.create(userNamed("Ann"), "/admins/")
		w.ok(err)
		w.group("Team")
		key := w.key("ann")
		w.ok(w.do(w.service.Tag, userNamed("ann"), map[string]string{"team": "web"}))
		for owner, want := range map[iam.Owner]string{
			userNamed("ANN"):   "arn:aws:iam::111122223333:user/admins/Ann",
			userNamed("none"):  "arn:aws:iam::111122223333:user/none",
			userNamed("team"):  "arn:aws:iam::111122223333:user/team",
			groupNamed("team"): "arn:aws:iam::111122223333:group/Team",
			groupNamed("none"): "arn:aws:iam::111122223333:group/none",
		} {
			i, err := w.service.Asked(w.ctx, owner)
			w.ok(err)
			if i.ARN != want || i.Tags == nil || (i.Tags["team"] == "web") != (i.Name == "Ann") {
				t.Errorf("%v: %+v", owner, i)
			}
		}
		for id, want := range map[string]string{
			key.ID: "arn:aws:iam::111122223333:user/admins/Ann", w.root.ID: w.service.RootARN(), "AKIAAAAAAAAAAAAAAAAA": "*",
		} {
			i, err := w.service.AskedByKey(w.ctx, id)
			w.ok(err)
			if i.ARN != want || i.Tags == nil {
				t.Errorf("%s: %+v, want %s", id, i, want)
			}
		}
	})
}

func TestListsAreByNameAndPath(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		for _, kind := range []iam.OwnerKind{iam.OwnerUser, iam.OwnerGroup} {
			for name, path := range map[string]string{"c": "/x/", "B": "", "a": "/x/y/"} {
				_, err := w.create(iam.Owner{Kind: kind, Name: name}, path)
				w.ok(err)
			}
			for prefix, want := range map[string]string{"": "aBc", "/": "aBc", "/x/": "ac", "/x/y": "a", "/z/": ""} {
				found, err := w.service.Identities(w.ctx, w.pass(), kind, prefix)
				w.ok(err)
				got := ""
				for _, i := range found {
					got += i.Name
				}
				if got != want {
					t.Errorf("%ss with the prefix %q: %q, want %q", kind, prefix, got, want)
				}
			}
		}
	})
}

// A kind of identity that is not in the table of kinds is an error everywhere, and not an identity without rights or
// rules.
func TestThereAreNoOtherKinds(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		for _, owner := range []iam.Owner{{}, {Kind: "role", Name: "r"}, {Kind: "User", Name: "bob"}} {
			_, made := w.create(owner, "")
			_, asked := w.service.Asked(w.ctx, owner)
			_, listed := w.service.Identities(w.ctx, w.pass(), owner.Kind, "")
			for _, err := range []error{
				made, asked, listed, w.do(w.service.Delete, owner), w.do(w.service.AttachPolicy, owner, administrator),
				w.do(w.service.PutInlinePolicy, owner, inline(allowPush)),
			} {
				if !fault.Is(err, fault.Internal) {
					t.Errorf("%+v: got %v", owner, err)
				}
			}
			if name := owner.Kind.Type(); name != "" {
				t.Errorf("%+v is a %s", owner, name)
			}
		}
	})
}
