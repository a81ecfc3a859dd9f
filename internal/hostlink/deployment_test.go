package hostlink_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/access"
	"github.com/sallyport/sallyport/internal/ca"
	"github.com/sallyport/sallyport/internal/clock"
	"github.com/sallyport/sallyport/internal/clock/clocktest"
	"github.com/sallyport/sallyport/internal/db"
	"github.com/sallyport/sallyport/internal/db/dbtest"
	"github.com/sallyport/sallyport/internal/fault"
	"github.com/sallyport/sallyport/internal/gate"
	"github.com/sallyport/sallyport/internal/host"
	"github.com/sallyport/sallyport/internal/hostlink"
	"github.com/sallyport/sallyport/internal/hostproto"
	"github.com/sallyport/sallyport/internal/hosts"
	"github.com/sallyport/sallyport/internal/keyblob"
	"github.com/sallyport/sallyport/internal/resource"
	"github.com/sallyport/sallyport/internal/testkit/wait"
	"github.com/sallyport/sallyport/internal/trail"
)

const (
	account = "000000000001"
	region  = "on-prem-1"
	// publicKey is any key. Nobody logs in with it.
	publicKey = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ1xMgAZ3UGSnR3kR4jCXE5bI6qLF3lF0D2oXLGyhVhz"
)

// deployment is a control plane that consists of hostlink, with fakes of the rooms that it uses.
type deployment struct {
	t         *testing.T
	authority *ca.Authority
	signer    keyblob.Signer
	ahead     atomic.Int64 // how far its clock is ahead of the machine's, in nanoseconds
	clock     clock.Clock
	agents    atomic.Int32 // the version that agents name; 0 for their own
	log       *slog.Logger
	address   string

	instances *instances
	grants    *grants
	db        *db.Writer

	links  *hostlink.Links
	server *httptest.Server
}

func newDeployment(t *testing.T, ahead time.Duration) *deployment {
	t.Helper()
	d := &deployment{t: t, log: slog.New(slog.DiscardHandler)}
	d.ahead.Store(int64(ahead))
	d.clock = clocktest.Follow(d.now)
	var err error
	if d.authority, err = ca.New(account, d.now(), rand.Reader); err != nil {
		t.Fatal(err)
	}
	if d.signer, err = d.authority.Signers("sallyport", d.now).Signer(region); err != nil {
		t.Fatal(err)
	}
	d.instances = &instances{byID: map[string]hosts.Host{}, reports: map[string]hosts.Report{}}
	d.grants = &grants{now: d.now, live: map[string][]access.Grant{}, released: map[string]access.Release{}}
	d.db = dbtest.SQLite(t)
	d.address = "127.0.0.1:0"
	d.start()
	t.Cleanup(d.stop)
	return d
}

func (d *deployment) now() time.Time { return time.Now().Add(time.Duration(d.ahead.Load())) }

// start starts a control plane, on the address of the previous one.
func (d *deployment) start() {
	d.t.Helper()
	d.links = hostlink.NewLinks(d.clock, d.log)
	handler := hostlink.Server{
		Links: d.links, Hosts: d.instances, Grants: d.grants,
		Gate:    gate.New(account, nobody{}, nobody{}, d.db, d.clock, rand.Reader),
		Account: account, Region: region, Authority: d.authority.Certificate().Raw,
		Clock: d.clock, Random: rand.Reader, Log: d.log,
	}.Handler()
	listener, err := net.Listen("tcp", d.address)
	if err != nil {
		d.t.Fatal(err)
	}
	d.address = listener.Addr().String()
	d.server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if version := d.agents.Load(); version != 0 {
			r.Header.Set("Sec-WebSocket-Protocol", fmt.Sprintf("sallyport-host.%d", version))
		}
		handler.ServeHTTP(w, r)
	}))
	d.server.Listener.Close()
	d.server.Listener = listener
	d.server.TLS = d.authority.ServerTLS(nil, d.now)
	d.server.Config.ErrorLog = slog.NewLogLogger(d.log.Handler(), slog.LevelError)
	d.server.StartTLS()
}

// stop ends the control plane as a restart would.
func (d *deployment) stop() {
	ctx, cancel := context.WithTimeout(context.Background(), wait.Patience)
	defer cancel()
	d.links.Drain(ctx)
	d.server.Close()
}

