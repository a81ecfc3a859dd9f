package iam_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/internal/fault"
	"github.com/sallyport/sallyport/internal/iam"
	"github.com/sallyport/sallyport/internal/trail"
)

func TestPrincipalsAreWhoTheyAre(t *testing.T) {
	w := newWorld(t)
	key := w.user("bob")
	root, err := w.service.Principal(w.ctx, w.root.ID)
	w.ok(err)
	want := trail.Identity{Type: "Root", PrincipalID: account, ARN: "arn:aws:iam::111122223333:root", AccountID: account, AccessKeyID: w.root.ID}
	if diff := cmp.Diff(want, root.Identity); diff != "" || !root.Root || root.Secret != w.root.PlainSecret {
		t.Errorf("root: %v %s", root.Root, diff)
	}
	bob, err := w.service.Principal(w.ctx, key.ID)
	w.ok(err)
	user, err := w.service.User(w.ctx, w.pass(), "bob")
	w.ok(err)
	want = trail.Identity{Type: "IAMUser", PrincipalID: user.ID, ARN: "arn:aws:iam::111122223333:user/bob", AccountID: account, AccessKeyID: key.ID, UserName: "bob"}
	if diff := cmp.Diff(want, bob.Identity); diff != "" || bob.Root || bob.Secret != key.PlainSecret || bob.SessionToken != "" {
		t.Errorf("bob: %v %s", bob.Root, diff)
	}
	for _, unknown := range []string{"", "AKIA", "AKIAAAAAAAAAAAAAAAAA", "ASIAAAAAAAAAAAAAAAAA", "akiaaaaaaaaaaaaaaaaa", key.ID + " ", "' OR 1=1 --"} {
		_, err := w.service.Principal(w.ctx, unknown)
		w.refused(err, fault.NotFound, "cannot be found")
	}
}

// A policy reaches a user in four ways; each decision names the policy as AWS's messages do.
func TestPoliciesReachTheUser(t *testing.T) {
	for name, grant := range map[string]func(w *world){
		"inline of the user": func(w *world) { w.ok(w.service.PutInlinePolicy(w.ctx, w.pass(), userNamed("bob"), inline(allowPush))) },
		"inline of the group": func(w *world) {
			w.ok(w.service.PutInlinePolicy(w.ctx, w.pass(), groupNamed("team"), inline(allowPush)))
		},
		"attached to the user": func(w *world) {
			w.ok(w.service.AttachPolicy(w.ctx, w.pass(), userNamed("bob"), w.policy("p", allowPush).ARN))
		},
		"attached to the group": func(w *world) {
			w.ok(w.service.AttachPolicy(w.ctx, w.pass(), groupNamed("team"), w.policy("p", allowPush).ARN))
		},
		"AWS's own to the user":  func(w *world) { w.ok(w.service.AttachPolicy(w.ctx, w.pass(), userNamed("bob"), administrator)) },
		"AWS's own to the group": func(w *world) { w.ok(w.service.AttachPolicy(w.ctx, w.pass(), groupNamed("team"), administrator)) },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			key := w.user("bob")
			w.group("team")
			w.ok(w.service.AddMember(w.ctx, w.pass(), "team", "bob"))
			_, err := w.ask(key.ID, "", push, host)
			w.refused(err, fault.Denied, "no identity-based policy allows")
			grant(w)
			_, err = w.ask(key.ID, "", push, host)
			w.ok(err)
			w.ok(w.service.PutInlinePolicy(w.ctx, w.pass(), groupNamed("team"), iam.InlinePolicy{Name: "stop", Document: denyPush}))
			_, err = w.ask(key.ID, "", push, host)
			w.refused(err, fault.Denied, "statement NoPush of stop (inline policy of group team)")
		})
	}
}

const administrator = "arn:aws:iam::aws:policy/AdministratorAccess"

func inline(document string) iam.InlinePolicy {
	return iam.InlinePolicy{Name: "access", Document: document}
}

// W2: "Removed from the group: denied at once", whatever loads of the same user are under way.
func TestRemovedFromTheGroupIsDeniedAtOnce(t *testing.T) {
	w := newWorld(t)
	key := w.user("bob")
	w.group("team")
	w.ok(w.service.PutInlinePolicy(w.ctx, w.pass(), groupNamed("team"), inline(allowPush)))
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
		w.ok(w.service.AddMember(w.ctx, w.pass(), "team", "bob"))
		if _, err := w.ask(key.ID, "", push, host); err != nil {
			t.Error("added, and still:", err)
		}
		w.ok(w.service.RemoveMember(w.ctx, w.pass(), "team", "bob"))
		if _, err := w.ask(key.ID, "", push, host); !fault.Is(err, fault.Denied) {
			t.Error("removed, and still allowed:", err)
		}
	}
	close(stop)
	others.Wait()
}

