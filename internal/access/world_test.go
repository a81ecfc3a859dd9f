package access_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"net/netip"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/internal/access"
	"github.com/sallyport/sallyport/internal/ca"
	"github.com/sallyport/sallyport/internal/clock/clocktest"
	"github.com/sallyport/sallyport/internal/compute"
	"github.com/sallyport/sallyport/internal/db"
	"github.com/sallyport/sallyport/internal/db/dbtest"
	"github.com/sallyport/sallyport/internal/fault"
	"github.com/sallyport/sallyport/internal/gate"
	"github.com/sallyport/sallyport/internal/hosts"
	"github.com/sallyport/sallyport/internal/resource"
	"github.com/sallyport/sallyport/internal/trail"
	"github.com/sallyport/sallyport/internal/uuid"
)

const (
	account = "123456789012"
	region  = "on-prem-1"
)

var caller = trail.Identity{
	Type: "Host", PrincipalID: "AIDAALICE",
	ARN: "arn:aws:iam::123456789012:user/alice", AccountID: account, UserName: "alice",
}

// world is the service over a real database, real instances and real signatures. Only the links are the test's.
type world struct {
	*access.Service
	t         *testing.T
	db        *db.Writer
	hosts     *hosts.Service
	instances *compute.Service
	gate      *gate.Gate
	authority *ca.Authority
	host      hosts.Host

	machine *clocktest.Machine

	mu        sync.Mutex
	linked    map[string]bool
	delivered []access.Grant
	revoked   []string
	deliver   func(access.Grant) error // nil succeeds
}

// each runs the test on both databases.
func each(t *testing.T, test func(t *testing.T, w *world)) {
	dbtest.Each(t, func(t *testing.T, database *db.Writer) { test(t, newWorld(t, database)) })
}

func newWorld(t *testing.T, database *db.Writer) *world {
	t.Helper()
	w := &world{
		t: t, db: database, machine: clocktest.New(time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC)), linked: map[string]bool{},
	}
	var err error
	if w.authority, err = ca.New(account, w.now(), rand.Reader); err != nil {
		t.Fatal(err)
	}
	places := compute.Places{{Name: region, Zones: []string{"on-prem-1a"}}}
	w.hosts = hosts.New(database.DB, w, places, w.machine.Read, rand.Reader)
	w.instances = compute.New(database.DB, w.hosts, w, places, w.machine.Read)
	tags := resource.NewTags(database.DB, w.machine.Read)
	w.gate = gate.New(account, nobody{}, tags, database, w.machine.Tick, rand.Reader)
	w.restart()
	w.host = w.enroll()
	w.linked[w.host.ID] = true
	return w
}

// restart replaces the service by a new one over the same database.
func (w *world) restart() {
	w.Service = access.New(w.db.DB, w.instances, w, w.authority.Signers("sallyport", w.now), w.machine.Read)
}

func (w *world) now() time.Time        { return w.machine.Read().Time }
func (w *world) sleep(d time.Duration) { w.machine.Pass(d) }

// The host's end of the link.

func (w *world) Problem(string) string { return "" }

func (w *world) Linked(id string) bool           { w.mu.Lock(); defer w.mu.Unlock(); return w.linked[id] }
func (w *world) Dismiss(context.Context, string) {}
func (w *world) Revoke(_ context.Context, _, requestID string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.revoked = append(w.revoked, requestID)
}

func (w *world) Deliver(_ context.Context, g access.Grant) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.delivered = append(w.delivered, g)
	if w.deliver != nil {
		return w.deliver(g)
	}
	return nil
}

type nobody struct{}

func (nobody) Principal(context.Context, string) (gate.Principal, error) {
	return gate.Principal{}, fault.New(fault.NotFound, fault.AccessKey, "nobody")
}