// machine is an enrolled machine.
type machine struct {
	id     string
	key    ed25519.PrivateKey
	clock  *host.Clock
	grants *host.Grants
	link   host.Link
	uptime *uptime
}

// enroll adds a machine without a token.
func (d *deployment) enroll(id string) *machine {
	d.t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		d.t.Fatal(err)
	}
	d.instances.put(hosts.Host{Head: resource.Head{ID: id, Region: region}, Zone: region + "a", PublicKey: public})
	certificate, err := ca.SelfSigned(private, id)
	if err != nil {
		d.t.Fatal(err)
	}
	m := &machine{id: id, key: private, uptime: &uptime{}}
	m.clock = host.NewClock(m.uptime.read)
	m.grants = host.NewGrants(d.authority.Certificate(), id, m.clock, onlyUser("admin"),
		func(string) error { return nil }, d.log)
	m.link = host.Link{
		Server: "https://" + d.address, InstanceID: id, TLS: func() (*tls.Config, error) { return d.clientTLS(certificate) },
		Clock: m.clock, Holder: m.grants, Random: rand.Reader, Log: d.log,
		Report: func(context.Context) hostproto.Report {
			return hostproto.Report{Hostname: id, Addresses: []string{"192.0.2.1"}}
		},
	}
	return m
}

// run keeps the machine's link up until the test ends, and returns a channel that delivers Run's result.
func (d *deployment) run(m *machine) <-chan error {
	ctx, cancel := context.WithCancel(context.Background())
	result := make(chan error, 1)
	done := make(chan struct{})
	go func() {
		defer close(done)
		result <- m.link.Run(ctx)
	}()
	d.t.Cleanup(func() {
		cancel()
		<-done
	})
	return result
}

// linked runs the machine's agent and waits until it is linked.
func (d *deployment) linked(id string) *machine {
	d.t.Helper()
	m := d.enroll(id)
	d.run(m)
	d.wait("the link", func() bool { return d.links.Linked(id) })
	return m
}

// grant makes a grant, live for a minute, for the user on the instance.
func (d *deployment) grant(instanceID, requestID, user string) access.Grant {
	d.t.Helper()
	g := access.Grant{
		RequestID: requestID, InstanceID: instanceID, OSUser: user, PublicKey: publicKey,
		Caller: trail.Identity{ARN: "arn:aws:iam::" + account + ":user/alice"},
		Issued: d.clock(), Expires: d.now().Add(access.GrantLifetime),
	}
	var err error
	g.Blob, err = keyblob.Sign(keyblob.Statement{
		Expires: g.Expires, InstanceID: instanceID, Caller: g.Caller.ARN,
		RequestID: requestID, OSUser: user, PublicKey: publicKey,
	}, d.signer)
	if err != nil {
		d.t.Fatal(err)
	}
	return g
}

func (d *deployment) deliver(g access.Grant) error {
	ctx, cancel := context.WithTimeout(context.Background(), wait.Patience)
	defer cancel()
	return d.links.Deliver(ctx, g)
}

func (d *deployment) wait(what string, ok func() bool) {
	d.t.Helper()
	wait.For(d.t, what, ok)
}

// holds returns the request ids of the grants that would let admin in.
func (m *machine) holds() []string {
	found, _ := m.grants.Find("admin", "")
	var ids []string
	for _, g := range found {
		ids = append(ids, g.RequestID)
	}
	return ids
}

// uptime is a machine's uptime, which can be made to jump.
type uptime struct {
	mu   sync.Mutex
	more time.Duration
}

func (u *uptime) read() time.Duration {
	u.mu.Lock()
	defer u.mu.Unlock()
	return clock.Uptime() + u.more
}

func (u *uptime) jump(d time.Duration) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.more += d
}

// onlyUser is a machine with one user.
type onlyUser string

func (u onlyUser) Judge(_ context.Context, name, _ string) hostproto.Ack {
	if name != string(u) {
		return hostproto.Ack{Code: hostproto.AckUnknownUser}
	}
	return hostproto.Ack{}
}

// instances is a fake of hosts.
type instances struct {
	mu      sync.Mutex
	byID    map[string]hosts.Host
	reports map[string]hosts.Report
	seen    int
}

func (i *instances) put(instance hosts.Host) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.byID[instance.ID] = instance
}

func (i *instances) terminate(id string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	instance := i.byID[id]
	instance.Ended = time.Now()
	i.byID[id] = instance
}

func (i *instances) report(id string) hosts.Report {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.reports[id]
}

