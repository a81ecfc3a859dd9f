package iam_test

import (
	"reflect"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/internal/db"
	"github.com/sallyport/sallyport/internal/db/dbtest"
	"github.com/sallyport/sallyport/internal/fault"
	"github.com/sallyport/sallyport/internal/gate"
	"github.com/sallyport/sallyport/internal/iam"
	"github.com/sallyport/sallyport/internal/policy"
	"github.com/sallyport/sallyport/internal/trail"
)

func TestPrincipalsAreWhoTheyAre(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		key := w.user("bob")
		root, err := w.service.Principal(w.ctx, w.root.ID)
		w.ok(err)
		want := trail.Identity{
			Type: "Root", PrincipalID: account, ARN: "arn:aws:iam::111122223333:root", AccountID: account,
			AccessKeyID: w.root.ID,
		}
		if diff := cmp.Diff(want, root.Identity); diff != "" || !root.Root || root.Secret != w.root.PlainSecret {
			t.Errorf("root: %v %s", root.Root, diff)
		}
		bob, err := w.service.Principal(w.ctx, key.ID)
		w.ok(err)
		user, err := w.service.User(w.ctx, w.pass(), "bob")
		w.ok(err)
		want = trail.Identity{
			Type: "IAMUser", PrincipalID: user.ID, ARN: "arn:aws:iam::111122223333:user/bob", AccountID: account,
			AccessKeyID: key.ID, UserName: "bob",
		}
		diff := cmp.Diff(want, bob.Identity)
		if diff != "" || bob.Root || bob.Secret != key.PlainSecret || bob.SessionToken != "" {
			t.Errorf("bob: %v %s", bob.Root, diff)
		}
		for _, unknown := range []string{
			"", "AKIA", "AKIAAAAAAAAAAAAAAAAA", "ASIAAAAAAAAAAAAAAAAA", "akiaaaaaaaaaaaaaaaaa", key.ID + " ", "' OR 1=1 --",
		} {
			_, err := w.service.Principal(w.ctx, unknown)
			w.refused(err, fault.NotFound, "cannot be found")
		}
	})
}

// A policy applies to a user in four ways. Each decision names the policy as AWS's messages do.
func TestPoliciesReachTheUser(t *testing.T) {
	bob, team := userNamed("bob"), groupNamed("team")
	put := func(w *world, owner iam.Owner) error {
		return w.do(w.service.PutInlinePolicy, owner, inline(allowPush))
	}
	attach := func(w *world, owner iam.Owner) error {
		return w.do(w.service.AttachPolicy, owner, w.policy("p", allowPush).ARN)
	}
	attachAWS := func(w *world, owner iam.Owner) error {
		return w.do(w.service.AttachPolicy, owner, administrator)
	}
	for name, grant := range map[string]func(w *world) error{
		"inline of the user":     func(w *world) error { return put(w, bob) },
		"inline of the group":    func(w *world) error { return put(w, team) },
		"attached to the user":   func(w *world) error { return attach(w, bob) },
		"attached to the group":  func(w *world) error { return attach(w, team) },
		"AWS's own to the user":  func(w *world) error { return attachAWS(w, bob) },
		"AWS's own to the group": func(w *world) error { return attachAWS(w, team) },
	} {
		t.Run(name, func(t *testing.T) {
			each(t, func(t *testing.T, w *world) {
				key := w.user("bob")
				w.group("team")
				w.ok(w.do(w.service.AddMember, "team", "bob"))
				_, err := w.ask(key.ID, "", push, host)
				w.refused(err, fault.Denied, "no identity-based policy allows")
				w.ok(grant(w))
				_, err = w.ask(key.ID, "", push, host)
				w.ok(err)
				stop := iam.InlinePolicy{Name: "stop", Document: denyPush}
				w.ok(w.do(w.service.PutInlinePolicy, team, stop))
				_, err = w.ask(key.ID, "", push, host)
				w.refused(err, fault.Denied, "with an explicit deny in an identity-based policy: "+
					"statement NoPush of stop (inline policy of group team)")
			})
		})
	}
}

// A user's own and their groups' policies apply, in a fixed order: the user's before the groups', each by name.
// Policies of others do not apply.
func TestPoliciesOfAUser(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		mina, eng, others := userNamed("mina"), groupNamed("eng"), groupNamed("others")
		key, stranger := w.user("mina"), w.user("stranger")
		for _, group := range []string{"eng", "ops", "others"} {
			w.group(group)
		}
		p := w.policy("Push", denyPush)
		w.ok(w.do(w.service.CreatePolicyVersion, p.ARN, allowPush, true))
		w.ok(w.do(w.service.AddMember, "eng", "mina"))
		w.ok(w.do(w.service.AddMember, "ops", "mina"))
		w.ok(w.do(w.service.AddMember, "others", "stranger"))
		w.ok(w.do(w.service.PutInlinePolicy, mina, iam.InlinePolicy{Name: "own", Document: allowPush}))
		w.ok(w.do(w.service.PutInlinePolicy, eng, iam.InlinePolicy{Name: "theirs", Document: allowPush}))
		w.ok(w.do(w.service.PutInlinePolicy, others, iam.InlinePolicy{Name: "not", Document: denyPush}))
		w.ok(w.do(w.service.AttachPolicy, eng, p.ARN))
		w.ok(w.do(w.service.AttachPolicy, mina, p.ARN))
		w.ok(w.do(w.service.AttachPolicy, mina, administrator))
		for id, want := range map[string][]string{
			key.ID: {administrator, "own (inline policy of user mina)", p.ARN, p.ARN, "theirs (inline policy of group eng)"},

			stranger.ID: {"not (inline policy of group others)"},
		} {
			principal, err := w.service.Principal(w.ctx, id)
			w.ok(err)
			if len(principal.Policies) != 1 || principal.Policies[0].Sort != policy.IdentityBased {
				t.Fatalf("%+v", principal.Policies)
			}
			var got []string
			for _, p := range principal.Policies[0].Policies {
				got = append(got, p.Name)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		}
		_, err := w.ask(key.ID, "", push, host) // version 2, the default, allows it
		w.ok(err)
	})
}

