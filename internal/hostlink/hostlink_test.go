package hostlink_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/internal/access"
	"github.com/sallyport/sallyport/internal/ca"
	"github.com/sallyport/sallyport/internal/fault"
	"github.com/sallyport/sallyport/internal/gate"
	"github.com/sallyport/sallyport/internal/host"
	"github.com/sallyport/sallyport/internal/hostlink"
	"github.com/sallyport/sallyport/internal/hostproto"
	"github.com/sallyport/sallyport/internal/hosts"
	"github.com/sallyport/sallyport/internal/testkit/wait"
)

var (
	_ access.Links    = (*hostlink.Links)(nil)
	_ hostlink.Grants = (*access.Service)(nil)
	_ hostlink.Hosts  = (*hosts.Service)(nil)
)

func mustCertificate(t *testing.T, key ed25519.PrivateKey) tls.Certificate {
	t.Helper()
	if key == nil {
		return tls.Certificate{}
	}
	certificate, err := ca.SelfSigned(key, "machine")
	if err != nil {
		t.Fatal(err)
	}
	return certificate
}

func TestDeliver(t *testing.T) {
	d := newDeployment(t, 0)
	m := d.linked("i-1")
	if err := d.deliver(d.grant("i-1", "r1", "admin")); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"r1"}, m.holds()); diff != "" {
		t.Error(diff)
	}
	d.wait("the report", func() bool { return d.instances.report("i-1").Hostname == "i-1" })

	refusals := []struct {
		name  string
		grant access.Grant
		kind  fault.Kind
		about string
	}{
		{"unknown user", d.grant("i-1", "r2", "nobody"), fault.NotFound, "os-user"},
		{"host not linked", d.grant("i-2", "r3", "admin"), fault.Unavailable, "instance"},
		{"not signed", access.Grant{RequestID: "r4", InstanceID: "i-1", OSUser: "admin"}, fault.Unavailable, "instance"},
	}
	for _, refusal := range refusals {
		t.Run(refusal.name, func(t *testing.T) {
			if f := fault.Of(d.deliver(refusal.grant)); f.Kind != refusal.kind || f.Subject.String() != refusal.about {
				t.Errorf("got %v of %q: %v", f.Kind, f.Subject.String(), f)
			}
		})
	}
	if diff := cmp.Diff([]string{"r1"}, m.holds()); diff != "" {
		t.Error(diff)
	}
}

func TestDeliverToManyAtOnce(t *testing.T) {
	d := newDeployment(t, 0)
	machines := []*machine{d.linked("i-0"), d.linked("i-1"), d.linked("i-2")}
	const each = 50
	var wg sync.WaitGroup
	for _, m := range machines {
		for i := range each {
			grant := d.grant(m.id, fmt.Sprintf("%s-%d", m.id, i), "admin")
			wg.Go(func() {
				if err := d.deliver(grant); err != nil {
					t.Error(err)
				}
			})
		}
	}
	wg.Wait()
	for _, m := range machines {
		if n := len(m.holds()); n != each {
			t.Errorf("%s holds %d grants, want %d", m.id, n, each)
		}
	}
}

func TestRevoke(t *testing.T) {
	d := newDeployment(t, 0)
	m := d.linked("i-1")
	if err := d.deliver(d.grant("i-1", "r1", "admin")); err != nil {
		t.Fatal(err)
	}
	d.links.Revoke(context.Background(), "i-1", "r1")
	d.wait("the revocation", func() bool { return len(m.holds()) == 0 })
	if err := d.deliver(d.grant("i-1", "r1", "admin")); err == nil {
		t.Error("a revoked grant was taken again")
	}
	d.links.Revoke(context.Background(), "i-2", "r1") // not linked: does nothing
}

// A new link brings all live grants, however many there are.
func TestWelcomeBringsLiveGrants(t *testing.T) {
	d := newDeployment(t, 0)
	m := d.enroll("i-1")
	var want []string
	for i := range 3*hostproto.WelcomeGrants + 1 {
		g := d.grant("i-1", fmt.Sprintf("r%03d", i), "admin")
		d.grants.push(g)
		want = append(want, g.RequestID)
	}
	d.run(m)
	d.wait("the grants", func() bool { return len(m.holds()) == len(want) })
	if diff := cmp.Diff(want, m.holds()); diff != "" {
		t.Error(diff)
	}
}

