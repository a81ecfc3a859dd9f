package iam_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/fault"
	"github.com/sallyport/sallyport/internal/gate"
	"github.com/sallyport/sallyport/internal/iam"
)

func TestKeyRotation(t *testing.T) {
	w := newWorld(t)
	first := w.user("bob")
	second := w.key("bob")
	_, err := w.service.CreateAccessKey(w.ctx, w.pass(), "bob")
	w.refused(err, fault.Limit, "AccessKeysPerUser: 2")
	w.as(first.ID)
	w.as(second.ID)
	w.ok(w.service.SetAccessKeyActive(w.ctx, w.pass(), "bob", first.ID, false))
	_, err = w.ask(first.ID, "", "", "*")
	w.refused(err, fault.Unauthenticated, "not active")
	w.as(second.ID)
	w.ok(w.service.SetAccessKeyActive(w.ctx, w.pass(), "bob", first.ID, true))
	w.as(first.ID)
	w.ok(w.service.DeleteAccessKey(w.ctx, w.pass(), "bob", first.ID))
	_, err = w.ask(first.ID, "", "", "*")
	w.refused(err, fault.Unauthenticated, "not known")
	w.clock.Pass(time.Second) // keys bear whole seconds, and come oldest first
	w.key("bob")
	w.refused(w.service.DeleteAccessKey(w.ctx, w.pass(), "bob", first.ID), fault.NotFound, first.ID)
	keys, err := w.service.AccessKeys(w.ctx, w.pass(), "bob")
	w.ok(err)
	if len(keys) != 2 || keys[0].ID != second.ID || keys[0].Secret != nil {
		t.Errorf("%+v", keys)
	}
}

// A key can be changed only under its owner's name, even by somebody who may change everything.
func TestKeysBelongToTheirOwner(t *testing.T) {
	w := newWorld(t)
	bob, eve := w.user("bob"), w.user("eve")
	for name, err := range map[string]error{
		"another user's":    w.service.DeleteAccessKey(w.ctx, w.pass(), "eve", bob.ID),
		"root's as a user":  w.service.DeleteAccessKey(w.ctx, w.pass(), "eve", w.root.ID),
		"a user's as root":  w.service.DeleteAccessKey(w.ctx, w.pass(), "", eve.ID),
		"by oneself":        w.service.SetAccessKeyActive(w.ctx, w.as(eve.ID), "", bob.ID, false),
		"root's by oneself": w.service.SetAccessKeyActive(w.ctx, w.as(eve.ID), "", w.root.ID, false),
	} {
		if !fault.Is(err, fault.NotFound) {
			t.Errorf("%s: %v", name, err)
		}
	}
	own, err := w.service.CreateAccessKey(w.ctx, w.as(eve.ID), "")
	w.ok(err)
	if own.UserName != "eve" {
		t.Errorf("made for %q", own.UserName)
	}
	w.ok(w.service.DeleteAccessKey(w.ctx, w.as(own.ID), "", own.ID))
	second, err := w.service.CreateAccessKey(w.ctx, w.pass(), "")
	w.ok(err)
	if p, err := w.service.Principal(w.ctx, second.ID); err != nil || !p.Root {
		t.Errorf("root's second key: %v %v", p.Root, err)
	}
	root, err := w.service.User(w.ctx, w.pass(), "")
	w.ok(err)
	if root.ID != account || root.ARN != w.service.RootARN() || root.Name != "" || root.Created.IsZero() {
		t.Errorf("%+v", root)
	}
	self, err := w.service.User(w.ctx, w.as(eve.ID), "")
	w.ok(err)
	if self.Name != "eve" {
		t.Errorf("%+v", self)
	}
}

// Whoever is renamed while their call is under way does not act for the one who has the name by then.
func TestAPassIsNotForWhoeverHasTheName(t *testing.T) {
	w := newWorld(t)
	bob := w.user("bob")
	w.user("eve")
	late := w.as(bob.ID)
	w.ok(w.service.UpdateUser(w.ctx, w.pass(), "bob", "robert", ""))
	w.ok(w.service.UpdateUser(w.ctx, w.pass(), "eve", "bob", ""))
	_, err := w.service.CreateAccessKey(w.ctx, late, "")
	w.refused(err, fault.NotFound, "bob")
	_, err = w.service.NewSession(w.ctx, late, time.Hour)
	w.refused(err, fault.NotFound, "bob")
	_, err = w.service.AccessKeys(w.ctx, late, "")
	w.refused(err, fault.NotFound, "bob")
}

