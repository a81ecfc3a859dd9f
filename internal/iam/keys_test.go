package iam_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/db"
	"github.com/sallyport/sallyport/internal/db/dbtest"
	"github.com/sallyport/sallyport/internal/fault"
	"github.com/sallyport/sallyport/internal/gate"
	"github.com/sallyport/sallyport/internal/iam"
)

func TestKeyRotation(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		first := w.user("bob")
		second := w.key("bob")
		_, err := made[iam.IssuedKey](w, w.pass(), w.service.CreateAccessKey, "bob")
		w.refused(err, fault.Limit, "AccessKeysPerUser: 2")
		w.as(first.ID)
		w.as(second.ID)
		w.ok(w.do(w.service.SetAccessKeyActive, "bob", first.ID, false))
		_, err = w.ask(first.ID, "", "", "*")
		w.refused(err, fault.Unauthenticated, "not active")
		w.as(second.ID)
		w.ok(w.do(w.service.SetAccessKeyActive, "bob", first.ID, true))
		w.as(first.ID)
		w.ok(w.do(w.service.DeleteAccessKey, "bob", first.ID))
		_, err = w.ask(first.ID, "", "", "*")
		w.refused(err, fault.Unauthenticated, "not known")
		w.clock.Pass(time.Second) // creation times are whole seconds, and order the keys
		w.key("bob")
		w.refused(w.do(w.service.DeleteAccessKey, "bob", first.ID), fault.NotFound, first.ID)
		keys, err := w.service.AccessKeys(w.ctx, w.pass(), "bob")
		w.ok(err)
		if len(keys) != 2 || keys[0].ID != second.ID {
			t.Errorf("%+v", keys)
		}
	})
}

// A key can be changed only under its owner's name, even by somebody who may change everything.
func TestKeysBelongToTheirOwner(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		bob, eve := w.user("bob"), w.user("eve")
		for name, err := range map[string]error{
			"another user's":    w.do(w.service.DeleteAccessKey, "eve", bob.ID),
			"root's as a user":  w.do(w.service.DeleteAccessKey, "eve", w.root.ID),
			"a user's as root":  w.do(w.service.DeleteAccessKey, "", eve.ID),
			"by oneself":        w.doAs(w.as(eve.ID), w.service.SetAccessKeyActive, "", bob.ID, false),
			"root's by oneself": w.doAs(w.as(eve.ID), w.service.SetAccessKeyActive, "", w.root.ID, false),
		} {
			if !fault.Is(err, fault.NotFound) {
				t.Errorf("%s: %v", name, err)
			}
		}
		own, err := made[iam.IssuedKey](w, w.as(eve.ID), w.service.CreateAccessKey, "")
		w.ok(err)
		if own.UserName != "eve" {
			t.Errorf("made for %q", own.UserName)
		}
		w.ok(w.doAs(w.as(own.ID), w.service.DeleteAccessKey, "", own.ID))
		second, err := made[iam.IssuedKey](w, w.pass(), w.service.CreateAccessKey, "")
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
	})
}

// A caller who is renamed during a call does not act for the user who has the old name by then.
func TestAPassIsNotForWhoeverHasTheName(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		bob := w.user("bob")
		w.user("eve")
		late := w.as(bob.ID)
		w.ok(w.do(w.service.Update, userNamed("bob"), "robert", ""))
		w.ok(w.do(w.service.Update, userNamed("eve"), "bob", ""))
		_, err := made[iam.IssuedKey](w, late, w.service.CreateAccessKey, "")
		w.refused(err, fault.NotFound, "bob")
		_, err = made[iam.IssuedSession](w, late, w.service.NewSession, time.Hour)
		w.refused(err, fault.NotFound, "bob")
		_, err = w.service.AccessKeys(w.ctx, late, "")
		w.refused(err, fault.NotFound, "bob")
	})
}

