package controlplane_test

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2instanceconnect"
	"pgregory.net/rapid"

	"github.com/sallyport/sallyport/internal/access"
	"github.com/sallyport/sallyport/internal/ca"
	"github.com/sallyport/sallyport/internal/clock/clocktest"
	"github.com/sallyport/sallyport/internal/compute"
	"github.com/sallyport/sallyport/internal/db"
	"github.com/sallyport/sallyport/internal/db/dbtest"
	"github.com/sallyport/sallyport/internal/fault"
	"github.com/sallyport/sallyport/internal/gate"
	"github.com/sallyport/sallyport/internal/host"
	"github.com/sallyport/sallyport/internal/hostproto"
	"github.com/sallyport/sallyport/internal/sshkey"
	"github.com/sallyport/sallyport/internal/testkit"
	"github.com/sallyport/sallyport/internal/testkit/wait"
	"github.com/sallyport/sallyport/internal/trail"
	"github.com/sallyport/sallyport/internal/uuid"
)

// tolerance is how much longer than its minute a key may live, as docs/ARCHITECTURE.md promises.
const tolerance = time.Second

// Keys were pushed, and then clocks were set, by an administrator, by NTP, by a board without a battery: a key whose
// minute had passed was live again, or one was live for a day. Here the clocks of a control plane and of a host are set
// at random, both programs and both machines are restarted, links end and return, and the network is slow. No key may
// be live when a minute of true time has passed.
func TestNoClockKeepsAKeyAlive(t *testing.T) {
	plane := openPlane(t)
	rapid.Check(t, func(t *rapid.T) {
		w := newMoments(plane)
		t.Repeat(map[string]func(*rapid.T){
			"time passes": func(t *rapid.T) {
				w.pass(spread(time.Second, 10*time.Second, 25*time.Second, 60*time.Second).Draw(t, "for"))
			},
			"the control plane's time":  func(t *rapid.T) { w.disturb(); w.plane.Set(setBy().Draw(t, "set by")) },
			"the control plane reboots": func(t *rapid.T) { w.disturb(); w.plane.Reboot(); w.restartPlane() },
			"the control plane":         func(*rapid.T) { w.restartPlane() },
			"the host's time":           func(t *rapid.T) { w.host.Set(setBy().Draw(t, "set by")) },
			"the host reboots":          func(*rapid.T) { w.host.Reboot(); w.restartAgent() },
			"the agent":                 func(*rapid.T) { w.restartAgent() },
			"link":                      func(t *rapid.T) { w.link(t, w.delay(t), w.delay(t)) },
			"ping":                      func(t *rapid.T) { w.ping(w.delay(t), w.delay(t)) },
			"push":                      func(t *rapid.T) { w.push(t, w.delay(t)) },
			"":                          w.check,
		})
	})
}

// setBy generates by how much a clock is set.
func setBy() *rapid.Generator[time.Duration] {
	return spread(-72*time.Hour, -24*time.Hour, -30*time.Minute, -time.Minute, -40*time.Second, -20*time.Second,
		-5*time.Second, 5*time.Second, 20*time.Second, time.Minute, 30*time.Minute, 24*time.Hour, 72*time.Hour)
}

// spread generates one of the durations, or one of the same order.
func spread(some ...time.Duration) *rapid.Generator[time.Duration] {
	return rapid.Custom(func(t *rapid.T) time.Duration {
		percent := rapid.SampledFrom([]time.Duration{90, 95, 100, 105, 110}).Draw(t, "percent")
		return rapid.SampledFrom(some).Draw(t, "about") * percent / 100
	})
}

// openedPlane is what survives a control plane's restarts and is slow to make.
type openedPlane struct {
	db        *db.Writer
	authority *ca.Authority
	hosts     int
}

