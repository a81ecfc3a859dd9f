package hosts_test

import (
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/internal/fault"
	"github.com/sallyport/sallyport/internal/gate"
	"github.com/sallyport/sallyport/internal/hosts"
	"github.com/sallyport/sallyport/internal/resource"
)

func TestEnroll(t *testing.T) { each(t, testEnroll) }

func testEnroll(t *testing.T, w *world) {
	token, secret, err := w.token(hosts.TokenRequest{Zone: "on-prem-1b", Tags: map[string]string{"Name": "web"}})
	if err != nil {
		t.Fatal(err)
	}
	if token.Expires != w.now().Add(time.Hour) || len(secret.Reveal()) != 32 {
		t.Errorf("token expires %v with a secret of %d bytes", token.Expires, len(secret.Reveal()))
	}
	key := newKey()
	made, err := w.apply(hosts.Application{TokenID: token.ID, Secret: secret, PublicKey: key, Report: report()})
	if err != nil {
		t.Fatal(err)
	}
	if !resource.Instance.Valid(made.ID) || made.Zone != "on-prem-1b" || made.Tags["Name"] != "web" {
		t.Errorf("enrolled as %+v", made)
	}
	found, err := w.ByKey(t.Context(), key)
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

	_, err = w.apply(hosts.Application{TokenID: token.ID, Secret: secret, PublicKey: newKey(), Report: report()})
	want(t, err, fault.Unauthenticated, "host-token") // used
}

func TestEnrollRefuses(t *testing.T) { each(t, testEnrollRefuses) }

