package hosts_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"net/netip"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/internal/clock/clocktest"
	"github.com/sallyport/sallyport/internal/db"
	"github.com/sallyport/sallyport/internal/db/dbtest"
	"github.com/sallyport/sallyport/internal/fault"
	"github.com/sallyport/sallyport/internal/gate"
	"github.com/sallyport/sallyport/internal/hosts"
	"github.com/sallyport/sallyport/internal/trail"
	"github.com/sallyport/sallyport/internal/uuid"
)

const (
	account = "123456789012"
	region  = "on-prem-1"
)

// world is the service over a real database, with a clock that the test moves.
type world struct {
	*hosts.Service
	t       *testing.T
	db      *db.Writer
	gate    *gate.Gate
	machine *clocktest.Machine

	mu        sync.Mutex
	dismissed []string
}

// each runs the test on both databases.
func each(t *testing.T, test func(t *testing.T, w *world)) {
	dbtest.Each(t, func(t *testing.T, database *db.Writer) { test(t, newWorld(t, database)) })
}

func newWorld(t *testing.T, database *db.Writer) *world {
	w := &world{t: t, db: database, machine: clocktest.New(time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC))}
	w.Service = hosts.New(database.DB, w, w, w.machine.Read, rand.Reader)
	w.gate = gate.New(account, w, w, database, w.machine.Tick, rand.Reader)
	return w
}

func (w *world) now() time.Time { return w.machine.Read().Time }

// Dismiss, Zone, Principal and ResourceTags stand in for the neighbouring rooms.

func (w *world) Dismiss(_ context.Context, id string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.dismissed = append(w.dismissed, id)
}

func (w *world) Zone(in, name string) (string, error) {
	switch name {
	case "":
		return in + "a", nil
	case in + "a", in + "b":
		return name, nil
	}
	return "", fault.New(fault.Invalid, fault.Zone, "no such zone")
}

func (w *world) Principal(context.Context, string) (gate.Principal, error) {
	return gate.Principal{}, fault.New(fault.NotFound, fault.AccessKey, "nobody")
}

func (w *world) ResourceTags(context.Context, string) (map[string]string, error) { return nil, nil }

// write runs fn with a host's pass. The room does not look at whose pass it is.
func (w *world) write(fn func(*gate.Tx) error) error {
	w.t.Helper()
	w.machine.Pass(time.Microsecond) // the trail is in the order of time
	pass, err := w.gate.AdmitHost(trail.Identity{Type: trail.Host, PrincipalID: "test"}, gate.Call{
		RequestID: uuid.New(time.Now(), rand.Reader), Name: "Test", Source: "test", Region: region,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return w.gate.Write(w.t.Context(), pass, fn)
}

func (w *world) token(request hosts.TokenRequest) (token hosts.Token, secret gate.Secret, err error) {
	w.t.Helper()
	err = w.write(func(tx *gate.Tx) (err error) {
		token, secret, err = w.CreateToken(tx, request)
		return err
	})
	return token, secret, err
}

func (w *world) apply(a hosts.Application) (host hosts.Host, err error) {
	w.t.Helper()
	err = w.write(func(tx *gate.Tx) (err error) {
		host, err = w.Enroll(tx, a)
		return err
	})
	return host, err
}

// enroll makes a host.
func (w *world) enroll() hosts.Host {
	w.t.Helper()
	token, secret, err := w.token(hosts.TokenRequest{})
	if err != nil {
		w.t.Fatal(err)
	}
	host, err := w.apply(hosts.Application{TokenID: token.ID, Secret: secret, PublicKey: newKey(), Report: report()})
	if err != nil {
		w.t.Fatal(err)
	}
	return host
}

func (w *world) report(id string, r hosts.Report) error {
	w.t.Helper()
	return w.write(func(tx *gate.Tx) error { return w.Report(tx, id, r) })
}

// host reads a host back.
func (w *world) host(id string) hosts.Host {
	w.t.Helper()
	found, err := db.Get(w.t.Context(), w.db.DB, func(tx *db.Tx) ([]hosts.Host, error) { return w.Find(tx, region, id) })
	if err != nil {
		w.t.Fatal(err)
	}
	return found[0]
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

func report() hosts.Report {
	return hosts.Report{
		Hostname: "web-1", OS: "Debian GNU/Linux 12 (bookworm)", Architecture: "x86_64", SSHPort: 22, Version: "1.0",
		Addresses: []netip.Addr{netip.MustParseAddr("10.0.0.7"), netip.MustParseAddr("2001:db8::7")},
		HostKeys:  []string{hostKeyLine()},
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

// events returns the trail, newest first.
func (w *world) events() []trail.Event {
	w.t.Helper()
	entries, err := trail.NewLog(w.db.DB).Events(w.t.Context(), trail.Query{Limit: 1000})
	if err != nil {
		w.t.Fatal(err)
	}
	var events []trail.Event
	for _, e := range entries {
		events = append(events, e.Event)
	}
	return events
}