func openPlane(t *testing.T) *openedPlane {
	t.Helper()
	authority, err := ca.New(testkit.Account, time.Now(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return &openedPlane{db: dbtest.SQLite(t), authority: authority}
}

// moments are a control plane and a host, and what happens to them. The network between them is simulated, since a real
// one does not follow simulated time.
type moments struct {
	*openedPlane
	plane, host *clocktest.Machine
	now         time.Duration // true time
	target      compute.Target

	keys   *access.Service // replaced when the control plane restarts
	gate   *gate.Gate
	clock  *host.Clock // replaced when the agent restarts
	grants *host.Grants
	linked bool

	transit time.Duration // of the grant that is being pushed
	ack     hostproto.Ack
	pushed  map[string]*pushed
}

type pushed struct {
	at        time.Duration
	disturbed bool // something happened that may end it early
}

func newMoments(opened *openedPlane) *moments {
	opened.hosts++
	w := &moments{
		openedPlane: opened, plane: clocktest.New(time.Now()),
		host: clocktest.New(time.Unix(0, 0)), pushed: map[string]*pushed{},
		target: compute.Target{ID: fmt.Sprintf("i-%017x", opened.hosts), Region: testkit.Region},
	}
	w.restartPlane()
	w.restartAgent()
	return w
}

// pass advances true time. The host's clock runs a little faster or slower than the control plane's, as clocks do.
func (w *moments) pass(d time.Duration) {
	w.now += d
	w.plane.Pass(d - d/10_000)
	w.host.Pass(d + d/10_000)
}

func (w *moments) disturb() {
	for _, p := range w.pushed {
		p.disturbed = true
	}
}

func (w *moments) restartPlane() {
	w.linked = false
	now := func() time.Time { return w.plane.Read().Time }
	w.gate = gate.New(testkit.Account, nobody{}, nobody{}, w.db, w.plane.Read, rand.Reader)
	w.keys = access.New(w.db.DB, w, w, w.authority.Signers("sallyport", now), w.plane.Read)
}

func (w *moments) restartAgent() {
	w.linked = false
	w.clock = host.NewClock(w.host.Uptime)
	w.grants = host.NewGrants(w.root(), w.target.ID, w.clock, testkit.Users{"debian"}, func(string) error { return nil },
		slog.New(slog.DiscardHandler))
}

func (w *moments) root() *x509.Certificate { return w.authority.Certificate() }

// delay generates how long a message takes. Most are quick; a slow one may end keys early.
func (w *moments) delay(t *rapid.T) time.Duration {
	if rapid.SampledFrom([]string{"quick", "quick", "quick", "quick", "quick", "slow"}).Draw(t, "network") == "slow" {
		w.disturb()
		return spread(5*time.Second, 20*time.Second, 40*time.Second, 90*time.Second).Draw(t, "delay")
	}
	return spread(0, time.Millisecond, time.Second).Draw(t, "delay")
}

func (w *moments) clocks() hostproto.Clocks {
	now := w.plane.Read()
	return hostproto.Clocks{Time: now.Time, Uptime: now.Uptime}
}

func (w *moments) wire(g access.Grant) hostproto.Grant {
	now := w.plane.Read()
	return hostproto.Grant{RequestID: g.RequestID, OSUser: g.OSUser, Blob: g.Blob, Until: now.Uptime + g.Left(now)}
}

// link opens a new link: hello, welcome.
func (w *moments) link(t *rapid.T, there, back time.Duration) {
	sent := w.host.Uptime()
	w.pass(there)
	told := w.clocks()
	live, err := w.keys.LiveGrants(context.Background(), testkit.Region, w.target.ID)
	if err != nil {
		t.Fatal(err)
	}
	var grants []hostproto.Grant
	for _, g := range live {
		grants = append(grants, w.wire(g))
	}
	w.pass(back)
	w.clock.Start(told, sent, w.host.Uptime())
	w.grants.Replace(grants)
	w.linked = true
}

func (w *moments) ping(there, back time.Duration) {
	if !w.linked {
		return
	}
	sent := w.host.Uptime()
	w.pass(there)
	told := w.clocks()
	w.pass(back)
	w.clock.Set(told, sent, w.host.Uptime())
}

func (w *moments) push(t *rapid.T, transit time.Duration) {
	call := gate.Call{
		RequestID: uuid.New(time.Now(), rand.Reader), Name: "SendSSHPublicKey",
		Source: access.EventSource, Region: testkit.Region,
	}
	pass, err := w.gate.AdmitHost(trail.Identity{Type: trail.Host, PrincipalID: "test", ARN: "arn:test"}, call)
	if err != nil {
		t.Fatal(err)
	}
	key, err := sshkey.Generate(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	w.transit = transit
	w.pushed[call.RequestID] = &pushed{at: w.now, disturbed: w.early() > 4*time.Second}
	in := access.PushInput{InstanceID: w.target.ID, OSUser: "debian", PublicKey: key.Public.Line}
	err = w.gate.Write(context.Background(), pass, func(tx *gate.Tx) error {
		_, err := w.keys.Push(tx, in)
		return err
	})
	switch {
	case err != nil && w.linked && w.early()+transit < 50*time.Second:
		t.Fatalf("a key cannot be pushed: %v %+v", err, w.ack)
	case err != nil:
		delete(w.pushed, call.RequestID)
	}
}

// early returns how much earlier the agent ends keys because its best measurement of the control plane's clocks was
// slow.
func (w *moments) early() time.Duration {
	return w.host.Uptime() - w.clock.Reaches(w.plane.Read().Uptime)
}

// check checks which keys are live.
func (w *moments) check(t *rapid.T) {
	live, _ := w.grants.Find("debian", "")
	found := map[string]bool{}
	for _, g := range live {
		found[g.RequestID] = true
		p := w.pushed[g.RequestID]
		if p == nil {
			t.Fatal("a key lets somebody in that was never pushed with success")
		}
		if age := w.now - p.at; age > access.GrantLifetime+tolerance {
			t.Fatalf("a key lets somebody in %v after it was pushed", age)
		}
	}
	for id, p := range w.pushed {
		// A measurement may be off by its round trip of four seconds, and the signed end by a part of a second.
		if age := w.now - p.at; w.linked && !p.disturbed && age < access.GrantLifetime-6*time.Second && !found[id] {
			t.Fatalf("a key is over after %v, and no clock was set", age)
		}
	}
}

// The rooms that access uses.

func (w *moments) Target(*db.Tx, string, string) (compute.Target, error) {
	target := w.target
	if target.State = compute.Stopped; w.linked {
		target.State = compute.Running
	}
	return target, nil
}

func (w *moments) Revoke(_ context.Context, _, id string) { w.grants.Revoke(id) }

func (w *moments) Deliver(ctx context.Context, g access.Grant) error {
	told, wire := w.clocks(), w.wire(g)
	w.pass(w.transit)
	w.clock.Told(told)
	if w.ack = w.grants.Add(ctx, wire); w.ack.Code != "" {
		return fault.New(fault.Unavailable, fault.Instance, "%s", w.ack.Message)
	}
	return nil
}

type nobody struct{}

func (nobody) Principal(context.Context, string) (gate.Principal, error) {
	return gate.Principal{}, fault.New(fault.NotFound, fault.AccessKey, "nobody")
}

func (nobody) ResourceTags(context.Context, string) (map[string]string, error) { return nil, nil }

// The same with a whole control plane and real links: after its minute a key is gone from hosts that link again,
// although the control plane's time of day was set back, and although the key was pushed while it was ahead.
func TestClocksThatAreSet(t *testing.T) {
	for name, set := range map[string]struct{ before, after time.Duration }{
		"set back":     {0, -10 * time.Minute},
		"pushed ahead": {10 * time.Minute, -10 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			machine := clocktest.New(time.Now())
			s := testkit.StartOn(t, machine.Read)
			web := s.Host(t, "web-1", "debian")
			relink := func() {
				t.Helper()
				web.Disconnect()
				ctx, cancel := context.WithTimeout(t.Context(), wait.Patience)
				defer cancel()
				if err := web.Connect(ctx); err != nil {
					t.Fatal(err)
				}
			}
			machine.Set(set.before)
			relink()
			key, err := sshkey.Generate(rand.Reader)
			if err != nil {
				t.Fatal(err)
			}
			_, err = s.Clients(s.Root).EIC.SendSSHPublicKey(t.Context(), &ec2instanceconnect.SendSSHPublicKeyInput{
				InstanceId: aws.String(web.InstanceID), InstanceOSUser: aws.String("debian"),
				SSHPublicKey: aws.String(key.Public.Line),
			})
			if err != nil {
				t.Fatal(err)
			}
			if len(live(web)) != 1 {
				t.Fatal("the key does not let anybody in at once")
			}
			machine.Pass(access.GrantLifetime - 20*time.Second)
			relink()
			if len(live(web)) != 1 {
				t.Error("the key is over before its minute is")
			}
			machine.Pass(20 * time.Second)
			machine.Set(set.after)
			relink()
			if len(live(web)) != 0 {
				t.Error("the key outlives its minute")
			}
		})
	}
}
