package storetest

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sallyport/sallyport/internal/fault"
	"github.com/sallyport/sallyport/internal/iam"
	"github.com/sallyport/sallyport/internal/policy"
	"github.com/sallyport/sallyport/internal/trail"
)

func iamTests() []test {
	return []test{
		{"Users", users},
		{"DeleteUserRefuses", deleteUserRefuses},
		{"Groups", groups},
		{"InlinePolicies", inlinePolicies},
		{"Policies", policies},
		{"PolicyVersions", policyVersions},
		{"Attachments", attachments},
		{"AccessKeys", accessKeys},
		{"TouchAccessKey", touchAccessKey},
		{"Credential", credential},
		{"Sessions", sessions},
	}
}

func (b *bench) user(name string) iam.User {
	n := b.number()
	return iam.User{ID: fmt.Sprintf("AIDA%d", n), Name: name, Path: "/", ARN: "arn:aws:iam::123456789012:user/" + name, Created: b.at(int(n))}
}

func (b *bench) group(name string) iam.Group {
	n := b.number()
	return iam.Group{ID: fmt.Sprintf("AGPA%d", n), Name: name, Path: "/", ARN: "arn:aws:iam::123456789012:group/" + name, Created: b.at(int(n))}
}

func (b *bench) policy(name string) iam.ManagedPolicy {
	n := b.number()
	return iam.ManagedPolicy{ID: fmt.Sprintf("ANPA%d", n), Name: name, Path: "/", ARN: "arn:aws:iam::123456789012:policy/" + name,
		Description: "of " + name, DefaultVersion: "v1", Created: b.at(int(n)), Updated: b.at(int(n))}
}

func (b *bench) version(document string) iam.PolicyVersion {
	return iam.PolicyVersion{ID: "v1", Document: document, Created: b.at(int(b.number()))}
}

func (b *bench) key(user string) iam.AccessKey {
	n := b.number()
	return iam.AccessKey{ID: fmt.Sprintf("AKIA%d", n), UserName: user, Secret: []byte{0, 1, 0xff, byte(n)}, Active: true, Created: b.at(int(n))}
}

func (b *bench) addUser(name string) iam.User {
	b.Helper()
	u := b.user(name)
	b.ok(b.CreateUser(b.Context(), u, b.event("CreateUser")))
	return u
}

func (b *bench) addGroup(name string) iam.Group {
	b.Helper()
	g := b.group(name)
	b.ok(b.CreateGroup(b.Context(), g, b.event("CreateGroup")))
	return g
}

func (b *bench) addPolicy(name, document string) iam.ManagedPolicy {
	b.Helper()
	p := b.policy(name)
	b.ok(b.CreatePolicy(b.Context(), p, b.version(document), b.event("CreatePolicy")))
	return p
}

func (b *bench) addKey(user string) iam.AccessKey {
	b.Helper()
	k := b.key(user)
	b.ok(b.CreateAccessKey(b.Context(), k, b.event("CreateAccessKey")))
	return k
}