func TestEnsureRoot(t *testing.T) {
	w := newWorld(t)
	again := func(iam.IssuedKey) error { t.Error("a second root key"); return nil }
	w.ok(w.service.EnsureRoot(w.ctx, region, again))
	w.serve(w.store)
	w.ok(w.service.EnsureRoot(w.ctx, region, again))
	w.ok(w.service.SetAccessKeyActive(w.ctx, w.pass(), "", w.root.ID, false))
	w.ok(w.service.EnsureRoot(w.ctx, region, again)) // switched off on purpose is not lost

	record := w.records()[len(w.records())-1]
	for _, want := range []string{`"eventName":"CreateAccessKey"`, `"type":"AWSService"`, w.root.ID, region} {
		if !strings.Contains(record, want) {
			t.Errorf("the first event lacks %s: %s", want, record)
		}
	}
	if w.root.ID[:4] != "AKIA" || len(w.root.ID) != 20 || len(w.root.PlainSecret) != 40 {
		t.Errorf("%s, a secret of %d characters", w.root.ID, len(w.root.PlainSecret))
	}
}

// If the key cannot be put where its owner finds it, it never begins to work.
func TestEnsureRootKeepsBeforeItCommits(t *testing.T) {
	w := newWorld(t)
	w.ok(w.service.DeleteAccessKey(w.ctx, w.pass(), "", w.root.ID))
	full := errors.New("disk full")
	var lost iam.IssuedKey
	err := w.service.EnsureRoot(w.ctx, region, func(key iam.IssuedKey) error { lost = key; return full })
	if !errors.Is(err, full) {
		t.Errorf("got %v", err)
	}
	_, err = w.service.Principal(w.ctx, lost.ID)
	w.refused(err, fault.NotFound, lost.ID)
	w.ok(w.service.EnsureRoot(w.ctx, region, func(key iam.IssuedKey) error { w.root = key; return nil }))
	w.pass()
}

func TestSessions(t *testing.T) {
	w := newWorld(t)
	key := w.user("bob")
	w.ok(w.service.PutInlinePolicy(w.ctx, w.pass(), userNamed("bob"), inline(allowPush)))
	session, err := w.service.NewSession(w.ctx, w.as(key.ID), time.Hour)
	w.ok(err)
	id, token := session.AccessKeyID, session.PlainToken.Reveal()
	if !strings.HasPrefix(id, "ASIA") || session.Expires.Sub(session.Created.Time) != time.Hour {
		t.Errorf("%s until %s", id, session.Expires)
	}
	pass, err := w.ask(id, token, push, host)
	w.ok(err)
	if got := pass.Identity(); got.UserName != "bob" || got.AccessKeyID != id {
		t.Errorf("%+v", got)
	}
	for _, wrong := range []string{"", "x", token + "x", token[1:]} {
		_, err = w.ask(id, wrong, push, host)
		w.refused(err, fault.Unauthenticated, "session token")
	}
	_, err = w.ask(key.ID, token, push, host)
	w.refused(err, fault.Unauthenticated, "session token")
	_, err = w.service.NewSession(w.ctx, pass, time.Hour)
	w.refused(err, fault.Denied, "session credentials")

	w.ok(w.service.DeleteInlinePolicy(w.ctx, w.pass(), userNamed("bob"), "access"))
	_, err = w.ask(id, token, push, host)
	w.refused(err, fault.Denied, "no identity-based policy")
	w.ok(w.service.UpdateUser(w.ctx, w.pass(), "bob", "robert", ""))
	pass, err = w.ask(id, token, "", "*")
	w.ok(err)
	if pass.Identity().UserName != "robert" {
		t.Errorf("%+v", pass.Identity())
	}
	w.clock.Pass(time.Hour)
	_, err = w.ask(id, token, "", "*")
	w.refused(err, fault.Unauthenticated, "expired")
}

