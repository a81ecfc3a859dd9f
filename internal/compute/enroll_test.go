package compute_test

import (
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/internal/compute"
	"github.com/sallyport/sallyport/internal/fault"
	"github.com/sallyport/sallyport/internal/gate"
)

func TestEnroll(t *testing.T) {
	w := newWorld(t)
	token, secret, err := w.CreateHostToken(t.Context(), w.pass(region), compute.TokenRequest{Zone: "on-prem-1b", Tags: map[string]string{"Name": "web"}})
	if err != nil {
		t.Fatal(err)
	}
	if token.Expires != w.now().Add(time.Hour) || len(secret.Reveal()) != 32 {
		t.Errorf("token expires %v with a secret of %d bytes", token.Expires, len(secret.Reveal()))
	}
	key := newKey()
	made, err := w.EnrollHost(t.Context(), w.pass(region), token.ID, secret, key, report())
	if err != nil {
		t.Fatal(err)
	}
	if !compute.ValidInstanceID(made.ID) || made.Zone != "on-prem-1b" || made.State != compute.Stopped || made.Tags["Name"] != "web" {
		t.Errorf("enrolled as %+v", made)
	}
	found, err := w.HostByKey(t.Context(), key)
	if err != nil || found.ID != made.ID {
		t.Errorf("by its key: %v, %v", found.ID, err)
	}
	event := w.events()[0]
	if len(event.Resources) != 1 || event.Resources[0].Name() != made.ID || event.Response["instanceId"] != made.ID {
		t.Errorf("the event does not name the instance: %+v", event)
	}
	for _, e := range w.events() {
		if record, _ := e.Record(); strings.Contains(string(record), secret.Reveal()) {
			t.Errorf("the secret is in the trail: %s", record)
		}
	}

	_, err = w.EnrollHost(t.Context(), w.pass(region), token.ID, secret, newKey(), report())
	want(t, err, fault.Unauthenticated, "host-token") // used
}

func TestEnrollRefuses(t *testing.T) {
	w := newWorld(t)
	token, secret, err := w.CreateHostToken(t.Context(), w.pass(region), compute.TokenRequest{})
	if err != nil {
		t.Fatal(err)
	}
	enroll := func(id string, secret gate.Secret, key []byte, r compute.Report) error {
		_, err := w.EnrollHost(t.Context(), w.pass(region), id, secret, key, r)
		return err
	}
	want(t, enroll(token.ID, "wrong", newKey(), report()), fault.Unauthenticated, "host-token")
	want(t, enroll(token.ID, "", newKey(), report()), fault.Unauthenticated, "host-token")
	want(t, enroll("ht-none", secret, newKey(), report()), fault.Unauthenticated, "host-token")
	want(t, enroll("", "", newKey(), report()), fault.Unauthenticated, "host-token")
	want(t, enroll(token.ID, secret, []byte("short"), report()), fault.Invalid, "host-key")

	key := newKey()
	if err := enroll(token.ID, secret, key, report()); err != nil {
		t.Fatal(err)
	}
	again, secret2, err := w.CreateHostToken(t.Context(), w.pass(region), compute.TokenRequest{})
	if err != nil {
		t.Fatal(err)
	}
	want(t, enroll(again.ID, secret2, key, report()), fault.Exists, "instance")

	w.machine.Pass(again.Expires.Sub(w.now()))
	err = enroll(again.ID, secret2, newKey(), report())
	want(t, err, fault.Unauthenticated, "host-token")
	if !strings.Contains(err.Error(), "expired") {
		t.Errorf("an expired token says %v", err)
	}
	if err := enroll(again.ID, "wrong", newKey(), report()); strings.Contains(err.Error(), "expired") {
		t.Errorf("who does not know the secret learns that the token expired: %v", err)
	}
}