func users(b *bench) {
	ctx := b.Context()
	mina := b.user("Mina")
	mina.Path, mina.Tags = "/eng/", map[string]string{"team": "core", "Unterlänge": ""}
	b.ok(b.CreateUser(ctx, mina, b.event("CreateUser")))
	b.fails(b.CreateUser(ctx, b.user("mINA"), b.event("Refused")), fault.Exists, "user", "User with name mINA already exists.")
	bob := b.addUser("bob")
	zoe := b.addUser("Zoe")

	got, err := b.User(ctx, "mina")
	b.ok(err)
	b.same(got, mina)
	_, err = b.User(ctx, "nobody")
	b.fails(err, fault.NotFound, "user", "The user with name nobody cannot be found.")
	all, err := b.Users(ctx, "/")
	b.ok(err)
	b.same(all, []iam.User{bob, mina, zoe})
	some, err := b.Users(ctx, "/eng/")
	b.ok(err)
	b.same(some, []iam.User{mina})

	renamed := mina
	renamed.ID, renamed.Name, renamed.Path, renamed.ARN, renamed.Tags = "AIDAOTHER", "MINA", "/ops/", "arn:new", nil
	b.ok(b.UpdateUser(ctx, "mina", renamed, b.event("UpdateUser")))
	got, err = b.User(ctx, "mina")
	b.ok(err)
	renamed.ID = mina.ID
	b.same(got, renamed)
	b.fails(b.UpdateUser(ctx, "mina", bob, b.event("Refused")), fault.Exists, "user", "User with name bob already exists.")
	b.fails(b.UpdateUser(ctx, "nobody", bob, b.event("Refused")), fault.NotFound, "user")

	b.ok(b.DeleteUser(ctx, "MINA", b.event("DeleteUser")))
	b.fails(b.DeleteUser(ctx, "MINA", b.event("Refused")), fault.NotFound, "user")
	b.recorded("CreateUser", "CreateUser", "CreateUser", "UpdateUser", "DeleteUser")
}

func deleteUserRefuses(b *bench) {
	ctx := b.Context()
	b.addUser("mina")
	b.addGroup("eng")
	b.addPolicy("p", "{}")
	owner := iam.Owner{Kind: iam.OwnerUser, Name: "mina"}
	refused := func(message string) {
		b.Helper()
		b.fails(b.DeleteUser(ctx, "mina", b.event("Refused")), fault.InUse, "user", "Cannot delete entity, must "+message+" first.")
	}
	key := b.addKey("mina")
	refused("delete access keys")
	b.ok(b.DeleteAccessKey(ctx, "mina", key.ID, b.event("e")))
	b.ok(b.PutInlinePolicy(ctx, owner, iam.InlinePolicy{Name: "i", Document: "{}"}, b.event("e")))
	refused("delete policies")
	b.ok(b.DeleteInlinePolicy(ctx, owner, "i", b.event("e")))
	b.ok(b.AttachPolicy(ctx, owner, "arn:aws:iam::123456789012:policy/p", b.event("e")))
	refused("detach all policies")
	b.ok(b.DetachPolicy(ctx, owner, "arn:aws:iam::123456789012:policy/p", b.event("e")))
	b.ok(b.AddMember(ctx, "eng", "mina", b.event("e")))
	refused("remove users from group")
	b.fails(b.DeleteGroup(ctx, "eng", b.event("Refused")), fault.InUse, "group", "Cannot delete entity, must remove users from group first.")
	b.ok(b.RemoveMember(ctx, "eng", "mina", b.event("e")))
	b.ok(b.DeleteUser(ctx, "mina", b.event("e")))
}