// heldStore holds a load of a credential, after it has read, until it is told to go on.
type heldStore struct {
	iam.Store
	hold  atomic.Bool
	held  chan struct{}
	goOn  chan struct{}
	reads atomic.Int32
}

func (s *heldStore) Credential(ctx context.Context, id string) (iam.Credential, error) {
	s.reads.Add(1)
	c, err := s.Store.Credential(ctx, id)
	if s.hold.CompareAndSwap(true, false) {
		s.held <- struct{}{}
		<-s.goOn
	}
	return c, err
}

// A load that read before a change and ends after it must not leave what it read in the cache.
func TestALoadThatBeganBeforeAChangeIsNotCached(t *testing.T) {
	w := newWorld(t)
	key := w.user("bob")
	w.ok(w.service.PutInlinePolicy(w.ctx, w.pass(), userNamed("bob"), inline(allowPush)))
	slow := &heldStore{Store: w.store, held: make(chan struct{}), goOn: make(chan struct{})}
	w.serve(slow)
	root := w.pass() // loads root, so that the hold meets bob
	slow.hold.Store(true)
	loaded := make(chan error)
	go func() {
		_, err := w.service.Principal(w.ctx, key.ID)
		loaded <- err
	}()
	<-slow.held
	w.ok(w.service.DeleteInlinePolicy(w.ctx, root, userNamed("bob"), "access"))
	close(slow.goOn)
	w.ok(<-loaded)
	_, err := w.ask(key.ID, "", push, host)
	w.refused(err, fault.Denied, "no identity-based policy")
}

func TestPrincipalsAreCachedUntilAChange(t *testing.T) {
	w := newWorld(t)
	key := w.user("bob")
	counted := &heldStore{Store: w.store}
	w.serve(counted)
	for range 10 {
		w.as(key.ID)
	}
	if n := counted.reads.Load(); n != 1 {
		t.Errorf("ten requests cost %d reads, want 1", n)
	}
	pass := w.pass()
	w.ok(w.service.TagUser(w.ctx, pass, "bob", map[string]string{"team": "web"}))
	before := counted.reads.Load()
	w.as(key.ID)
	if n := counted.reads.Load() - before; n != 1 {
		t.Errorf("the request after a change cost %d reads, want 1", n)
	}
	// A change that failed may have happened all the same.
	counted.Store = failingStore{w.store}
	if err := w.service.DeleteUser(w.ctx, w.pass(), "bob"); err == nil {
		t.Fatal("the store did not fail")
	}
	before = counted.reads.Load()
	w.as(key.ID)
	if n := counted.reads.Load() - before; n != 1 {
		t.Errorf("the request after a failed change cost %d reads, want 1", n)
	}
}

type failingStore struct{ iam.Store }

func (failingStore) DeleteUser(context.Context, string, trail.Event) error {
	return errors.New("the connection was lost")
}

// A stored document that does not parse any more could have been a Deny: its user is refused, not the document.
func TestAPolicyThatDoesNotParseFailsClosed(t *testing.T) {
	w := newWorld(t)
	key := w.user("bob")
	w.ok(w.service.AttachPolicy(w.ctx, w.pass(), userNamed("bob"), administrator))
	w.ok(w.store.PutInlinePolicy(w.ctx, userNamed("bob"), iam.InlinePolicy{Name: "stop", Document: "{"}, w.pass().Event(nil)))
	w.serve(w.store)
	_, err := w.ask(key.ID, "", push, host)
	if fault.Of(err).Kind != fault.Internal {
		t.Errorf("got %v, want an internal error", err)
	}
	w.ok(w.service.DeleteInlinePolicy(w.ctx, w.pass(), userNamed("bob"), "stop"))
	_, err = w.ask(key.ID, "", push, host)
	w.ok(err)
}

func TestLastUseOfAccessKeys(t *testing.T) {
	w := newWorld(t)
	key := w.user("bob")
	never, err := w.service.AccessKeyLastUsed(w.ctx, w.pass(), key.ID)
	w.ok(err)
	if !never.LastUsed.Time.IsZero() || never.UserName != "bob" || never.Secret != nil {
		t.Errorf("before its first use: %+v", never)
	}
	_, err = w.ask(key.ID, "", push, host) // denied, but signed
	w.refused(err, fault.Denied, "")
	used, err := w.service.AccessKeyLastUsed(w.ctx, w.pass(), key.ID)
	w.ok(err)
	if used.LastUsed.Time.IsZero() || used.LastUsed.Service != "iam" || used.LastUsed.Region != region {
		t.Errorf("after a use: %+v", used.LastUsed)
	}
	_, err = w.service.AccessKeyLastUsed(w.ctx, w.pass(), "AKIAAAAAAAAAAAAAAAAA")
	w.refused(err, fault.NotFound, "AKIAAAAAAAAAAAAAAAAA cannot be found")
}