func (w *world) pass() gate.Pass {
	w.t.Helper()
	w.machine.Pass(time.Microsecond) // the trail is in the order of time
	pass, err := w.gate.AdmitHost(caller, gate.Call{
		RequestID: uuid.New(time.Now(), rand.Reader), Name: "SendSSHPublicKey", Source: access.EventSource, Region: region,
		Parameters: map[string]any{"of": "the pass"},
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return pass
}

func (w *world) write(pass gate.Pass, fn func(*gate.Tx) error) error {
	return w.gate.Write(w.t.Context(), pass, fn)
}

func (w *world) enroll() (host hosts.Host) {
	w.t.Helper()
	err := w.write(w.pass(), func(tx *gate.Tx) error {
		token, secret, err := w.hosts.CreateToken(tx, hosts.TokenRequest{})
		if err != nil {
			return err
		}
		public, _, _ := ed25519.GenerateKey(rand.Reader)
		report := hosts.Report{
			Hostname: "web-1", OS: "Debian", Architecture: "x86_64", SSHPort: 22, Version: "1",
			Addresses: []netip.Addr{netip.MustParseAddr("10.0.0.7")}, Users: []string{"admin", "root"},
		}
		host, err = w.hosts.Enroll(tx, hosts.Application{
			TokenID: token.ID, Secret: secret, PublicKey: public, Report: report,
		})
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return host
}

// push pushes a key in a call of its own.
func (w *world) push(pass gate.Pass, in access.PushInput) (grant access.Grant, err error) {
	w.t.Helper()
	err = w.write(pass, func(tx *gate.Tx) (err error) {
		grant, err = w.Push(tx, in)
		return err
	})
	return grant, err
}

// released reports a release as the host does.
func (w *world) released(release access.Release) error {
	w.t.Helper()
	return w.write(w.pass(), func(tx *gate.Tx) error { return w.Released(tx, release) })
}

func (w *world) terminate(id string) {
	w.t.Helper()
	err := w.write(w.pass(), func(tx *gate.Tx) error {
		_, err := w.instances.Terminate(tx, []string{id})
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

// prune calls Prune as the control plane does.
func (w *world) prune() {
	w.t.Helper()
	for more := true; more; {
		err := w.gate.Maintain(w.t.Context(), func(tx *gate.Tx) error {
			dropped, err := w.Prune(tx, w.now())
			more = dropped > 0
			return err
		})
		if err != nil {
			w.t.Fatal(err)
		}
	}
}

func publicKey() string {
	public, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		panic(err)
	}
	key, err := ssh.NewPublicKey(public)
	if err != nil {
		panic(err)
	}
	return string(ssh.MarshalAuthorizedKey(key))
}

func (w *world) input() access.PushInput {
	return access.PushInput{InstanceID: w.host.ID, OSUser: "admin", PublicKey: publicKey()}
}

// granted pushes a key and fails the test on an error.
func (w *world) granted() access.Grant {
	w.t.Helper()
	grant, err := w.push(w.pass(), w.input())
	if err != nil {
		w.t.Fatal(err)
	}
	return grant
}

func (w *world) live() []access.Grant {
	w.t.Helper()
	grants, err := w.LiveGrants(w.t.Context(), region, w.host.ID)
	if err != nil {
		w.t.Fatal(err)
	}
	return grants
}

func (w *world) events(attribute, value string) []trail.Event {
	w.t.Helper()
	entries, err := trail.NewLog(w.db.DB).Events(w.t.Context(),
		trail.Query{Attribute: attribute, Value: value, Limit: 5000})
	if err != nil {
		w.t.Fatal(err)
	}
	var events []trail.Event
	for _, e := range entries {
		events = append(events, e.Event)
	}
	return events
}

func want(t *testing.T, err error, kind fault.Kind, resource string) {
	t.Helper()
	f := fault.Of(err)
	if err == nil || f.Kind != kind || f.Subject.String() != resource {
		t.Errorf("got %v (%v %q), want a fault %v %q", err, f.Kind, f.Subject.String(), kind, resource)
	}
}