func groups(b *bench) {
	ctx := b.Context()
	eng := b.addGroup("Eng")
	b.fails(b.CreateGroup(ctx, b.group("eng"), b.event("Refused")), fault.Exists, "group", "Group with name eng already exists.")
	ops := b.group("ops")
	ops.Path = "/x/"
	b.ok(b.CreateGroup(ctx, ops, b.event("CreateGroup")))
	mina, bob := b.addUser("mina"), b.addUser("Bob")

	got, err := b.Group(ctx, "ENG")
	b.ok(err)
	b.same(got, eng)
	_, err = b.Group(ctx, "none")
	b.fails(err, fault.NotFound, "group", "The group with name none cannot be found.")
	all, err := b.Groups(ctx, "/")
	b.ok(err)
	b.same(all, []iam.Group{eng, ops})
	some, err := b.Groups(ctx, "/x/")
	b.ok(err)
	b.same(some, []iam.Group{ops})

	b.ok(b.AddMember(ctx, "eng", "MINA", b.event("e")))
	b.ok(b.AddMember(ctx, "eng", "mina", b.event("e")))
	b.ok(b.AddMember(ctx, "eng", "bob", b.event("e")))
	b.ok(b.AddMember(ctx, "ops", "mina", b.event("e")))
	b.fails(b.AddMember(ctx, "none", "mina", b.event("e")), fault.NotFound, "group")
	b.fails(b.AddMember(ctx, "eng", "none", b.event("e")), fault.NotFound, "user")
	members, err := b.Members(ctx, "eng")
	b.ok(err)
	b.same(members, []iam.User{bob, mina})
	_, err = b.Members(ctx, "none")
	b.fails(err, fault.NotFound, "group")
	of, err := b.GroupsOf(ctx, "mina")
	b.ok(err)
	b.same(of, []iam.Group{eng, ops})
	_, err = b.GroupsOf(ctx, "none")
	b.fails(err, fault.NotFound, "user")

	dev := eng
	dev.Name, dev.ARN = "dev", "arn:dev"
	b.ok(b.UpdateGroup(ctx, "eng", dev, b.event("e")))
	b.fails(b.UpdateGroup(ctx, "dev", ops, b.event("e")), fault.Exists, "group")
	of, err = b.GroupsOf(ctx, "mina")
	b.ok(err)
	b.same(of, []iam.Group{dev, ops})

	b.ok(b.RemoveMember(ctx, "ops", "mina", b.event("e")))
	b.fails(b.RemoveMember(ctx, "ops", "mina", b.event("e")), fault.NotFound, "membership")
	b.ok(b.DeleteGroup(ctx, "ops", b.event("e")))
	b.fails(b.DeleteGroup(ctx, "ops", b.event("e")), fault.NotFound, "group")
}

func inlinePolicies(b *bench) {
	ctx := b.Context()
	b.addUser("same")
	b.addGroup("same")
	user, group := iam.Owner{Kind: iam.OwnerUser, Name: "Same"}, iam.Owner{Kind: iam.OwnerGroup, Name: "same"}
	b.ok(b.PutInlinePolicy(ctx, user, iam.InlinePolicy{Name: "b", Document: "1"}, b.event("e")))
	b.ok(b.PutInlinePolicy(ctx, user, iam.InlinePolicy{Name: "A", Document: "2"}, b.event("e")))
	b.ok(b.PutInlinePolicy(ctx, user, iam.InlinePolicy{Name: "B", Document: "3"}, b.event("e")))
	b.ok(b.PutInlinePolicy(ctx, group, iam.InlinePolicy{Name: "b", Document: "4"}, b.event("e")))
	b.fails(b.PutInlinePolicy(ctx, iam.Owner{Kind: iam.OwnerGroup, Name: "none"}, iam.InlinePolicy{}, b.event("e")), fault.NotFound, "group")
	all, err := b.InlinePolicies(ctx, user)
	b.ok(err)
	b.same(all, []iam.InlinePolicy{{Name: "A", Document: "2"}, {Name: "B", Document: "3"}})
	one, err := b.InlinePolicy(ctx, group, "b")
	b.ok(err)
	b.same(one.Document, "4")
	b.fails(b.DeleteGroup(ctx, "same", b.event("e")), fault.InUse, "group", "Cannot delete entity, must delete policies first.")
	b.ok(b.DeleteInlinePolicy(ctx, group, "B", b.event("e")))
	b.fails(b.DeleteInlinePolicy(ctx, group, "b", b.event("e")), fault.NotFound, "policy", "The group policy with name b cannot be found.")
	_, err = b.InlinePolicy(ctx, user, "c")
	b.fails(err, fault.NotFound, "policy", "The user policy with name c cannot be found.")
	_, err = b.InlinePolicies(ctx, iam.Owner{Kind: iam.OwnerUser, Name: "none"})
	b.fails(err, fault.NotFound, "user")
}