func TestEnsureRoot(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		again := func(iam.IssuedKey) error { t.Error("a second root key"); return nil }
		w.ok(w.ensureRoot(again))
		w.serve()
		w.ok(w.ensureRoot(again))
		w.ok(w.do(w.service.SetAccessKeyActive, "", w.root.ID, false))
		w.ok(w.ensureRoot(again)) // a deactivated key is not a lost one

		entries := w.trail()
		if len(entries) != 2 {
			t.Errorf("%d events, want one of the key that was made and one of the key that was switched off", len(entries))
		}
		first := entries[len(entries)-1].Record
		for _, want := range []string{
			`"eventName":"CreateAccessKey"`, `"type":"AWSService"`, `"sourceIPAddress":"sallyport"`,
			`"accessKeyId":"` + w.root.ID, `"ARN":"` + w.root.ID, w.service.RootARN(), region,
		} {
			if !strings.Contains(first, want) {
				t.Errorf("the first event lacks %s: %s", want, first)
			}
		}
		if w.root.ID[:4] != "AKIA" || len(w.root.ID) != 20 || len(w.root.PlainSecret) != 40 {
			t.Errorf("%s, a secret of %d characters", w.root.ID, len(w.root.PlainSecret))
		}
	})
}

// If the key cannot be stored where its owner finds it, it never becomes valid.
func TestEnsureRootKeepsBeforeItCommits(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.ok(w.do(w.service.DeleteAccessKey, "", w.root.ID))
		full := errors.New("disk full")
		var lost iam.IssuedKey
		err := w.ensureRoot(func(key iam.IssuedKey) error { lost = key; return full })
		if !errors.Is(err, full) {
			t.Errorf("got %v", err)
		}
		_, err = w.service.Principal(w.ctx, lost.ID)
		w.refused(err, fault.NotFound, lost.ID)
		w.ok(w.ensureRoot(func(key iam.IssuedKey) error { w.root = key; return nil }))
		w.pass()
	})
}

func TestSessions(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		key := w.user("bob")
		w.ok(w.do(w.service.PutInlinePolicy, userNamed("bob"), inline(allowPush)))
		session, err := made[iam.IssuedSession](w, w.as(key.ID), w.service.NewSession, time.Hour)
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
		_, err = made[iam.IssuedSession](w, pass, w.service.NewSession, time.Hour)
		w.refused(err, fault.Denied, "session credentials")

		w.ok(w.do(w.service.DeleteInlinePolicy, userNamed("bob"), "access"))
		_, err = w.ask(id, token, push, host)
		w.refused(err, fault.Denied, "no identity-based policy")
		w.ok(w.do(w.service.Update, userNamed("bob"), "robert", ""))
		pass, err = w.ask(id, token, "", "*")
		w.ok(err)
		if pass.Identity().UserName != "robert" {
			t.Errorf("%+v", pass.Identity())
		}
		w.clock.Pass(time.Hour)
		_, err = w.ask(id, token, "", "*")
		w.refused(err, fault.Unauthenticated, "expired")
	})
}

func TestSessionsEndWithTheirUser(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		key := w.user("bob")
		session, err := made[iam.IssuedSession](w, w.as(key.ID), w.service.NewSession, time.Hour)
		w.ok(err)
		w.ok(w.do(w.service.DeleteAccessKey, "bob", key.ID))
		w.ok(w.do(w.service.Delete, userNamed("bob")))
		_, err = w.service.Principal(w.ctx, session.AccessKeyID)
		w.refused(err, fault.NotFound, "")
		var left int
		w.ok(w.db.View(w.ctx, func(tx *db.Tx) error {
			return tx.Row(`SELECT COUNT(*) FROM iam_session`).Scan(&left)
		}))
		if left > 0 {
			t.Errorf("%d sessions are left", left)
		}
		w.user("bob") // another user
		_, err = w.service.Principal(w.ctx, session.AccessKeyID)
		w.refused(err, fault.NotFound, "")
	})
}

// The key and the session of a user who does not exist, for whatever reason, are not valid, and are not the root
// user's.
func TestCredentialsWithoutAUserAreNobodys(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		key := w.user("bob")
		session, err := made[iam.IssuedSession](w, w.as(key.ID), w.service.NewSession, time.Hour)
		w.ok(err)
		w.ok(w.db.Update(w.ctx, func(tx *db.Tx) error {
			_, err := tx.Exec(`DELETE FROM iam_identity`)
			return err
		}))
		w.serve()
		for _, id := range []string{key.ID, session.AccessKeyID} {
			_, err := w.service.Principal(w.ctx, id)
			w.refused(err, fault.NotFound, id)
		}
	})
}

