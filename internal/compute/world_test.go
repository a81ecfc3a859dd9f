package compute_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/clock/clocktest"
	"github.com/sallyport/sallyport/internal/compute"
	"github.com/sallyport/sallyport/internal/db"
	"github.com/sallyport/sallyport/internal/db/dbtest"
	"github.com/sallyport/sallyport/internal/fault"
	"github.com/sallyport/sallyport/internal/gate"
	"github.com/sallyport/sallyport/internal/hosts"
	"github.com/sallyport/sallyport/internal/page"
	"github.com/sallyport/sallyport/internal/resource"
	"github.com/sallyport/sallyport/internal/trail"
	"github.com/sallyport/sallyport/internal/uuid"
)

const (
	account = "123456789012"
	region  = "on-prem-1"
)

var places = compute.Places{
	{Name: region, Endpoint: "sallyport.example:8443", Zones: []string{"on-prem-1a", "on-prem-1b"}},
	{Name: "on-prem-2", Zones: []string{"on-prem-2a"}},
}

// whole is a page that holds everything.
var whole = page.Page{Size: 1000}

// world is the service over a real database and real hosts, with links and a clock that the test moves.
type world struct {
	*compute.Service
	t         *testing.T
	hosts     *hosts.Service
	tags      *resource.Tags
	gate      *gate.Gate
	machine   *clocktest.Machine
	mu        sync.Mutex
	linked    map[string]bool
	dismissed []string
}

// each runs the test on both databases.
func each(t *testing.T, test func(t *testing.T, w *world)) {
	dbtest.Each(t, func(t *testing.T, database *db.Writer) { test(t, newWorld(t, database)) })
}

func newWorld(t *testing.T, database *db.Writer) *world {
	w := &world{
		t: t, machine: clocktest.New(time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC)), linked: map[string]bool{},
	}
	w.hosts = hosts.New(database.DB, w, places, w.machine.Read, rand.Reader)
	w.tags = resource.NewTags(database.DB, w.machine.Read)
	w.Service = compute.New(database.DB, w.hosts, w, places, w.machine.Read)
	w.gate = gate.New(account, w, w.tags, database, w.machine.Read, rand.Reader)
	return w
}

// The hosts' links.

func (w *world) Problem(string) string { return "" }

func (w *world) Linked(id string) bool { w.mu.Lock(); defer w.mu.Unlock(); return w.linked[id] }

func (w *world) Dismiss(_ context.Context, id string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.dismissed = append(w.dismissed, id)
	delete(w.linked, id)
}

// Principal knows nobody.
func (w *world) Principal(context.Context, string) (gate.Principal, error) {
	return gate.Principal{}, fault.New(fault.NotFound, fault.AccessKey, "nobody")
}

// pass returns a host's pass. The room does not look at whose pass it is.
func (w *world) pass(in string) gate.Pass {
	w.t.Helper()
	w.machine.Pass(time.Microsecond) // the trail is in the order of time
	pass, err := w.gate.AdmitHost(trail.Identity{Type: trail.Host, PrincipalID: "test"}, gate.Call{
		RequestID: uuid.New(time.Now(), rand.Reader), Name: "Test", Source: "test", Region: in,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return pass
}

func (w *world) write(in string, fn func(*gate.Tx) error) error {
	w.t.Helper()
	return w.gate.Write(w.t.Context(), w.pass(in), fn)
}

func (w *world) terminate(in string, ids ...string) (changes []compute.StateChange, err error) {
	w.t.Helper()
	err = w.write(in, func(tx *gate.Tx) (err error) {
		changes, err = w.Terminate(tx, ids)
		return err
	})
	return changes, err
}

// instance describes one instance.
func (w *world) instance(id string) (compute.Instance, error) {
	w.t.Helper()
	found, _, err := w.Instances(w.t.Context(), w.pass(region), compute.Query{IDs: []string{id}})
	if err != nil {
		return compute.Instance{}, err
	}
	return found[0], nil
}

// enroll makes a host with the tags.
func (w *world) enroll(tags map[string]string) hosts.Host {
	w.t.Helper()
	var host hosts.Host
	err := w.write(region, func(tx *gate.Tx) error {
		token, secret, err := w.hosts.CreateToken(tx, hosts.TokenRequest{Tags: tags})
		if err != nil {
			return err
		}
		public, _, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			return err
		}
		host, err = w.hosts.Enroll(tx, hosts.Application{
			TokenID: token.ID, Secret: secret, PublicKey: public, Report: report(),
		})
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return host
}

func report() hosts.Report {
	return hosts.Report{
		Hostname: "web-1", OS: "Debian GNU/Linux 12 (bookworm)", Architecture: "x86_64", SSHPort: 22, Version: "1.0",
		Addresses: []netip.Addr{netip.MustParseAddr("10.0.0.7"), netip.MustParseAddr("2001:db8::7")},
		Users:     []string{"admin", "root"},
	}
}

// want fails the test unless err is a fault of the kind and resource.
func want(t *testing.T, err error, kind fault.Kind, resource string) {
	t.Helper()
	f := fault.Of(err)
	if err == nil || f.Kind != kind || f.Subject.String() != resource {
		t.Errorf("got %v (%v %q), want a fault %v %q", err, f.Kind, f.Subject.String(), kind, resource)
	}
}