func policies(b *bench) {
	ctx := b.Context()
	p := b.policy("Read")
	p.Tags = map[string]string{"k": "v"}
	b.ok(b.CreatePolicy(ctx, p, b.version("first"), b.event("e")))
	again := b.policy("READ")
	b.fails(b.CreatePolicy(ctx, again, b.version("x"), b.event("e")), fault.Exists, "policy", "A policy called READ already exists. Duplicate names are not allowed.")
	got, err := b.Policy(ctx, p.ARN)
	b.ok(err)
	b.same(got, p)
	_, err = b.Policy(ctx, again.ARN)
	b.fails(err, fault.NotFound, "policy")
	a := b.policy("a")
	a.Path = "/x/"
	b.ok(b.CreatePolicy(ctx, a, b.version("x"), b.event("e")))
	all, err := b.Policies(ctx, "/")
	b.ok(err)
	slices.SortFunc(all, func(a, b iam.ManagedPolicy) int {
		return strings.Compare(policy.Fold(a.Name), policy.Fold(b.Name))
	})
	b.same(all, []iam.ManagedPolicy{a, p})
	some, err := b.Policies(ctx, "/x/")
	b.ok(err)
	b.same(some, []iam.ManagedPolicy{a})

	b.addUser("mina")
	b.ok(b.AttachPolicy(ctx, iam.Owner{Kind: iam.OwnerUser, Name: "mina"}, p.ARN, b.event("e")))
	b.fails(b.DeletePolicy(ctx, p.ARN, b.event("e")), fault.InUse, "policy", "Cannot delete a policy attached to entities.")
	b.ok(b.DetachPolicy(ctx, iam.Owner{Kind: iam.OwnerUser, Name: "mina"}, p.ARN, b.event("e")))
	b.ok(b.DeletePolicy(ctx, p.ARN, b.event("e")))
	b.fails(b.DeletePolicy(ctx, p.ARN, b.event("e")), fault.NotFound, "policy")
	b.ok(b.CreatePolicy(ctx, p, b.version("anew"), b.event("e")))
}

func policyVersions(b *bench) {
	ctx := b.Context()
	p := b.addPolicy("p", "1")
	add := func(document string, makeDefault bool) (iam.PolicyVersion, error) {
		return b.CreatePolicyVersion(ctx, p.ARN, b.version(document), makeDefault, func(v iam.PolicyVersion) trail.Event {
			return b.event("CreatePolicyVersion " + v.ID)
		})
	}
	want := func(ids ...string) {
		b.Helper()
		versions, err := b.PolicyVersions(ctx, p.ARN)
		b.ok(err)
		var got []string
		for _, v := range versions {
			id := v.ID
			if v.Default {
				id += "*"
			}
			got = append(got, id)
		}
		b.same(got, ids)
	}
	v2, err := add("2", false)
	b.ok(err)
	b.same([]any{v2.ID, v2.Default, v2.Document}, []any{"v2", false, "2"})
	v3, err := add("3", true)
	b.ok(err)
	b.same([]any{v3.ID, v3.Default}, []any{"v3", true})
	want("v3*", "v2", "v1")
	versions, err := b.PolicyVersions(ctx, p.ARN)
	b.ok(err)
	b.same(versions[0], v3)
	updated, err := b.Policy(ctx, p.ARN)
	b.ok(err)
	b.same([]any{updated.DefaultVersion, updated.Updated}, []any{"v3", v3.Created})

	b.fails(b.DeletePolicyVersion(ctx, p.ARN, "v3", b.event("e")), fault.InUse, "policy-version", "Cannot delete the default version of a policy.")
	b.ok(b.SetDefaultPolicyVersion(ctx, p.ARN, "v1", b.event("SetDefault")))
	b.ok(b.DeletePolicyVersion(ctx, p.ARN, "v3", b.event("Delete")))
	_, err = add("4", false)
	b.ok(err)
	want("v4", "v2", "v1*")
	b.fails(b.DeletePolicy(ctx, p.ARN, b.event("e")), fault.InUse, "policy")
	_, err = add("5", false)
	b.ok(err)
	_, err = add("6", false)
	b.ok(err)
	_, err = add("7", true)
	b.fails(err, fault.Limit, "policy-version")
	want("v6", "v5", "v4", "v2", "v1*")
	for _, absent := range []string{"v3", "v7", "v01", "1", "", "v-1"} {
		b.fails(b.SetDefaultPolicyVersion(ctx, p.ARN, absent, b.event("e")), fault.NotFound, "policy-version")
		b.fails(b.DeletePolicyVersion(ctx, p.ARN, absent, b.event("e")), fault.NotFound, "policy-version")
	}
	_, err = b.PolicyVersions(ctx, "arn:none")
	b.fails(err, fault.NotFound, "policy")
	b.recorded("CreatePolicy", "CreatePolicyVersion v2", "CreatePolicyVersion v3", "SetDefault", "Delete",
		"CreatePolicyVersion v4", "CreatePolicyVersion v5", "CreatePolicyVersion v6")
}