// Prune deletes sessions a day after they expired, a batch at a time, and nothing else.
func TestPrune(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		key := w.user("bob")
		short, err := made[iam.IssuedSession](w, w.as(key.ID), w.service.NewSession, time.Hour)
		w.ok(err)
		long, err := made[iam.IssuedSession](w, w.as(key.ID), w.service.NewSession, 2*time.Hour)
		w.ok(err)
		prune := func(now time.Time) (deleted int64) {
			t.Helper()
			w.ok(w.gate.Maintain(w.ctx, func(tx *gate.Tx) (err error) {
				deleted, err = w.service.Prune(tx, now)
				return err
			}))
			return deleted
		}
		if n := prune(short.Expires.Add(24 * time.Hour)); n != 0 {
			t.Errorf("%d sessions were forgotten a day after the first one's end, to the microsecond", n)
		}
		if n := prune(short.Expires.Add(24*time.Hour + time.Microsecond)); n != 1 {
			t.Errorf("%d sessions were forgotten, want 1", n)
		}
		_, err = w.service.Principal(w.ctx, short.AccessKeyID)
		w.refused(err, fault.NotFound, short.AccessKeyID)
		_, err = w.service.Principal(w.ctx, long.AccessKeyID)
		w.ok(err)
	})
}

func TestSessionDurations(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		key := w.user("bob")
		for _, bad := range []time.Duration{0, -time.Hour, 15*time.Minute - time.Second, 36*time.Hour + time.Second} {
			_, err := made[iam.IssuedSession](w, w.as(key.ID), w.service.NewSession, bad)
			w.refused(err, fault.Invalid, "between 900 and 129600")
		}
		for _, good := range []time.Duration{15 * time.Minute, iam.DefaultSession, 36 * time.Hour} {
			session, err := made[iam.IssuedSession](w, w.as(key.ID), w.service.NewSession, good)
			w.ok(err)
			if got := session.Expires.Sub(session.Created.Time); got != good {
				t.Errorf("%s, want %s", got, good)
			}
		}
		session, err := made[iam.IssuedSession](w, w.pass(), w.service.NewSession, iam.DefaultSession)
		w.ok(err)
		if got := session.Expires.Sub(session.Created.Time); got != time.Hour {
			t.Errorf("root's session lives %s", got)
		}
		p, err := w.service.Principal(w.ctx, session.AccessKeyID)
		w.ok(err)
		if !p.Root || p.Expires.IsZero() || p.SessionToken == "" {
			t.Errorf("%+v", p)
		}
	})
}

// The trail holds no secret, and the database none in clear.
func TestSecretsAreNowhere(t *testing.T) {
	url := dbtest.SQLiteURL(t)
	w := newWorld(t, dbtest.Open(t, url))
	bob := w.user("bob")
	session, err := made[iam.IssuedSession](w, w.as(bob.ID), w.service.NewSession, time.Hour)
	w.ok(err)
	secrets := []gate.Secret{w.root.PlainSecret, bob.PlainSecret, session.PlainSecret, session.PlainToken}
	places := map[string][]byte{}
	for _, entry := range w.trail() {
		places["trail"] = append(places["trail"], entry.Record...)
	}
	if !bytes.Contains(places["trail"], []byte(bob.ID)) || !bytes.Contains(places["trail"], []byte(session.AccessKeyID)) {
		t.Error("the trail does not name the keys")
	}
	w.ok(w.db.Close())
	files, err := filepath.Glob(filepath.Join(filepath.Dir(strings.TrimPrefix(url, "sqlite:")), "*"))
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

// An expired session became valid again when somebody set the clock back.
func TestSessionsStayOverWhateverTheClockSays(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		key := w.user("bob")
		session, err := made[iam.IssuedSession](w, w.as(key.ID), w.service.NewSession, time.Hour)
		w.ok(err)
		refused := func(when string) {
			t.Helper()
			_, err := w.ask(session.AccessKeyID, session.PlainToken.Reveal(), "", "*")
			if !fault.Is(err, fault.Unauthenticated) {
				t.Errorf("%s: %v", when, err)
			}
		}
		w.clock.Set(-20 * time.Minute)
		_, err = w.ask(session.AccessKeyID, session.PlainToken.Reveal(), "", "*")
		w.ok(err) // within its hour
		w.clock.Pass(time.Hour)
		refused("after an hour, of which the clock shows 40 minutes")
		w.serve()
		refused("after a restart")
		w.clock.Reboot()
		w.clock.Set(-2 * time.Hour)
		w.serve()
		refused("after a reboot, by a clock that is before the session's beginning")
	})
}