func (i *instances) Enroll(tx *gate.Tx, a hosts.Application) (hosts.Host, error) {
	if a.Secret.Reveal() != "the secret of the token" {
		return hosts.Host{}, fault.New(fault.Unauthenticated, fault.HostToken, "The enrollment token is not valid.")
	}
	host := hosts.Host{
		Head: resource.Head{ID: "i-" + a.TokenID, Region: region},
		Zone: region + "a", PublicKey: a.PublicKey, Report: a.Report,
	}
	i.put(host)
	return host, tx.Check()
}

func (i *instances) ByKey(_ context.Context, key []byte) (hosts.Host, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	for _, instance := range i.byID {
		if string(instance.PublicKey) == string(key) && instance.Ended.IsZero() {
			return instance, nil
		}
	}
	return hosts.Host{}, fault.New(fault.NotFound, fault.Instance, "no such key")
}

func (i *instances) Dismissed(_ context.Context, id string, key []byte) (bool, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	instance, ok := i.byID[id]
	return ok && !instance.Ended.IsZero() && string(instance.PublicKey) == string(key), nil
}

func (i *instances) Report(tx *gate.Tx, id string, report hosts.Report) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.reports[id] = report
	return tx.Check()
}

func (i *instances) See(tx *gate.Tx, _ string, _ time.Time) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.seen++
	return tx.Check()
}

// grants is a fake of access.
type grants struct {
	now func() time.Time

	mu       sync.Mutex
	live     map[string][]access.Grant
	reading  func() // called by LiveGrants before it looks
	failing  bool
	released map[string]access.Release
	told     int
}

func (g *grants) push(grant access.Grant) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.live[grant.InstanceID] = append(g.live[grant.InstanceID], grant)
}

func (g *grants) LiveGrants(_ context.Context, _, id string) ([]access.Grant, error) {
	g.mu.Lock()
	reading, live := g.reading, slices.Clone(g.live[id])
	g.mu.Unlock()
	if reading != nil {
		reading()
	}
	return slices.DeleteFunc(live, func(grant access.Grant) bool { return !g.now().Before(grant.Expires) }), nil
}

func (g *grants) Released(tx *gate.Tx, release access.Release) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.told++
	if g.failing {
		return fmt.Errorf("the database is gone")
	}
	if !slices.ContainsFunc(g.live[release.InstanceID],
		func(grant access.Grant) bool { return grant.RequestID == release.RequestID }) {
		return fault.New(fault.NotFound, fault.Grant, "no such grant")
	}
	g.released[release.EventID] = release
	return tx.Check()
}

func (g *grants) events() map[string]access.Release {
	g.mu.Lock()
	defer g.mu.Unlock()
	return maps.Clone(g.released)
}

func (g *grants) fail(failing bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.failing = failing
}

func (g *grants) tellings() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.told
}

// written returns the events of the trail, newest first.
func (d *deployment) written() []trail.Event {
	d.t.Helper()
	entries, err := trail.NewLog(d.db.DB).Events(context.Background(), trail.Query{})
	if err != nil {
		d.t.Fatal(err)
	}
	var events []trail.Event
	for _, e := range entries {
		events = append(events, e.Event)
	}
	return events
}

// nobody is a deployment without users and tags.
type nobody struct{}

func (nobody) Principal(context.Context, string) (gate.Principal, error) {
	return gate.Principal{}, fault.New(fault.NotFound, fault.AccessKey, "there are none")
}

func (nobody) ResourceTags(context.Context, string) (map[string]string, error) { return nil, nil }

// clientTLS is the TLS configuration of one connection of a machine.
func (d *deployment) clientTLS(certificate tls.Certificate) (*tls.Config, error) {
	pin, err := ca.Fingerprint(d.authority.Certificate().Raw)
	if err != nil {
		return nil, err
	}
	return ca.ClientTLS(pin, certificate, rand.Reader)
}

// client returns an HTTP client for one connection, as a machine with the key would use. Without a key, it has no
// client certificate.
func (d *deployment) client(key ed25519.PrivateKey) *http.Client {
	config, err := d.clientTLS(mustCertificate(d.t, key))
	if err != nil {
		d.t.Fatal(err)
	}
	if key == nil {
		config.Certificates = nil
	}
	return &http.Client{
		Transport: &http.Transport{TLSClientConfig: config, DisableKeepAlives: true}, Timeout: wait.Patience,
	}
}