func TestSessionsEndWithTheirUser(t *testing.T) {
	w := newWorld(t)
	key := w.user("bob")
	session, err := w.service.NewSession(w.ctx, w.as(key.ID), time.Hour)
	w.ok(err)
	w.ok(w.service.DeleteAccessKey(w.ctx, w.pass(), "bob", key.ID))
	w.ok(w.service.DeleteUser(w.ctx, w.pass(), "bob"))
	_, err = w.service.Principal(w.ctx, session.AccessKeyID)
	w.refused(err, fault.NotFound, "")
	w.user("bob") // somebody else
	_, err = w.service.Principal(w.ctx, session.AccessKeyID)
	w.refused(err, fault.NotFound, "")
}

func TestSessionDurations(t *testing.T) {
	w := newWorld(t)
	key := w.user("bob")
	for _, bad := range []time.Duration{0, -time.Hour, 15*time.Minute - time.Second, 36*time.Hour + time.Second} {
		_, err := w.service.NewSession(w.ctx, w.as(key.ID), bad)
		w.refused(err, fault.Invalid, "between 900 and 129600")
	}
	for _, good := range []time.Duration{15 * time.Minute, iam.DefaultSession, 36 * time.Hour} {
		session, err := w.service.NewSession(w.ctx, w.as(key.ID), good)
		w.ok(err)
		if got := session.Expires.Sub(session.Created.Time); got != good {
			t.Errorf("%s, want %s", got, good)
		}
	}
	session, err := w.service.NewSession(w.ctx, w.pass(), iam.DefaultSession)
	w.ok(err)
	if got := session.Expires.Sub(session.Created.Time); got != time.Hour {
		t.Errorf("root's session lives %s", got)
	}
	p, err := w.service.Principal(w.ctx, session.AccessKeyID)
	w.ok(err)
	if !p.Root || p.Expires.IsZero() || p.SessionToken == "" {
		t.Errorf("%+v", p)
	}
}

// No secret is in the trail, the log or, in clear, in the database.
func TestSecretsAreNowhere(t *testing.T) {
	w := newWorld(t)
	bob := w.user("bob")
	session, err := w.service.NewSession(w.ctx, w.as(bob.ID), time.Hour)
	w.ok(err)
	secrets := []gate.Secret{w.root.PlainSecret, bob.PlainSecret, session.PlainSecret, session.PlainToken}
	places := map[string][]byte{"trail": []byte(strings.Join(w.records(), "\n")), "log": w.log.Bytes()}
	if !bytes.Contains(places["trail"], []byte(bob.ID)) || !bytes.Contains(places["trail"], []byte(session.AccessKeyID)) {
		t.Error("the trail does not name the keys")
	}
	w.ok(w.store.Close())
	files, err := filepath.Glob(filepath.Join(filepath.Dir(w.path), "*"))
	w.ok(err)
	for _, file := range files {
		places[file], err = os.ReadFile(file)
		w.ok(err)
	}
	if len(places) < 3 {
		t.Error("no database was searched")
	}
	for place, content := range places {
		for i, secret := range secrets {
			if bytes.Contains(content, []byte(secret.Reveal())) {
				t.Errorf("secret %d stands in %s", i, place)
			}
		}
	}
}

// A session that was over came back to life when somebody set the clock back.
func TestSessionsStayOverWhateverTheClockSays(t *testing.T) {
	w := newWorld(t)
	key := w.user("bob")
	session, err := w.service.NewSession(w.ctx, w.as(key.ID), time.Hour)
	w.ok(err)
	refused := func(when string) {
		t.Helper()
		if _, err := w.ask(session.AccessKeyID, session.PlainToken.Reveal(), "", "*"); !fault.Is(err, fault.Unauthenticated) {
			t.Errorf("%s: %v", when, err)
		}
	}
	w.clock.Set(-20 * time.Minute)
	_, err = w.ask(session.AccessKeyID, session.PlainToken.Reveal(), "", "*")
	w.ok(err) // its hour is not over
	w.clock.Pass(time.Hour)
	refused("after an hour, of which the clock shows 40 minutes")
	w.serve(w.store)
	refused("after a restart")
	w.clock.Reboot()
	w.clock.Set(-2 * time.Hour)
	w.serve(w.store)
	refused("after a reboot, by a clock that is before the session's beginning")
}
