package iam_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/internal/fault"
	"github.com/sallyport/sallyport/internal/iam"
)

func TestNamesAreOneWithoutRegardToCase(t *testing.T) {
	w := newWorld(t)
	key := w.user("Bob")
	_, err := w.service.CreateUser(w.ctx, w.pass(), iam.NewUser{Name: "bob"})
	w.refused(err, fault.Exists, "already exists")
	user, err := w.service.User(w.ctx, w.pass(), "BOB")
	w.ok(err)
	if user.Name != "Bob" || user.ARN != "arn:aws:iam::111122223333:user/Bob" {
		t.Errorf("%+v", user)
	}
	w.group("Team")
	_, err = w.service.CreateGroup(w.ctx, w.pass(), "TEAM", "")
	w.refused(err, fault.Exists, "already exists")
	w.ok(w.service.AddMember(w.ctx, w.pass(), "team", "BOB"))
	w.ok(w.service.PutInlinePolicy(w.ctx, w.pass(), groupNamed("tEAM"), inline(allowPush)))
	_, err = w.ask(key.ID, "", push, host)
	w.ok(err)
	keys, err := w.service.AccessKeys(w.ctx, w.pass(), "bOB")
	w.ok(err)
	if len(keys) != 1 || keys[0].UserName != "Bob" {
		t.Errorf("%+v", keys)
	}
}

func TestTagLimits(t *testing.T) {
	w := newWorld(t)
	w.user("bob")
	tags := map[string]string{}
	for i := range 50 {
		tags[fmt.Sprint("k", i)] = "v"
	}
	w.ok(w.service.TagUser(w.ctx, w.pass(), "bob", tags))
	w.refused(w.service.TagUser(w.ctx, w.pass(), "bob", map[string]string{"k50": "v"}), fault.Limit, "Cannot exceed quota for TagsPerUser: 50")
	w.ok(w.service.TagUser(w.ctx, w.pass(), "bob", map[string]string{"K49": "w"}))
	w.refused(w.service.TagUser(w.ctx, w.pass(), "bob", map[string]string{"AWS:x": ""}), fault.Invalid, "reserved")
}

func TestTags(t *testing.T) {
	w := newWorld(t)
	w.user("bob")
	w.ok(w.service.TagUser(w.ctx, w.pass(), "bob", map[string]string{"Team": "web", "Stage": "test"}))
	w.ok(w.service.TagUser(w.ctx, w.pass(), "bob", map[string]string{"team": "db"}))
	w.ok(w.service.UntagUser(w.ctx, w.pass(), "bob", []string{"STAGE", "none"}))
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
	for _, arn := range []string{"*", "", "arn:aws:iam::111122223333:user/none", "arn:aws:iam::111122223333:group/g", "arn:aws:s3:::bucket"} {
		if tags, err := w.service.ResourceTags(w.ctx, arn); err != nil || len(tags) > 0 {
			t.Errorf("%s: %v %v", arn, tags, err)
		}
	}
}

// Whoever is renamed or moved keeps key, groups and policies, and is at once the new name to policies.
func TestRenamedUserStaysTheSame(t *testing.T) {
	w := newWorld(t)
	key := w.user("bob")
	w.user("eve")
	w.ok(w.service.PutInlinePolicy(w.ctx, w.pass(), userNamed("bob"), inline(allowPush)))
	before := w.as(key.ID).Identity()
	w.ok(w.service.UpdateUser(w.ctx, w.pass(), "bob", "Robert", "/web/"))
	pass, err := w.ask(key.ID, "", push, host)
	w.ok(err)
	after := pass.Identity()
	if after.UserName != "Robert" || after.ARN != "arn:aws:iam::111122223333:user/web/Robert" || after.PrincipalID != before.PrincipalID {
		t.Errorf("%+v", after)
	}
	w.refused(w.service.UpdateUser(w.ctx, w.pass(), "robert", "EVE", ""), fault.Exists, "already exists")
	w.refused(w.service.UpdateUser(w.ctx, w.pass(), "bob", "x", ""), fault.NotFound, "bob cannot be found")
	w.ok(w.service.UpdateUser(w.ctx, w.pass(), "robert", "ROBERT", "")) // only the spelling
}

func TestDeleteUserSaysWhatIsLeft(t *testing.T) {
	w := newWorld(t)
	key := w.user("bob")
	w.group("team")
	w.ok(w.service.AddMember(w.ctx, w.pass(), "team", "bob"))
	w.ok(w.service.PutInlinePolicy(w.ctx, w.pass(), userNamed("bob"), inline(allowPush)))
	w.ok(w.service.AttachPolicy(w.ctx, w.pass(), userNamed("bob"), administrator))
	for _, left := range []struct {
		text   string
		remove func() error
	}{
		{"delete access keys", func() error { return w.service.DeleteAccessKey(w.ctx, w.pass(), "bob", key.ID) }},
		{"delete policies", func() error { return w.service.DeleteInlinePolicy(w.ctx, w.pass(), userNamed("bob"), "access") }},
		{"detach all policies", func() error { return w.service.DetachPolicy(w.ctx, w.pass(), userNamed("bob"), administrator) }},
		{"remove users from group", func() error { return w.service.RemoveMember(w.ctx, w.pass(), "team", "bob") }},
	} {
		w.refused(w.service.DeleteUser(w.ctx, w.pass(), "bob"), fault.InUse, left.text)
		w.ok(left.remove())
	}
	w.ok(w.service.DeleteUser(w.ctx, w.pass(), "bob"))
	w.refused(w.service.DeleteUser(w.ctx, w.pass(), "bob"), fault.NotFound, "bob cannot be found")
}

