package access_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/internal/access"
	"github.com/sallyport/sallyport/internal/db/dbtest"
	"github.com/sallyport/sallyport/internal/fault"
	"github.com/sallyport/sallyport/internal/gate"
	"github.com/sallyport/sallyport/internal/keyblob"
)

func TestPush(t *testing.T) { each(t, testPush) }

func testPush(t *testing.T, w *world) {
	in := w.input()
	in.Zone = "on-prem-1a"
	pass := w.pass()
	grant, err := w.push(pass, in)
	if err != nil {
		t.Fatal(err)
	}
	if grant.RequestID != pass.RequestID() || grant.Expires != w.now().Add(time.Minute) ||
		grant.PublicKey != strings.TrimSpace(in.PublicKey) {
		t.Errorf("granted %+v", grant)
	}
	statement, err := (&keyblob.Verifier{Root: w.authority.Certificate()}).Verify(grant.Blob,
		keyblob.Expectation{InstanceID: w.host.ID, OSUser: "admin", Now: w.now()})
	if err != nil || statement.PublicKey != grant.PublicKey || statement.Caller != caller.ARN ||
		statement.RequestID != grant.RequestID {
		t.Errorf("the blob says %+v, %v", statement, err)
	}
	if len(w.delivered) != 1 || w.delivered[0].RequestID != grant.RequestID {
		t.Errorf("delivered %v", w.delivered)
	}
	if live := w.live(); len(live) != 1 || live[0].Blob.Text != grant.Blob.Text {
		t.Errorf("live: %v", live)
	}
	events := w.events("EventName", "SendSSHPublicKey")
	// The event of the host's enrollment names it too. The grant's id is the event's request id, which releases join.
	if len(events) != 2 || events[0].RequestID != grant.RequestID || events[0].Response != nil {
		t.Errorf("events: %+v", events)
	}
	w.sleep(time.Minute)
	if live := w.live(); len(live) != 0 {
		t.Errorf("after a minute: %v", live)
	}
}

func TestTwoKeysAtOnce(t *testing.T) { each(t, testTwoKeysAtOnce) }

func testTwoKeysAtOnce(t *testing.T, w *world) {
	w.granted()
	w.granted()
	if live := w.live(); len(live) != 2 {
		t.Errorf("%d of two keys are live", len(live))
	}
}

// A push that is refused leaves nothing behind: no grant, no delivery, and no event of success.
func TestPushRefuses(t *testing.T) { each(t, testPushRefuses) }

func testPushRefuses(t *testing.T, w *world) {
	offline, gone := w.enroll(), w.enroll()
	w.terminate(gone.ID)
	for name, test := range map[string]struct {
		spoil    func(*access.PushInput)
		kind     fault.Kind
		resource string
		says     string
	}{
		"several lines": {
			func(in *access.PushInput) { in.PublicKey = publicKey() + publicKey() },
			fault.Invalid, "public-key", "",
		},
		"5 KB": {
			func(in *access.PushInput) { in.PublicKey = strings.TrimSpace(publicKey()) + strings.Repeat(" x", 2500) },
			fault.Invalid, "public-key", "4096",
		},
		"RSA 1024": {func(in *access.PushInput) { in.PublicKey = rsaKey(1024) }, fault.Invalid, "public-key", "2048"},
		"DSA": {
			func(in *access.PushInput) { in.PublicKey = "ssh-dss " + strings.Repeat("AAAA", 100) },
			fault.Invalid, "public-key", "",
		},
		"private key": {
			func(in *access.PushInput) { in.PublicKey = "-----BEGIN OPENSSH PRIVATE KEY-----\n" },
			fault.Invalid, "public-key", "",
		},
		"options": {
			func(in *access.PushInput) { in.PublicKey = `command="id" ` + publicKey() },
			fault.Invalid, "public-key", "",
		},
		"no user":   {func(in *access.PushInput) { in.OSUser = "" }, fault.Invalid, "os-user", ""},
		"user":      {func(in *access.PushInput) { in.OSUser = "../root" }, fault.Invalid, "os-user", ""},
		"user line": {func(in *access.PushInput) { in.OSUser = "root\nx" }, fault.Invalid, "os-user", ""},
		"long user": {func(in *access.PushInput) { in.OSUser = strings.Repeat("u", 33) }, fault.Invalid, "os-user", ""},
		"zone":      {func(in *access.PushInput) { in.Zone = "on-prem-1b" }, fault.Invalid, "zone", "on-prem-1a"},
		"no instance": {
			func(in *access.PushInput) { in.InstanceID = "i-00000000000000000" },
			fault.NotFound, "instance", "",
		},
		"terminated": {func(in *access.PushInput) { in.InstanceID = gone.ID }, fault.WrongState, "instance", ""},
		"offline": {
			func(in *access.PushInput) { in.InstanceID = offline.ID },
			fault.WrongState, "instance", "Nothing was granted",
		},
	} {
		t.Run(name, func(t *testing.T) {
			in := w.input()
			test.spoil(&in)
			pass := w.pass()
			_, err := w.push(pass, in)
			want(t, err, test.kind, test.resource)
			if !strings.Contains(fault.Of(err).Message, test.says) {
				t.Errorf("%q does not say %q", err, test.says)
			}
			if events := w.events("EventName", "SendSSHPublicKey"); events[0].RequestID == pass.RequestID() {
				t.Errorf("it is recorded as done: %+v", events[0])
			}
		})
	}
	if len(w.delivered) != 0 {
		t.Errorf("delivered %v", w.delivered)
	}
}