// W2: "Removed from the group: denied at once", whatever loads of the same user are under way.
func TestRemovedFromTheGroupIsDeniedAtOnce(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		key := w.user("bob")
		w.group("team")
		w.ok(w.do(w.service.PutInlinePolicy, groupNamed("team"), inline(allowPush)))
		stop := make(chan struct{})
		var others sync.WaitGroup
		for range 4 {
			others.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
						_, _ = w.ask(key.ID, "", push, host)
					}
				}
			})
		}
		for range 30 {
			w.ok(w.do(w.service.AddMember, "team", "bob"))
			if _, err := w.ask(key.ID, "", push, host); err != nil {
				t.Error("added, and still:", err)
			}
			w.ok(w.do(w.service.RemoveMember, "team", "bob"))
			if _, err := w.ask(key.ID, "", push, host); !fault.Is(err, fault.Denied) {
				t.Error("removed, and still allowed:", err)
			}
		}
		close(stop)
		others.Wait()
	})
}

// Principals come from the cache, which the next write empties: a change that was made without the service is seen
// after the next write through it, even if that write fails.
func TestPrincipalsAreCachedUntilAWrite(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		key := w.user("bob")
		w.as(key.ID)
		w.ok(w.db.Update(w.ctx, func(tx *db.Tx) error {
			_, err := tx.Exec(`UPDATE iam_access_key SET active = FALSE WHERE id = $1`, key.ID)
			return err
		}))
		w.as(key.ID)
		w.refused(w.do(w.service.Delete, userNamed("nobody")), fault.NotFound, "nobody")
		_, err := w.ask(key.ID, "", "", "*")
		w.refused(err, fault.Unauthenticated, "not active")
	})
}

// Every write of the service empties the cache, whether it succeeds or not.
func TestEveryWriteDropsTheCache(t *testing.T) {
	w := newWorld(t, dbtest.SQLite(t))
	service := reflect.ValueOf(w.service)
	writes := 0
	for i := range service.NumMethod() {
		name, method := service.Type().Method(i).Name, service.Method(i)
		if method.Type().NumIn() == 0 || method.Type().In(0) != reflect.TypeFor[*gate.Tx]() {
			continue
		}
		writes++
		w.pass()
		if iam.Cached(w.service) == 0 {
			t.Fatal("nothing is remembered")
		}
		var args []any
		for i := 1; i < method.Type().NumIn(); i++ {
			args = append(args, reflect.Zero(method.Type().In(i)).Interface())
		}
		_ = w.doAs(w.gate.Self(gate.Call{Name: name}), method.Interface(), args...)
		if kept := iam.Cached(w.service) > 0; kept != (name == "SaveUses") { // it changes no principal
			t.Errorf("%s: remembered after it: %v", name, kept)
		}
	}
	if writes < 20 {
		t.Errorf("only %d writes were found", writes)
	}
}

// A stored document that no longer parses may have been a Deny. The user is refused; the document is not ignored.
func TestAPolicyThatDoesNotParseFailsClosed(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		key := w.user("bob")
		w.ok(w.do(w.service.AttachPolicy, userNamed("bob"), administrator))
		w.ok(w.do(w.service.PutInlinePolicy, userNamed("bob"), iam.InlinePolicy{Name: "stop", Document: denyPush}))
		w.ok(w.db.Update(w.ctx, func(tx *db.Tx) error {
			_, err := tx.Exec(`UPDATE iam_inline_policy SET document = '{'`)
			return err
		}))
		_, err := w.ask(key.ID, "", push, host)
		if fault.Of(err).Kind != fault.Internal {
			t.Errorf("got %v, want an internal error", err)
		}
		w.ok(w.do(w.service.DeleteInlinePolicy, userNamed("bob"), "stop"))
		_, err = w.ask(key.ID, "", push, host)
		w.ok(err)
	})
}

// BenchmarkPrincipal reads a user with an inline policy and a group's attached one, as the first request after a change
// of any identity does.
func BenchmarkPrincipal(b *testing.B) {
	for name, open := range map[string]func(testing.TB) *db.Writer{
		"SQLite": dbtest.SQLite, "PostgreSQL": dbtest.PostgreSQL,
	} {
		b.Run(name, func(b *testing.B) {
			w := newWorld(b, open(b))
			key := w.user("mina")
			w.group("eng")
			w.ok(w.do(w.service.AddMember, "eng", "mina"))
			w.ok(w.do(w.service.AttachPolicy, groupNamed("eng"), w.policy("push", allowPush).ARN))
			w.ok(w.do(w.service.PutInlinePolicy, userNamed("mina"), inline(allowPush)))
			for b.Loop() {
				iam.Forget(w.service)
				_, err := w.service.Principal(w.ctx, key.ID)
				w.ok(err)
			}
		})
	}
}