// A token that was over enrolled machines again when somebody set the clock back.
func TestTokensStayOverWhateverTheClockSays(t *testing.T) {
	w := newWorld(t)
	token, secret, err := w.CreateHostToken(t.Context(), w.pass(region), compute.TokenRequest{Lifetime: compute.MinTokenLifetime})
	if err != nil {
		t.Fatal(err)
	}
	w.machine.Pass(compute.MinTokenLifetime)
	refused := func(when string) {
		t.Helper()
		_, err := w.EnrollHost(t.Context(), w.pass(region), token.ID, secret, newKey(), report())
		if !fault.Is(err, fault.Unauthenticated) {
			t.Errorf("%s: %v", when, err)
		}
	}
	w.machine.Set(-30 * time.Minute)
	refused("set back")
	w.machine.Reboot()
	w.machine.Set(-24 * time.Hour)
	refused("rebooted, by a clock that is before its beginning")
}

// A token is one-time, however many machines come at once.
func TestOneTokenOneHost(t *testing.T) {
	w := newWorld(t)
	token, secret, err := w.CreateHostToken(t.Context(), w.pass(region), compute.TokenRequest{})
	if err != nil {
		t.Fatal(err)
	}
	const machines = 8
	results := make([]error, machines)
	var wg sync.WaitGroup
	for i := range machines {
		pass := w.pass(region)
		wg.Go(func() {
			_, results[i] = w.EnrollHost(t.Context(), pass, token.ID, secret, newKey(), report())
		})
	}
	wg.Wait()
	succeeded := 0
	for _, err := range results {
		if err == nil {
			succeeded++
		} else {
			want(t, err, fault.Unauthenticated, "host-token")
		}
	}
	if succeeded != 1 {
		t.Errorf("%d machines enrolled with one token", succeeded)
	}
}

func TestCreateHostTokenRefuses(t *testing.T) {
	w := newWorld(t)
	for name, test := range map[string]struct {
		request  compute.TokenRequest
		kind     fault.Kind
		resource string
	}{
		"zone of another region": {compute.TokenRequest{Zone: "on-prem-2a"}, fault.Invalid, "zone"},
		"too long":               {compute.TokenRequest{Lifetime: 25 * time.Hour}, fault.Invalid, "lifetime"},
		"too short":              {compute.TokenRequest{Lifetime: time.Second}, fault.Invalid, "lifetime"},
		"reserved tag":           {compute.TokenRequest{Tags: map[string]string{"aws:x": ""}}, fault.Invalid, "tag"},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := w.CreateHostToken(t.Context(), w.pass(region), test.request)
			want(t, err, test.kind, test.resource)
		})
	}
}