func TestDeleteGroupSaysWhatIsLeft(t *testing.T) {
	w := newWorld(t)
	w.user("bob")
	w.group("team")
	w.ok(w.service.AddMember(w.ctx, w.pass(), "team", "bob"))
	w.ok(w.service.AddMember(w.ctx, w.pass(), "team", "bob"))
	w.ok(w.service.PutInlinePolicy(w.ctx, w.pass(), groupNamed("team"), inline(allowPush)))
	w.ok(w.service.AttachPolicy(w.ctx, w.pass(), groupNamed("team"), administrator))
	for _, remove := range []func() error{
		func() error { return w.service.RemoveMember(w.ctx, w.pass(), "team", "bob") },
		func() error { return w.service.DeleteInlinePolicy(w.ctx, w.pass(), groupNamed("team"), "access") },
		func() error { return w.service.DetachPolicy(w.ctx, w.pass(), groupNamed("team"), administrator) },
	} {
		w.refused(w.service.DeleteGroup(w.ctx, w.pass(), "team"), fault.InUse, "Cannot delete entity")
		w.ok(remove())
	}
	w.refused(w.service.RemoveMember(w.ctx, w.pass(), "team", "bob"), fault.NotFound, "bob")
	w.ok(w.service.DeleteGroup(w.ctx, w.pass(), "team"))
}

func TestRenamedGroupKeepsItsMembers(t *testing.T) {
	w := newWorld(t)
	key := w.user("bob")
	w.group("team")
	w.ok(w.service.AddMember(w.ctx, w.pass(), "team", "bob"))
	w.ok(w.service.PutInlinePolicy(w.ctx, w.pass(), groupNamed("team"), inline(allowPush)))
	w.ok(w.service.UpdateGroup(w.ctx, w.pass(), "team", "crew", "/x/"))
	_, err := w.ask(key.ID, "", push, host)
	w.ok(err)
	group, members, err := w.service.Group(w.ctx, w.pass(), "CREW")
	w.ok(err)
	if group.ARN != "arn:aws:iam::111122223333:group/x/crew" || len(members) != 1 || members[0].Name != "bob" {
		t.Errorf("%+v %+v", group, members)
	}
	of, err := w.service.GroupsOf(w.ctx, w.pass(), "bob")
	w.ok(err)
	if diff := cmp.Diff([]iam.Group{group}, of); diff != "" {
		t.Error(diff)
	}
}

func TestAUserIsInTenGroupsAtMost(t *testing.T) {
	w := newWorld(t)
	w.user("bob")
	for i := range 11 {
		w.group(fmt.Sprint("g", i))
	}
	for i := range 10 {
		w.ok(w.service.AddMember(w.ctx, w.pass(), fmt.Sprint("g", i), "bob"))
	}
	w.refused(w.service.AddMember(w.ctx, w.pass(), "g10", "bob"), fault.Limit, "GroupsPerUser: 10")
	w.ok(w.service.AddMember(w.ctx, w.pass(), "g3", "bob")) // is one already
}

// Policies are asked about the ARN something has, however the request spells its name.
func TestARNsOfWhatARequestNames(t *testing.T) {
	w := newWorld(t)
	_, err := w.service.CreateUser(w.ctx, w.pass(), iam.NewUser{Name: "Ann", Path: "/admins/"})
	w.ok(err)
	key := w.key("ann")
	arn, err := w.service.OwnerARN(w.ctx, userNamed("ANN"))
	w.ok(err)
	if arn != "arn:aws:iam::111122223333:user/admins/Ann" {
		t.Error(arn)
	}
	arn, err = w.service.OwnerARN(w.ctx, userNamed("none"))
	w.ok(err)
	if arn != "arn:aws:iam::111122223333:user/none" {
		t.Error(arn)
	}
	arn, err = w.service.MovedARN(w.ctx, userNamed("ann"), "", "anna")
	w.ok(err)
	if arn != "arn:aws:iam::111122223333:user/admins/anna" {
		t.Error(arn)
	}
	for id, want := range map[string]string{key.ID: "arn:aws:iam::111122223333:user/admins/Ann", w.root.ID: w.service.RootARN(), "AKIAAAAAAAAAAAAAAAAA": "*"} {
		arn, err = w.service.KeyOwnerARN(w.ctx, id)
		w.ok(err)
		if arn != want {
			t.Errorf("%s: %s, want %s", id, arn, want)
		}
	}
}

func TestListsAreByNameAndPath(t *testing.T) {
	w := newWorld(t)
	for _, u := range []iam.NewUser{{Name: "c", Path: "/x/"}, {Name: "B"}, {Name: "a", Path: "/x/y/"}} {
		_, err := w.service.CreateUser(w.ctx, w.pass(), u)
		w.ok(err)
	}
	for prefix, want := range map[string]string{"": "aBc", "/": "aBc", "/x/": "ac", "/x/y": "a", "/z/": ""} {
		users, err := w.service.Users(w.ctx, w.pass(), prefix)
		w.ok(err)
		got := ""
		for _, u := range users {
			got += u.Name
		}
		if got != want {
			t.Errorf("prefix %q: %q, want %q", prefix, got, want)
		}
	}
}