func TestKeyTypes(t *testing.T) { each(t, testKeyTypes) }

func testKeyTypes(t *testing.T, w *world) {
	p256, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for name, key := range map[string]string{
		"rsa 2048": rsaKey(2048),
		"ecdsa":    line(p256.Public()),
		"sk": "sk-ssh-ed25519@openssh.com AAAAGnNrLXNzaC1lZDI1NTE5QG9wZW5zc2guY29t" +
			"AAAAIEX/dQ0v4127bEo8eeG1EV0ApO2lWbSnN6RWusn/NjqIAAAABHNzaDo= me@example",
	} {
		in := w.input()
		in.PublicKey = key
		if _, err := w.push(w.pass(), in); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// After a failed delivery the grant has ended, even if the host received it after all, and the event is the failure's.
func TestFailedDelivery(t *testing.T) { each(t, testFailedDelivery) }

func testFailedDelivery(t *testing.T, w *world) {
	for name, test := range map[string]struct {
		answer   error
		kind     fault.Kind
		resource string
		says     string
	}{
		"link lost": {
			fault.New(fault.Unavailable, fault.Instance, "The host did not answer."),
			fault.Unavailable, "instance", "did not answer",
		},
		"no user": {
			fault.New(fault.NotFound, fault.OSUser, "no such user"), fault.NotFound, "os-user", "Its users are: admin, root.",
		},
		"unknown": {errors.New("broken pipe"), fault.Internal, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			w.deliver = func(access.Grant) error { return test.answer }
			defer func() { w.deliver = nil }()
			pass := w.pass()
			_, err := w.push(pass, w.input())
			want(t, err, test.kind, test.resource)
			if !strings.Contains(fault.Of(err).Message, test.says) {
				t.Errorf("%q does not say %q", err, test.says)
			}
			if live := w.live(); len(live) != 0 {
				t.Errorf("still live: %v", live)
			}
			if w.revoked[len(w.revoked)-1] != pass.RequestID() {
				t.Errorf("revoked %v", w.revoked)
			}
			if err := w.gate.Record(t.Context(), caller, gate.Call{}, pass,
				&gate.Failure{Code: "Failed", Message: "m"}); err != nil {
				t.Fatal(err)
			}
			event := w.events("EventName", "SendSSHPublicKey")[0]
			if event.RequestID != pass.RequestID() || event.ErrorCode != "Failed" || event.Response != nil {
				t.Errorf("the event is %+v", event)
			}
		})
	}
}

func TestTerminationEndsGrants(t *testing.T) { each(t, testTerminationEndsGrants) }

func testTerminationEndsGrants(t *testing.T, w *world) {
	w.granted()
	w.terminate(w.host.ID)
	if live := w.live(); len(live) != 0 {
		t.Errorf("live on a terminated instance: %v", live)
	}
}

func rsaKey(bits int) string {
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		panic(err)
	}
	return line(key.Public())
}

func line(public any) string {
	key, err := ssh.NewPublicKey(public)
	if err != nil {
		panic(err)
	}
	return string(ssh.MarshalAuthorizedKey(key))
}

// Somebody set the control plane's clock back by half an hour: keys pushed half an hour ago were live again, and every
// host that linked was handed them. Or the clock was a day ahead while a key was pushed, and was then set right: the
// key was still live six hours later.
func TestNoGrantOutlivesItsMinute(t *testing.T) {
	for name, set := range map[string]struct{ before, after time.Duration }{
		"set back by half an hour": {0, -30 * time.Minute},
		"pushed a day ahead":       {24 * time.Hour, -24 * time.Hour},
		"set back a little":        {0, -20 * time.Second},
		"set forward":              {0, 20 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, dbtest.SQLite(t))
			w.machine.Set(set.before)
			w.granted()
			w.machine.Set(set.after)
			for _, restart := range []func(){func() {}, w.restart} {
				restart()
				if live := w.live(); len(live) != 1 {
					t.Fatalf("%d keys are live at once", len(live))
				}
			}
			w.sleep(access.GrantLifetime)
			for _, restart := range []func(){func() {}, w.restart} {
				restart()
				if live := w.live(); len(live) != 0 {
					t.Errorf("live after a minute: %v", live)
				}
			}
		})
	}
}

// After a reboot the clock does not tell how long the machine was down.
func TestNoGrantOutlivesTheBoot(t *testing.T) { each(t, testNoGrantOutlivesTheBoot) }

func testNoGrantOutlivesTheBoot(t *testing.T, w *world) {
	w.granted()
	w.machine.Reboot()
	w.machine.Set(-10 * time.Minute)
	w.restart()
	if live := w.live(); len(live) != 0 {
		t.Errorf("live after a reboot: %v", live)
	}
	w.granted()
	if live := w.live(); len(live) != 1 {
		t.Errorf("pushed after the reboot: %v", live)
	}
}