func TestHostileReports(t *testing.T) {
	w := newWorld(t)
	host := w.enroll(nil)
	before, err := w.store.Instance(t.Context(), host.ID)
	if err != nil {
		t.Fatal(err)
	}
	many := func(n int, s string) []string { return strings.Split(strings.Repeat(s+"\n", n), "\n")[:n] }
	for name, spoil := range map[string]func(*compute.Report){
		"no host name":          func(r *compute.Report) { r.Hostname = "" },
		"terminal escape":       func(r *compute.Report) { r.Hostname = "web\x1b[2J" },
		"long host name":        func(r *compute.Report) { r.Hostname = strings.Repeat("a", 254) },
		"newline in OS":         func(r *compute.Report) { r.OS = "Debian\nevil" },
		"long OS":               func(r *compute.Report) { r.OS = strings.Repeat("x", 129) },
		"bad UTF-8":             func(r *compute.Report) { r.Version = "\xff" },
		"architecture":          func(r *compute.Report) { r.Architecture = "x86 64" },
		"port 0":                func(r *compute.Report) { r.SSHPort = 0 },
		"port 65536":            func(r *compute.Report) { r.SSHPort = 65536 },
		"unspecified address":   func(r *compute.Report) { r.Addresses = []netip.Addr{netip.IPv4Unspecified()} },
		"no address at all":     func(r *compute.Report) { r.Addresses = []netip.Addr{{}} },
		"multicast":             func(r *compute.Report) { r.Addresses = []netip.Addr{netip.MustParseAddr("224.0.0.1")} },
		"addresses without end": func(r *compute.Report) { r.Addresses = make([]netip.Addr, 65) },
		"host keys without end": func(r *compute.Report) { r.HostKeys = many(17, hostKeyLine()) },
		"users without end":     func(r *compute.Report) { r.Users = many(1001, "u") },
		"known_hosts injection": func(r *compute.Report) { r.HostKeys = []string{hostKeyLine() + "\n* " + hostKeyLine()} },
		"key with comment":      func(r *compute.Report) { r.HostKeys = []string{hostKeyLine() + " comment"} },
		"key of another type":   func(r *compute.Report) { r.HostKeys = []string{"ssh-rsa " + strings.Fields(hostKeyLine())[1]} },
		"marker before the key": func(r *compute.Report) { r.HostKeys = []string{"@cert-authority " + hostKeyLine()} },
		"not a key":             func(r *compute.Report) { r.HostKeys = []string{"ssh-ed25519 AAAA"} },
		"line break in base64": func(r *compute.Report) {
			r.HostKeys = []string{strings.Replace(hostKeyLine(), "AAAA", "AA\nAA", 1) + "="}
		},
		"a single word for keys": func(r *compute.Report) { r.HostKeys = []string{"ssh-ed25519"} },
	} {
		t.Run(name, func(t *testing.T) {
			r := report()
			spoil(&r)
			want(t, w.ReportHost(t.Context(), w.pass(region), host.ID, r), fault.Invalid, "host-report")
		})
	}
	after, err := w.store.Instance(t.Context(), host.ID)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before.Report, after.Report, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
		t.Errorf("a refused report changed something:\n%s", diff)
	}
}

// Base64 decoders skip line breaks. What is stored must be made of the key itself.
func TestHostKeysAreStoredAsOneLine(t *testing.T) {
	w := newWorld(t)
	host := w.enroll(nil)
	r := report()
	line := r.HostKeys[0]
	r.HostKeys = []string{line[:40] + "\n" + line[40:]}
	if err := w.ReportHost(t.Context(), w.pass(region), host.ID, r); err != nil {
		t.Fatal(err)
	}
	got, err := w.Instance(t.Context(), w.pass(region), host.ID)
	if err != nil || len(got.Report.HostKeys) != 1 || got.Report.HostKeys[0] != line {
		t.Errorf("stored %q, %v; want %q", got.Report.HostKeys, err, line)
	}
}

func TestReportIsAnEventOnlyIfItChanges(t *testing.T) {
	w := newWorld(t)
	host := w.enroll(nil)
	r := host.Report
	r.Users = []string{"root", "admin", "root", "not a login name"}
	count := len(w.events())
	if err := w.ReportHost(t.Context(), w.pass(region), host.ID, r); err != nil {
		t.Fatal(err)
	}
	if n := len(w.events()); n != count {
		t.Errorf("the order of users made %d events", n-count)
	}
	r.Hostname, r.HostKeys = "web-2", []string{hostKeyLine()}
	if err := w.ReportHost(t.Context(), w.pass(region), host.ID, r); err != nil {
		t.Fatal(err)
	}
	events := w.events()
	if len(events) != count+1 {
		t.Fatalf("a new name and key made %d events", len(events)-count)
	}
	if diff := cmp.Diff([]any{"hostname", "hostKeys"}, events[0].ServiceDetails["changed"]); diff != "" {
		t.Error(diff)
	}
	got, err := w.Instance(t.Context(), w.pass(region), host.ID)
	if err != nil || got.Report.Hostname != "web-2" || len(got.Report.Users) != 2 {
		t.Errorf("stored %+v, %v", got.Report, err)
	}
	if err := w.SeeHost(t.Context(), w.pass(region), host.ID, w.now()); err != nil {
		t.Fatal(err)
	}
	if got, err = w.Instance(t.Context(), w.pass(region), host.ID); err != nil || !got.LastSeen.Equal(w.now()) {
		t.Errorf("last seen %v, %v", got.LastSeen, err)
	}
}
