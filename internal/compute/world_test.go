package compute_test

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

var regions = []compute.Region{
	{Name: region, Endpoint: "sallyport.example:8443", Zones: []string{"on-prem-1a", "on-prem-1b"}},
	{Name: "on-prem-2", Zones: []string{"on-prem-2a"}},
}

// world is the service over a real database, with links and a clock that the test moves.
type world struct {
	*compute.Service
	t         *testing.T
	store     *store.Store
	gate      *gate.Gate
	machine   *clocktest.Machine
	mu        sync.Mutex
	linked    map[string]bool
	dismissed []string
}

func newWorld(t *testing.T) *world {
	t.Helper()
	s, err := store.Open(t.Context(), filepath.Join(t.TempDir(), "db"), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	w := &world{t: t, store: s, machine: clocktest.New(time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC)), linked: map[string]bool{}}
	w.Service = compute.New(s, w, regions, w.machine.Read, rand.Reader)
	w.gate = gate.New(account, nobody{}, w.Service, s, w.machine.Read, rand.Reader)
	return w
}

func (w *world) now() time.Time { return w.machine.Read().Time }

func (w *world) Contention(string) string { return "" }

func (w *world) Linked(id string) bool { w.mu.Lock(); defer w.mu.Unlock(); return w.linked[id] }
func (w *world) Dismiss(_ context.Context, id string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.dismissed = append(w.dismissed, id)
	delete(w.linked, id)
}

type nobody struct{}

func (nobody) Principal(context.Context, string) (gate.Principal, error) {
	return gate.Principal{}, fault.New(fault.NotFound, "access-key", "nobody")
}

// pass lets the test in as a host: what the domain sees of a pass does not tell whose it is.
func (w *world) pass(in string) gate.Pass {
	w.t.Helper()
	pass, err := w.gate.AdmitHost(trail.Identity{Type: "Host", PrincipalID: "test"}, gate.Call{
		RequestID: uuid.New(time.Now(), rand.Reader), Name: "Test", Source: "test", Region: in,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return pass
}

func newKey() ed25519.PublicKey {
	public, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		panic(err)
	}
	return public
}

func hostKeyLine() string {
	key, err := ssh.NewPublicKey(newKey())
	if err != nil {
		panic(err)
	}
	line := ssh.MarshalAuthorizedKey(key)
	return string(line[:len(line)-1])
}

func report() compute.Report {
	return compute.Report{
		Hostname: "web-1", OS: "Debian GNU/Linux 12 (bookworm)", Architecture: "x86_64", SSHPort: 22, Version: "1.0",
		Addresses: []netip.Addr{netip.MustParseAddr("10.0.0.7"), netip.MustParseAddr("2001:db8::7")},
		HostKeys:  []string{hostKeyLine()},
		Users:     []string{"admin", "root"},
	}
}

// enroll makes a host with the tags.
func (w *world) enroll(tags map[string]string) compute.Instance {
	w.t.Helper()
	token, secret, err := w.CreateHostToken(w.t.Context(), w.pass(region), compute.TokenRequest{Tags: tags})
	if err != nil {
		w.t.Fatal(err)
	}
	instance, err := w.EnrollHost(w.t.Context(), w.pass(region), token.ID, secret, newKey(), report())
	if err != nil {
		w.t.Fatal(err)
	}
	return instance
}

// want fails the test unless err is a fault of the kind and resource.
func want(t *testing.T, err error, kind fault.Kind, resource string) {
	t.Helper()
	f := fault.Of(err)
	if err == nil || f.Kind != kind || f.Resource != resource {
		t.Errorf("got %v (%v %q), want a fault %v %q", err, f.Kind, f.Resource, kind, resource)
	}
}

// events returns the trail, newest first.
func (w *world) events() []trail.Event {
	w.t.Helper()
	entries, err := w.store.Events(w.t.Context(), trail.Query{Limit: 1000})
	if err != nil {
		w.t.Fatal(err)
	}
	var events []trail.Event
	for _, e := range entries {
		events = append(events, e.Event)
	}
	return events
}