func attachments(b *bench) {
	ctx := b.Context()
	b.addUser("mina")
	b.addUser("Abe")
	b.addGroup("eng")
	p := b.addPolicy("p", "1")
	const aws = "arn:aws:iam::aws:policy/ReadOnlyAccess"
	mina, abe, eng := iam.Owner{Kind: iam.OwnerUser, Name: "mina"}, iam.Owner{Kind: iam.OwnerUser, Name: "Abe"}, iam.Owner{Kind: iam.OwnerGroup, Name: "eng"}
	for _, owner := range []iam.Owner{mina, mina, abe, eng} {
		b.ok(b.AttachPolicy(ctx, owner, p.ARN, b.event("e")))
	}
	b.ok(b.AttachPolicy(ctx, mina, aws, b.event("e")))
	b.fails(b.AttachPolicy(ctx, mina, "arn:none", b.event("e")), fault.NotFound, "policy")
	b.fails(b.AttachPolicy(ctx, iam.Owner{Kind: iam.OwnerUser, Name: "none"}, p.ARN, b.event("e")), fault.NotFound, "user")
	arns, err := b.AttachedPolicies(ctx, mina)
	b.ok(err)
	slices.Sort(arns)
	b.same(arns, []string{p.ARN, aws})
	owners, err := b.PolicyOwners(ctx, p.ARN)
	b.ok(err)
	b.same(owners, []iam.Owner{abe, mina, eng})
	owners, err = b.PolicyOwners(ctx, aws)
	b.ok(err)
	b.same(owners, []iam.Owner{mina})
	got, err := b.Policy(ctx, p.ARN)
	b.ok(err)
	b.same(got.Attachments, 3)
	b.fails(b.DeleteGroup(ctx, "eng", b.event("e")), fault.InUse, "group", "Cannot delete entity, must detach all policies first.")
	b.ok(b.DetachPolicy(ctx, mina, p.ARN, b.event("e")))
	b.fails(b.DetachPolicy(ctx, mina, p.ARN, b.event("e")), fault.NotFound, "attachment")
	b.ok(b.DetachPolicy(ctx, mina, aws, b.event("e")))
	arns, err = b.AttachedPolicies(ctx, mina)
	b.ok(err)
	b.same(len(arns), 0)
}