func testEnrollRefuses(t *testing.T, w *world) {
	token, secret, err := w.token(hosts.TokenRequest{})
	if err != nil {
		t.Fatal(err)
	}
	enroll := func(id string, secret gate.Secret, key []byte, r hosts.Report) error {
		_, err := w.apply(hosts.Application{TokenID: id, Secret: secret, PublicKey: key, Report: r})
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
	again, secret2, err := w.token(hosts.TokenRequest{})
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

// An expired token enrolled machines again after somebody set the clock back.
func TestTokensStayOverWhateverTheClockSays(t *testing.T) {
	each(t, testTokensStayOverWhateverTheClockSays)
}

func testTokensStayOverWhateverTheClockSays(t *testing.T, w *world) {
	token, secret, err := w.token(hosts.TokenRequest{Lifetime: hosts.MinTokenLifetime})
	if err != nil {
		t.Fatal(err)
	}
	w.machine.Pass(hosts.MinTokenLifetime)
	refused := func(when string) {
		t.Helper()
		_, err := w.apply(hosts.Application{TokenID: token.ID, Secret: secret, PublicKey: newKey(), Report: report()})
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

// A token enrolls one machine, however many present it at once.
func TestOneTokenOneHost(t *testing.T) { each(t, testOneTokenOneHost) }

func testOneTokenOneHost(t *testing.T, w *world) {
	token, secret, err := w.token(hosts.TokenRequest{})
	if err != nil {
		t.Fatal(err)
	}
	const machines = 8
	results := make([]error, machines)
	var wg sync.WaitGroup
	for i := range machines {
		wg.Go(func() {
			_, results[i] = w.apply(hosts.Application{
				TokenID: token.ID, Secret: secret, PublicKey: newKey(), Report: report(),
			})
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

func TestCreateHostTokenRefuses(t *testing.T) { each(t, testCreateHostTokenRefuses) }

func testCreateHostTokenRefuses(t *testing.T, w *world) {
	for name, test := range map[string]struct {
		request  hosts.TokenRequest
		kind     fault.Kind
		resource string
	}{
		"zone of another region": {hosts.TokenRequest{Zone: "on-prem-2a"}, fault.Invalid, "zone"},
		"too long":               {hosts.TokenRequest{Lifetime: 25 * time.Hour}, fault.Invalid, "lifetime"},
		"too short":              {hosts.TokenRequest{Lifetime: time.Second}, fault.Invalid, "lifetime"},
		"reserved tag":           {hosts.TokenRequest{Tags: map[string]string{"aws:x": ""}}, fault.Invalid, "tag"},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := w.token(test.request)
			want(t, err, test.kind, test.resource)
		})
	}
}

func TestHostileReports(t *testing.T) { each(t, testHostileReports) }

func testHostileReports(t *testing.T, w *world) {
	host := w.enroll()
	before := w.host(host.ID)
	many := func(n int, s string) []string { return strings.Split(strings.Repeat(s+"\n", n), "\n")[:n] }
	for name, spoil := range map[string]func(*hosts.Report){
		"no host name":          func(r *hosts.Report) { r.Hostname = "" },
		"terminal escape":       func(r *hosts.Report) { r.Hostname = "web\x1b[2J" },
		"long host name":        func(r *hosts.Report) { r.Hostname = strings.Repeat("a", 254) },
		"newline in OS":         func(r *hosts.Report) { r.OS = "Debian\nevil" },
		"long OS":               func(r *hosts.Report) { r.OS = strings.Repeat("x", 129) },
		"bad UTF-8":             func(r *hosts.Report) { r.Version = "\xff" },
		"architecture":          func(r *hosts.Report) { r.Architecture = "x86 64" },
		"port 0":                func(r *hosts.Report) { r.SSHPort = 0 },
		"port 65536":            func(r *hosts.Report) { r.SSHPort = 65536 },
		"unspecified address":   func(r *hosts.Report) { r.Addresses = []netip.Addr{netip.IPv4Unspecified()} },
		"no address at all":     func(r *hosts.Report) { r.Addresses = []netip.Addr{{}} },
		"multicast":             func(r *hosts.Report) { r.Addresses = []netip.Addr{netip.MustParseAddr("224.0.0.1")} },
		"addresses without end": func(r *hosts.Report) { r.Addresses = make([]netip.Addr, 65) },
		"host keys without end": func(r *hosts.Report) { r.HostKeys = many(17, hostKeyLine()) },
		"users without end":     func(r *hosts.Report) { r.Users = many(1001, "u") },
		"known_hosts injection": func(r *hosts.Report) { r.HostKeys = []string{hostKeyLine() + "\n* " + hostKeyLine()} },
		"key with comment":      func(r *hosts.Report) { r.HostKeys = []string{hostKeyLine() + " comment"} },
		"key of another type": func(r *hosts.Report) {
			r.HostKeys = []string{"ssh-rsa " + strings.Fields(hostKeyLine())[1]}
		},
		"marker before the key": func(r *hosts.Report) { r.HostKeys = []string{"@cert-authority " + hostKeyLine()} },
		"not a key":             func(r *hosts.Report) { r.HostKeys = []string{"ssh-ed25519 AAAA"} },
		"line break in base64": func(r *hosts.Report) {
			r.HostKeys = []string{strings.Replace(hostKeyLine(), "AAAA", "AA\nAA", 1) + "="}
		},
		"a single word for keys": func(r *hosts.Report) { r.HostKeys = []string{"ssh-ed25519"} },
	} {
		t.Run(name, func(t *testing.T) {
			r := report()
			spoil(&r)
			want(t, w.report(host.ID, r), fault.Invalid, "host-report")
		})
	}
	after := w.host(host.ID)
	if diff := cmp.Diff(before.Report, after.Report,
		cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
		t.Errorf("a refused report changed something:\n%s", diff)
	}
}

// Base64 decoders skip line breaks, so the stored line is made of the decoded key.
func TestHostKeysAreStoredAsOneLine(t *testing.T) { each(t, testHostKeysAreStoredAsOneLine) }

func testHostKeysAreStoredAsOneLine(t *testing.T, w *world) {
	host := w.enroll()
	r := report()
	line := r.HostKeys[0]
	r.HostKeys = []string{line[:40] + "\n" + line[40:]}
	if err := w.report(host.ID, r); err != nil {
		t.Fatal(err)
	}
	got := w.host(host.ID)
	if len(got.Report.HostKeys) != 1 || got.Report.HostKeys[0] != line {
		t.Errorf("stored %q, want %q", got.Report.HostKeys, line)
	}
}

func TestReportIsAnEventOnlyIfItChanges(t *testing.T) { each(t, testReportIsAnEventOnlyIfItChanges) }

func testReportIsAnEventOnlyIfItChanges(t *testing.T, w *world) {
	host := w.enroll()
	r := host.Report
	r.Users = []string{"root", "admin", "root", "not a login name"}
	count := len(w.events())
	if err := w.report(host.ID, r); err != nil {
		t.Fatal(err)
	}
	if n := len(w.events()); n != count {
		t.Errorf("the order of users made %d events", n-count)
	}
	r.Hostname, r.HostKeys = "web-2", []string{hostKeyLine()}
	if err := w.report(host.ID, r); err != nil {
		t.Fatal(err)
	}
	events := w.events()
	if len(events) != count+1 {
		t.Fatalf("a new name and key made %d events", len(events)-count)
	}
	if diff := cmp.Diff([]any{"hostname", "hostKeys"}, events[0].ServiceDetails["changed"]); diff != "" {
		t.Error(diff)
	}
	if got := w.host(host.ID); got.Report.Hostname != "web-2" || len(got.Report.Users) != 2 {
		t.Errorf("stored %+v", got.Report)
	}
	if err := w.write(func(tx *gate.Tx) error { return w.See(tx, host.ID, w.now()) }); err != nil {
		t.Fatal(err)
	}
	if got := w.host(host.ID); !got.LastSeen.Equal(w.now()) {
		t.Errorf("last seen %v", got.LastSeen)
	}
	if n := len(w.events()); n != count+1 {
		t.Errorf("that it was seen made %d events", n-count-1)
	}
}

// Prune keeps an expired token for a day, so that its machine is told that it expired.
func TestPrune(t *testing.T) { each(t, testPrune) }

func testPrune(t *testing.T, w *world) {
	token, secret, err := w.token(hosts.TokenRequest{})
	if err != nil {
		t.Fatal(err)
	}
	prune := func() (dropped int64) {
		err := w.gate.Maintain(t.Context(), func(tx *gate.Tx) (err error) {
			dropped, err = w.Prune(tx, w.now())
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return dropped
	}
	w.machine.Pass(25*time.Hour - time.Millisecond)
	if n := prune(); n != 0 {
		t.Errorf("%d tokens were forgotten at the end of their day", n)
	}
	_, err = w.apply(hosts.Application{TokenID: token.ID, Secret: secret, PublicKey: newKey(), Report: report()})
	if err == nil || !strings.Contains(err.Error(), "expired") {
		t.Errorf("an expired token says %v", err)
	}
	w.machine.Pass(time.Second)
	if n := prune(); n != 1 {
		t.Errorf("%d tokens were forgotten a day after their end", n)
	}
}

// An un-enrolled machine may enroll again with the same key. Only a machine that proves that key may be told to remove
// our agent.
func TestUnenroll(t *testing.T) { each(t, testUnenroll) }

func testUnenroll(t *testing.T, w *world) {
	host := w.enroll()
	for range 2 {
		err := w.write(func(tx *gate.Tx) error {
			found, err := w.Find(tx.Tx, region, host.ID)
			if err != nil {
				return err
			}
			return w.Unenroll(tx, found[0])
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff([]string{host.ID}, w.dismissed); diff != "" {
		t.Errorf("dismissed: %s", diff)
	}
	if _, err := w.ByKey(t.Context(), host.PublicKey); !fault.Is(err, fault.NotFound) {
		t.Errorf("an un-enrolled host is still known by its key: %v", err)
	}
	want(t, w.report(host.ID, report()), fault.WrongState, "instance")
	for _, test := range []struct {
		id  string
		key []byte
		yes bool
	}{
		{host.ID, host.PublicKey, true}, {host.ID, []byte("another"), false},
		{"i-00000000000000000", host.PublicKey, false},
	} {
		if yes, err := w.Dismissed(t.Context(), test.id, test.key); err != nil || yes != test.yes {
			t.Errorf("Dismissed(%s, %q): %v, %v", test.id, test.key, yes, err)
		}
	}
	token, secret, err := w.token(hosts.TokenRequest{})
	if err != nil {
		t.Fatal(err)
	}
	again, err := w.apply(hosts.Application{
		TokenID: token.ID, Secret: secret, PublicKey: host.PublicKey, Report: report(),
	})
	if err != nil {
		t.Fatal(err)
	}
	if found, err := w.ByKey(t.Context(), host.PublicKey); err != nil || found.ID != again.ID {
		t.Errorf("by its key: %v, %v", found.ID, err)
	}
}
