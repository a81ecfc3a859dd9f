package access_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"log/slog"
	"net/netip"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/internal/access"
	"github.com/sallyport/sallyport/internal/ca"
	"github.com/sallyport/sallyport/internal/clock/clocktest"
	"github.com/sallyport/sallyport/internal/compute"
	"github.com/sallyport/sallyport/internal/fault"
	"github.com/sallyport/sallyport/internal/gate"
	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/internal/trail"
	"github.com/sallyport/sallyport/internal/uuid"
)

const (
	account = "123456789012"
	region  = "on-prem-1"
)

var caller = trail.Identity{Type: "Host", PrincipalID: "AIDAALICE", ARN: "arn:aws:iam::123456789012:user/alice", AccountID: account, UserName: "alice"}

// world is the service over a real database, real instances and real signatures; only the far end of the
// links is the test's.
type world struct {
	*access.Service
	t         *testing.T
	store     *store.Store
	instances *compute.Service
	gate      *gate.Gate
	authority *ca.Authority
	host      compute.Instance

	machine *clocktest.Machine

	mu        sync.Mutex
	linked    map[string]bool
	delivered []access.Grant
	revoked   []string
	deliver   func(access.Grant) error // nil succeeds
}

func newWorld(t *testing.T) *world {
	t.Helper()
	s, err := store.Open(t.Context(), filepath.Join(t.TempDir(), "db"), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	w := &world{t: t, store: s, machine: clocktest.New(time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC)), linked: map[string]bool{}}
	if w.authority, err = ca.New(account, w.now(), rand.Reader); err != nil {
		t.Fatal(err)
	}
	w.instances = compute.New(s, w, []compute.Region{{Name: region, Zones: []string{"on-prem-1a"}}}, w.machine.Read, rand.Reader)
	w.gate = gate.New(account, nobody{}, w.instances, s, w.machine.Read, rand.Reader)
	w.restart()
	w.host = w.enroll()
	w.linked[w.host.ID] = true
	return w
}

// restart makes the service anew: what it has not stored is forgotten.
func (w *world) restart() {
	w.Service = access.New(w.store, w.instances, w, w.authority.Signers("sallyport", w.now), w.machine.Read)
}

func (w *world) now() time.Time        { return w.machine.Read().Time }
func (w *world) sleep(d time.Duration) { w.machine.Pass(d) }

// The host's end of the link.

func (w *world) Contention(string) string { return "" }

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
	return gate.Principal{}, fault.New(fault.NotFound, "access-key", "nobody")
}

func (w *world) pass() gate.Pass {
	w.t.Helper()
	pass, err := w.gate.AdmitHost(caller, gate.Call{
		RequestID: uuid.New(time.Now(), rand.Reader), Name: "SendSSHPublicKey", Source: access.EventSource, Region: region,
		Parameters: map[string]any{"of": "the pass"},
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return pass
}

func (w *world) enroll() compute.Instance {
	w.t.Helper()
	token, secret, err := w.instances.CreateHostToken(w.t.Context(), w.pass(), compute.TokenRequest{})
	if err != nil {
		w.t.Fatal(err)
	}
	public, _, _ := ed25519.GenerateKey(rand.Reader)
	instance, err := w.instances.EnrollHost(w.t.Context(), w.pass(), token.ID, secret, public, compute.Report{
		Hostname: "web-1", OS: "Debian", Architecture: "x86_64", SSHPort: 22, Version: "1",
		Addresses: []netip.Addr{netip.MustParseAddr("10.0.0.7")}, Users: []string{"admin", "root"},
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return instance
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

func (w *world) push() access.Grant {
	w.t.Helper()
	grant, err := w.Push(w.t.Context(), w.pass(), w.input())
	if err != nil {
		w.t.Fatal(err)
	}
	return grant
}

func (w *world) live() []access.Grant {
	w.t.Helper()
	grants, err := w.LiveGrants(w.t.Context(), w.host.ID)
	if err != nil {
		w.t.Fatal(err)
	}
	return grants
}

func (w *world) events(attribute, value string) []trail.Event {
	w.t.Helper()
	entries, err := w.store.Events(w.t.Context(), trail.Query{Attribute: attribute, Value: value, Limit: 5000})
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
	if err == nil || f.Kind != kind || f.Resource != resource {
		t.Errorf("got %v (%v %q), want a fault %v %q", err, f.Kind, f.Resource, kind, resource)
	}
}