// A grant that is pushed after the live grants were read and before the welcome is sent must survive the welcome, which
// replaces all grants.
func TestGrantPushedDuringTheWelcome(t *testing.T) {
	d := newDeployment(t, 0)
	m := d.enroll("i-1")
	delivered := make(chan error, 1)
	var once sync.Once
	d.grants.reading = func() {
		once.Do(func() {
			go func() { delivered <- d.deliver(d.grant("i-1", "r1", "admin")) }()
			time.Sleep(50 * time.Millisecond) // gives Deliver time to run
		})
	}
	d.run(m)
	select {
	case err := <-delivered:
		if err != nil {
			t.Fatal(err)
		}
	case <-time.After(wait.Patience):
		t.Fatal("the grant was not delivered")
	}
	if diff := cmp.Diff([]string{"r1"}, m.holds()); diff != "" {
		t.Error(diff)
	}
}

func TestRestart(t *testing.T) {
	d := newDeployment(t, 0)
	m := d.linked("i-1")
	kept, lost := d.grant("i-1", "kept", "admin"), d.grant("i-1", "withdrawn", "admin")
	d.grants.push(kept)
	for _, g := range []access.Grant{kept, lost} {
		if err := d.deliver(g); err != nil {
			t.Fatal(err)
		}
	}
	d.stop()
	if d.links.Linked("i-1") {
		t.Error("linked to a control plane that is gone")
	}
	if diff := cmp.Diff([]string{"kept", "withdrawn"}, m.holds()); diff != "" {
		t.Error("without the link the agent forgot its grants: " + diff)
	}
	d.start()
	d.wait("the link", func() bool { return d.links.Linked("i-1") })
	if err := d.deliver(d.grant("i-1", "new", "admin")); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"kept", "new"}, m.holds()); diff != "" {
		t.Error(diff)
	}
}

func TestDismiss(t *testing.T) {
	t.Run("linked", func(t *testing.T) {
		d := newDeployment(t, 0)
		m := d.enroll("i-1")
		ended := d.run(m)
		d.wait("the link", func() bool { return d.links.Linked("i-1") })
		d.links.Dismiss(context.Background(), "i-1")
		if d.links.Linked("i-1") {
			t.Error("still linked")
		}
		if err := <-ended; !errors.Is(err, host.ErrDismissed) {
			t.Errorf("the agent ended with %v", err)
		}
	})
	t.Run("not linked", func(t *testing.T) {
		d := newDeployment(t, 0)
		m := d.enroll("i-1")
		d.instances.terminate("i-1")
		d.links.Dismiss(context.Background(), "i-1")
		if err := <-d.run(m); !errors.Is(err, host.ErrDismissed) {
			t.Errorf("the agent ended with %v", err)
		}
	})
	// A database that lost a host, or another machine's key, must not make machines un-enroll.
	for name, forget := range map[string]func(d *deployment, m *machine){
		"unknown key": func(d *deployment, m *machine) { d.instances.byID = nil },
		"terminated under another key": func(d *deployment, m *machine) {
			d.enroll("i-1")
			d.instances.terminate("i-1")
		},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDeployment(t, 0)
			m := d.enroll("i-1")
			forget(d, m)
			request, err := http.NewRequest(http.MethodGet, "https://"+d.address+hostproto.LinkPath, nil)
			if err != nil {
				t.Fatal(err)
			}
			request.Header.Set(hostproto.InstanceHeader, "i-1")
			response, err := d.client(m.key).Do(request)
			if err != nil {
				t.Fatal(err)
			}
			response.Body.Close()
			if response.StatusCode != http.StatusForbidden {
				t.Errorf("status %d", response.StatusCode)
			}
		})
	}
}