func accessKeys(b *bench) {
	ctx := b.Context()
	b.addUser("mina")
	b.addUser("bob")
	first, second := b.addKey("mina"), b.addKey("mina")
	b.fails(b.CreateAccessKey(ctx, b.key("mina"), b.event("Refused")), fault.Limit, "access-key", "Cannot exceed quota for AccessKeysPerUser: 2")
	root := b.addKey("")
	b.fails(b.CreateAccessKey(ctx, b.key("none"), b.event("Refused")), fault.NotFound, "user")
	twice := b.key("bob")
	twice.ID = first.ID
	b.fails(b.CreateAccessKey(ctx, twice, b.event("Refused")), fault.Exists, "access-key")

	keys, err := b.AccessKeys(ctx, "MINA")
	b.ok(err)
	b.same(keys, []iam.AccessKey{first, second})
	keys, err = b.AccessKeys(ctx, "")
	b.ok(err)
	b.same(keys, []iam.AccessKey{root})
	keys, err = b.AccessKeys(ctx, "bob")
	b.ok(err)
	b.same(len(keys), 0)

	b.fails(b.SetAccessKeyActive(ctx, "bob", first.ID, false, b.event("Refused")), fault.NotFound, "access-key")
	b.fails(b.SetAccessKeyActive(ctx, "", first.ID, false, b.event("Refused")), fault.NotFound, "access-key")
	b.ok(b.SetAccessKeyActive(ctx, "mina", first.ID, false, b.event("e")))
	got, err := b.AccessKey(ctx, first.ID)
	b.ok(err)
	first.Active = false
	b.same(got, first)
	b.fails(b.DeleteAccessKey(ctx, "bob", first.ID, b.event("Refused")), fault.NotFound, "access-key")
	b.ok(b.DeleteAccessKey(ctx, "mina", first.ID, b.event("e")))
	_, err = b.AccessKey(ctx, first.ID)
	b.fails(err, fault.NotFound, "access-key", "The Access Key with id "+first.ID+" cannot be found.")
	b.addKey("mina")
}

func touchAccessKey(b *bench) {
	ctx := b.Context()
	key := b.addKey("")
	use := iam.LastUse{Time: b.at(5), Service: "ec2", Region: "on-prem-1"}
	b.ok(b.TouchAccessKey(ctx, key.ID, iam.LastUse{Time: b.at(3), Service: "sts", Region: "on-prem-1"}))
	b.ok(b.TouchAccessKey(ctx, key.ID, use))
	b.ok(b.TouchAccessKey(ctx, key.ID, iam.LastUse{Time: b.at(4), Service: "iam", Region: "on-prem-1"}))
	b.ok(b.TouchAccessKey(ctx, "AKIANONE", use))
	got, err := b.AccessKey(ctx, key.ID)
	b.ok(err)
	b.same(got.LastUsed, use)
	keys, err := b.AccessKeys(ctx, "")
	b.ok(err)
	b.same(keys[0].LastUsed, use)
}

func credential(b *bench) {
	ctx := b.Context()
	mina := b.user("mina")
	mina.Tags = map[string]string{"team": "core"}
	b.ok(b.CreateUser(ctx, mina, b.event("e")))
	b.addUser("stranger")
	b.addGroup("eng")
	b.addGroup("ops")
	b.addGroup("others")
	p := b.addPolicy("Push", "old")
	_, err := b.CreatePolicyVersion(ctx, p.ARN, b.version("new"), true, func(iam.PolicyVersion) trail.Event { return b.event("e") })
	b.ok(err)
	const aws = "arn:aws:iam::aws:policy/job-function/ViewOnlyAccess"
	user, eng := iam.Owner{Kind: iam.OwnerUser, Name: "mina"}, iam.Owner{Kind: iam.OwnerGroup, Name: "eng"}
	b.ok(b.AddMember(ctx, "eng", "mina", b.event("e")))
	b.ok(b.AddMember(ctx, "ops", "mina", b.event("e")))
	b.ok(b.AddMember(ctx, "others", "stranger", b.event("e")))
	b.ok(b.PutInlinePolicy(ctx, user, iam.InlinePolicy{Name: "own", Document: "inline"}, b.event("e")))
	b.ok(b.PutInlinePolicy(ctx, eng, iam.InlinePolicy{Name: "theirs", Document: "group's"}, b.event("e")))
	b.ok(b.PutInlinePolicy(ctx, iam.Owner{Kind: iam.OwnerGroup, Name: "others"}, iam.InlinePolicy{Name: "not", Document: "hers"}, b.event("e")))
	b.ok(b.AttachPolicy(ctx, eng, p.ARN, b.event("e")))
	b.ok(b.AttachPolicy(ctx, user, p.ARN, b.event("e")))
	b.ok(b.AttachPolicy(ctx, user, aws, b.event("e")))
	key := b.addKey("mina")

	got, err := b.Credential(ctx, key.ID)
	b.ok(err)
	b.same(got, iam.Credential{Key: key, User: &mina, Policies: []iam.OwnedPolicy{
		{Name: "own", Owner: user, Document: "inline"},
		{ARN: p.ARN, Name: "Push", Owner: user, Document: "new"},
		{ARN: aws, Name: "ViewOnlyAccess", Owner: user},
		{ARN: p.ARN, Name: "Push", Owner: eng, Document: "new"},
		{Name: "theirs", Owner: eng, Document: "group's"},
	}})
	b.ok(b.SetAccessKeyActive(ctx, "mina", key.ID, false, b.event("e")))
	got, err = b.Credential(ctx, key.ID)
	b.ok(err)
	b.same(got.Key.Active, false)

	root := b.addKey("")
	got, err = b.Credential(ctx, root.ID)
	b.ok(err)
	b.same(got, iam.Credential{Key: root})
	bare := b.addKey("stranger")
	got, err = b.Credential(ctx, bare.ID)
	b.ok(err)
	b.same([]any{got.User.Name, len(got.Policies)}, []any{"stranger", 1})
	_, err = b.Credential(ctx, "AKIANONE")
	b.fails(err, fault.NotFound, "access-key")
	_, err = b.Credential(ctx, "")
	b.fails(err, fault.NotFound, "access-key")
}