// Grants expire by the control plane's clock, here an hour ahead of the machine's. The machine measures the remaining
// time by its uptime, which cannot be set.
func TestExpiryByTheServersClock(t *testing.T) {
	for _, ahead := range []time.Duration{time.Hour, -time.Hour} {
		t.Run(ahead.String(), func(t *testing.T) {
			d := newDeployment(t, ahead)
			m := d.linked("i-1")
			if err := d.deliver(d.grant("i-1", "r1", "admin")); err != nil {
				t.Fatal(err)
			}
			m.uptime.jump(30 * time.Second)
			if len(m.holds()) != 1 {
				t.Error("the grant was over after 30 s")
			}
			m.uptime.jump(31 * time.Second)
			if len(m.holds()) != 0 {
				t.Error("the grant was not over after 61 s")
			}
		})
	}
}

func TestReleases(t *testing.T) {
	d := newDeployment(t, 0)
	d.grants.push(d.grant("i-1", "r1", "admin"))
	spool, err := host.OpenSpool(filepath.Join(t.TempDir(), "releases"))
	if err != nil {
		t.Fatal(err)
	}
	defer spool.Close()
	m := d.enroll("i-1")
	m.link.Outbox = spool
	const many = 3*hostproto.MaxReleases + 1
	for i := range many {
		if err := spool.Add(hostproto.Release{
			EventID: fmt.Sprintf("e%d", i), RequestID: "r1", OSUser: "admin", Time: d.now(),
		}, "caller"); err != nil {
			t.Fatal(err)
		}
	}
	if err := spool.Add(hostproto.Release{EventID: "forged", RequestID: "another host's", OSUser: "admin"},
		"caller"); err != nil {
		t.Fatal(err)
	}
	d.grants.fail(true)
	d.run(m)
	d.wait("releases", func() bool { return d.grants.tellings() > 0 })
	if n := len(spool.Unsent(1000)); n != many+1 {
		t.Errorf("%d releases are left of %d although none was recorded", n, many+1)
	}
	d.grants.fail(false)
	d.stop() // a new link reports again at once
	d.start()
	d.wait("the events", func() bool { return len(spool.Unsent(1)) == 0 })
	told := d.grants.events()
	if len(told) != many {
		t.Errorf("%d events, want %d", len(told), many)
	}
	if _, forged := told["forged"]; forged {
		t.Error("a release of a grant of nobody became an event")
	}
	if told["e0"].InstanceID != "i-1" || told["e0"].RequestID != "r1" || told["e0"].OSUser != "admin" {
		t.Errorf("got %+v", told["e0"])
	}
}

// A report is acknowledged with its outcome, so that the agent knows whether to send it again.
func TestReportIsAcknowledged(t *testing.T) {
	for address, want := range map[string]string{"192.0.2.1": "", "here": hostproto.AckFailed} {
		t.Run(address, func(t *testing.T) {
			d := newDeployment(t, 0)
			conn := d.talk(d.enroll("i-1"))
			d.say(conn, hostproto.Message{Hello: &hostproto.Hello{}})
			if m, err := conn.Receive(wait.Patience); err != nil || m.Welcome == nil || m.Clocks == nil {
				t.Fatalf("the welcome is %+v, %v", m, err)
			}
			go conn.Receive(wait.Patience)
			answer, err := conn.Call(t.Context(), hostproto.Message{Report: &hostproto.Report{Addresses: []string{address}}})
			if err != nil || answer.Ack.Code != want {
				t.Errorf("the answer is %+v, %v", answer.Ack, err)
			}
		})
	}
}

// tooLong is an outbox whose one release is longer than a message.
type tooLong struct{}

func (tooLong) Unsent(int) []hostproto.Release {
	return []hostproto.Release{{EventID: "e", OSUser: strings.Repeat("x", hostproto.MaxMessage)}}
}
func (tooLong) Sent(string)            {}
func (tooLong) Ready() <-chan struct{} { return nil }

// An agent that ends its link itself logs why, and not that its session was shut down.
func TestWhyTheAgentEndsTheLink(t *testing.T) {
	d := newDeployment(t, 0)
	m := d.enroll("i-1")
	m.link.Outbox = tooLong{}
	ended := make(chan error, 100)
	m.link.Changed = func(err error) {
		if err != nil {
			ended <- err
		}
	}
	d.run(m)
	select {
	case err := <-ended:
		if !errors.Is(err, hostproto.ErrTooLong) {
			t.Errorf("the link ended because: %v", err)
		}
	case <-time.After(wait.Patience):
		t.Fatal("the link goes on")
	}
}

func TestEnroll(t *testing.T) {
	d := newDeployment(t, 0)
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	fingerprint, err := ca.Fingerprint(d.authority.Certificate().Raw)
	if err != nil {
		t.Fatal(err)
	}
	token := func(secret string) string {
		text, err := hostproto.FormatToken(hostproto.Token{
			Server: "https://" + d.address, Fingerprint: fingerprint, ID: "abc", Secret: []byte(secret),
		})
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	report := hostproto.Report{Hostname: "web-1", Addresses: []string{"192.0.2.7", "2001:db8::7"}}
	post := func(key ed25519.PrivateKey, body any) (int, map[string]any) {
		text, _ := json.Marshal(body)
		response, err := d.client(key).Post("https://"+d.address+hostproto.EnrollPath,
			"application/json", bytes.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		var answer map[string]any
		if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
			t.Fatal(err)
		}
		return response.StatusCode, answer
	}
	refused := []struct {
		name   string
		key    ed25519.PrivateKey
		body   any
		status int
	}{
		{"no key", nil, hostproto.Enroll{Token: token("the secret of the token"), Report: report}, http.StatusBadRequest},
		{"wrong secret", key, hostproto.Enroll{Token: token("another secret of it"), Report: report}, http.StatusForbidden},
		{"no token", key, hostproto.Enroll{Report: report}, http.StatusBadRequest},
		{"no enrollment", key, "text", http.StatusBadRequest},
		{
			"bad address", key,
			hostproto.Enroll{Token: token("the secret of the token"), Report: hostproto.Report{Addresses: []string{"here"}}},
			http.StatusBadRequest,
		},
	}
	for _, test := range refused {
		t.Run(test.name, func(t *testing.T) {
			status, answer := post(test.key, test.body)
			if message, _ := answer["message"].(string); status != test.status || message == "" {
				t.Errorf("got %d, %v", status, answer)
			}
			if text := fmt.Sprint(answer); strings.Contains(text, "secret of") {
				t.Errorf("the answer has the secret: %s", text)
			}
		})
	}
	status, answer := post(key, hostproto.Enroll{Token: token("the secret of the token"), Report: report})
	if status != http.StatusOK || answer["instanceId"] != "i-abc" || answer["region"] != region {
		t.Fatalf("got %d, %v", status, answer)
	}
	if _, err := d.instances.ByKey(context.Background(), key.Public().(ed25519.PublicKey)); err != nil {
		t.Error(err)
	}
	var failures []string
	for _, event := range d.written() {
		failures = append(failures, event.Name+" "+event.ErrorCode)
	}
	slices.Sort(failures)
	if diff := cmp.Diff([]string{"EnrollHost ", "EnrollHost invalid", "EnrollHost unauthenticated"},
		failures); diff != "" {
		t.Error(diff)
	}
}

func TestNeedsTLS(t *testing.T) {
	d := newDeployment(t, 0)
	handler := hostlink.Server{
		Links: d.links, Hosts: d.instances, Grants: d.grants,
		Gate:    gate.New(account, nobody{}, nobody{}, d.db, d.clock, rand.Reader),
		Account: account, Clock: d.clock, Random: rand.Reader, Log: d.log,
	}.Handler()
	for _, path := range []string{hostproto.LinkPath, hostproto.EnrollPath} {
		method := map[string]string{hostproto.LinkPath: http.MethodGet, hostproto.EnrollPath: http.MethodPost}[path]
		recorder := httptest.NewRecorder()
		request, err := http.NewRequest(method, path, strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		handler.ServeHTTP(recorder, request)
		if recorder.Code != http.StatusBadRequest {
			t.Errorf("%s: %d", path, recorder.Code)
		}
	}
}