func sessions(b *bench) {
	ctx := b.Context()
	mina := b.addUser("mina")
	b.ok(b.PutInlinePolicy(ctx, iam.Owner{Kind: iam.OwnerUser, Name: "mina"}, iam.InlinePolicy{Name: "own", Document: "inline"}, b.event("e")))
	session := iam.Session{AccessKeyID: "ASIA1", UserName: "mina", Secret: []byte("sealed"), Token: []byte{0, 7},
		Created: b.reading(b.at(1)), Expires: b.at(1).Add(time.Hour)}
	b.ok(b.CreateSession(ctx, session, b.event("GetSessionToken")))
	b.fails(b.CreateSession(ctx, session, b.event("Refused")), fault.Exists, "access-key")
	got, err := b.Credential(ctx, "ASIA1")
	b.ok(err)
	b.same(got, iam.Credential{
		Key:      iam.AccessKey{ID: "ASIA1", UserName: "mina", Secret: session.Secret, Active: true, Created: session.Created.Time},
		Session:  &session,
		User:     &mina,
		Policies: []iam.OwnedPolicy{{Name: "own", Owner: iam.Owner{Kind: iam.OwnerUser, Name: "mina"}, Document: "inline"}},
	})
	root := iam.Session{AccessKeyID: "ASIA2", Secret: []byte("s"), Token: []byte("t"), Created: b.reading(b.at(1)), Expires: b.at(9)}
	b.ok(b.CreateSession(ctx, root, b.event("GetSessionToken")))
	got, err = b.Credential(ctx, "ASIA2")
	b.ok(err)
	b.same([]any{got.User, got.Session}, []any{(*iam.User)(nil), &root})
	b.ok(b.PruneSessions(ctx, root.Expires))
	_, err = b.Credential(ctx, "ASIA2")
	b.ok(err)
	b.ok(b.PruneSessions(ctx, root.Expires.Add(time.Microsecond)))
	_, err = b.Credential(ctx, "ASIA2")
	b.fails(err, fault.NotFound, "access-key")
	_, err = b.Credential(ctx, "ASIA1")
	b.ok(err)

	// A session must not outlive its user, least of all as the root user's.
	b.ok(b.DeleteInlinePolicy(ctx, iam.Owner{Kind: iam.OwnerUser, Name: "mina"}, "own", b.event("e")))
	b.ok(b.DeleteUser(ctx, "mina", b.event("e")))
	_, err = b.Credential(ctx, "ASIA1")
	b.fails(err, fault.NotFound, "access-key")
	b.addUser("mina")
	_, err = b.Credential(ctx, "ASIA1")
	b.fails(err, fault.NotFound, "access-key")
}
