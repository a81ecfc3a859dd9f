package host

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/internal/ca"
	"github.com/sallyport/sallyport/internal/hostproto"
	"github.com/sallyport/sallyport/internal/keyblob"
	"github.com/sallyport/sallyport/internal/sshkey"
)

const (
	instanceID = "i-0123456789abcdef0"
	publicKey  = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ1xMgAZ3UGSnR3kR4jCXE5bI6qLF3lF0D2oXLGyhVhz"
)

var quiet = slog.New(slog.DiscardHandler)

// issuer signs grants as a control plane does.
type issuer struct {
	authority  *ca.Authority
	signer     keyblob.Signer
	instanceID string
}

func newIssuer(t *testing.T) issuer {
	t.Helper()
	authority, err := ca.New("000000000001", time.Now(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := authority.Signer("on-prem-1", "sallyport", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return issuer{authority, signer, instanceID}
}

func (i issuer) grant(t *testing.T, requestID, user string, expires time.Time) hostproto.Grant {
	t.Helper()
	blob, err := keyblob.Sign(keyblob.Statement{
		Expires: expires, InstanceID: i.instanceID, Caller: "arn:aws:iam::000000000001:user/alice", RequestID: requestID,
		OSUser: user, PublicKey: publicKey,
	}, i.signer)
	if err != nil {
		t.Fatal(err)
	}
	return hostproto.Grant{RequestID: requestID, OSUser: user, Blob: blob, Until: clocksAt(expires).Uptime}
}

// clocksAt returns the clocks, at the time, of a control plane whose time of day is never set.
func clocksAt(t time.Time) hostproto.Clocks {
	return hostproto.Clocks{Time: t, Uptime: t.Sub(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))}
}

func TestConfig(t *testing.T) {
	directory := filepath.Join(t.TempDir(), "made")
	if _, err := Load(directory); !errors.Is(err, ErrNotEnrolled) {
		t.Errorf("an empty directory: %v", err)
	}
	want := Config{
		Server: "https://192.0.2.1:7443", InstanceID: instanceID, Account: "000000000001", Region: "r", Zone: "ra",
		Socket: "/run/x.sock", Spool: "/var/x", KeysUser: "nobody",
		SSHPort: 2222, Addresses: []netip.Addr{netip.MustParseAddr("127.0.0.2")},
		SSHDConfig: "/etc/x", HostKeyFiles: []string{"/k.pub"},
	}
	if err := want.Save(directory); err != nil {
		t.Fatal(err)
	}
	got, err := Load(directory)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
		t.Error(diff)
	}
	if info, err := os.Stat(filepath.Join(directory, ConfigFile)); err != nil || info.Mode().Perm() != 0o644 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	for _, bad := range []string{
		`{"server":"https://a:1","instanceId":"i-1","sever":"typo"}`, `{"server":"http://a:1","instanceId":"i-1"}`,
		`{"server":"https://a:1"}`, `{"server":"https://a:1","instanceId":"i-1","sshPort":70000}`, ``, `[]`,
	} {
		if err := os.WriteFile(filepath.Join(directory, ConfigFile), []byte(bad), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := Load(directory); err == nil {
			t.Errorf("%s was accepted", bad)
		}
	}
	if err := (Config{}).Save(directory); err == nil {
		t.Error("the zero Config was saved")
	}
}

func TestConfigDefaults(t *testing.T) {
	directory := t.TempDir()
	if err := (Config{Server: "https://a:1", InstanceID: "i-1"}).Save(directory); err != nil {
		t.Fatal(err)
	}
	c, err := Load(directory)
	if err != nil || c.Socket != DefaultSocket || c.Spool != DefaultSpool || c.SSHPort != 0 {
		t.Errorf("got %+v, %v", c, err)
	}
}

func TestClock(t *testing.T) {
	var uptime time.Duration
	clock := NewClock(func() time.Duration { return uptime })
	if _, known := clock.Now(); known {
		t.Error("a new clock knows the time")
	}
	noon := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	check := func(what string, want time.Time) {
		t.Helper()
		if now, known := clock.Now(); !known || !now.Equal(want) {
			t.Errorf("%s: %v, want %v", what, now, want)
		}
	}
	told := func(up time.Duration) hostproto.Clocks { return hostproto.Clocks{Time: noon.Add(up), Uptime: up} }
	uptime = 10 * time.Second
	clock.Set(told(0), 8*time.Second, 10*time.Second)
	check("it may be ahead by the round trip, and is never behind", noon.Add(2*time.Second))
	uptime = 40 * time.Second
	check("the uptime carries it on", noon.Add(32*time.Second))
	clock.Set(told(20*time.Second), 30*time.Second, 40*time.Second)
	check("a slower measurement does not replace another", noon.Add(32*time.Second))
	clock.Set(told(0), 41*time.Second, 40*time.Second)
	check("one that ends before it begins is none", noon.Add(32*time.Second))
	clock.Set(told(31*time.Second), 39*time.Second, 40*time.Second)
	check("a quicker one does", noon.Add(32*time.Second))
	if at := clock.Reaches(91 * time.Second); at != 99*time.Second {
		t.Errorf("the control plane's uptime is 91 s at ours of %v", at)
	}
	clock.Told(hostproto.Clocks{Time: noon.Add(-time.Hour), Uptime: 31 * time.Second})
	check("the control plane's time may be set", noon.Add(-time.Hour+time.Second))
	if at := clock.Reaches(91 * time.Second); at != 99*time.Second {
		t.Errorf("after its time was set the control plane's uptime is 91 s at ours of %v", at)
	}
	uptime = 1500 * time.Second
	clock.Set(told(1488*time.Second), 1498*time.Second, 1500*time.Second)
	check("an old measurement gives way to a somewhat slower one", noon.Add(1490*time.Second))
	clock.Start(told(time.Second), 1490*time.Second, 1500*time.Second)
	check("a new link begins anew, however slow it is", noon.Add(11*time.Second))
}

func TestGrants(t *testing.T) {
	issuer, stranger := newIssuer(t), newIssuer(t)
	var uptime time.Duration
	clock := NewClock(func() time.Duration { return uptime })
	grants := NewGrants(issuer.authority.Certificate(), instanceID, clock, users{
		"alice": "", "bob": "", "ldap": hostproto.AckFailed, "old": hostproto.AckRefused,
	}, func(string) error { return nil }, quiet)
	now := time.Now()
	add := func(g hostproto.Grant) string { return grants.Add(context.Background(), g).Code }
	ids := func(user, fingerprint string) []string {
		found, _ := grants.Find(user, fingerprint)
		var ids []string
		for _, g := range found {
			ids = append(ids, g.RequestID)
		}
		return ids
	}
	live := issuer.grant(t, "r1", "alice", now.Add(time.Minute))
	if code := add(live); code != hostproto.AckBadGrant {
		t.Errorf("before the time is known: %q", code)
	}
	clock.Set(clocksAt(now), 0, 0)

	renamed := issuer.grant(t, "r2", "alice", now.Add(time.Minute))
	renamed.RequestID = "other"
	moved := issuer.grant(t, "r3", "alice", now.Add(time.Minute))
	moved.OSUser = "bob"
	for _, test := range []struct {
		name  string
		grant hostproto.Grant
		code  string
	}{
		{"live", live, ""},
		{"again", live, ""},
		{"of bob", issuer.grant(t, "r4", "bob", now.Add(30*time.Second)), ""},
		{"expired", issuer.grant(t, "r5", "alice", now), hostproto.AckBadGrant},
		{"unknown user", issuer.grant(t, "r6", "eve", now.Add(time.Minute)), hostproto.AckUnknownUser},
		{"expired account", issuer.grant(t, "r7", "old", now.Add(time.Minute)), hostproto.AckRefused},
		{"directory down", issuer.grant(t, "r7", "ldap", now.Add(time.Minute)), hostproto.AckFailed},
		{"another authority", stranger.grant(t, "r8", "alice", now.Add(time.Minute)), hostproto.AckBadGrant},
		{"another request's", renamed, hostproto.AckBadGrant},
		{"another user's", moved, hostproto.AckBadGrant},
		{"empty", hostproto.Grant{}, hostproto.AckBadGrant},
	} {
		if code := add(test.grant); code != test.code {
			t.Errorf("%s: %q, want %q", test.name, code, test.code)
		}
	}
	for _, test := range []struct {
		user, fingerprint string
		want              []string
	}{
		{"alice", "", []string{"r1"}},
		{"alice", sshkey.Fingerprint(publicKey), []string{"r1"}},
		{"alice", "SHA256:another", nil},
		{"bob", "", []string{"r4"}},
		{"eve", "", nil},
		{"", "", nil},
	} {
		if diff := cmp.Diff(test.want, ids(test.user, test.fingerprint)); diff != "" {
			t.Errorf("Find(%q, %q): %s", test.user, test.fingerprint, diff)
		}
	}
	uptime = 31 * time.Second
	if got := ids("bob", ""); got != nil {
		t.Errorf("after its end: %v", got)
	}
	grants.Revoke("r1")
	grants.Revoke("r9")
	late := issuer.grant(t, "r9", "alice", now.Add(time.Minute))
	if code := add(late); code == "" {
		t.Error("a grant that was revoked before it came was taken")
	}
	if got := ids("alice", ""); got != nil {
		t.Errorf("after it was revoked: %v", got)
	}
	grants.Replace([]hostproto.Grant{late, {RequestID: "bad"}})
	if diff := cmp.Diff([]string{"r9"}, ids("alice", "")); diff != "" {
		t.Error(diff)
	}
}

// users are a machine's users, each with the code of the Ack that judging it returns.
type users map[string]string

func (u users) Judge(_ context.Context, name, _ string) hostproto.Ack {
	code, ok := u[name]
	if !ok {
		code = hostproto.AckUnknownUser
	}
	return hostproto.Ack{Code: code}
}

func TestLookup(t *testing.T) {
	for name, want := range map[string]bool{
		"root": true, "": false, "no such user here": false, "0": false, "--help": false, "a:b": false, "../x": false,
	} {
		_, got, err := lookup(context.Background(), name)
		if err != nil || got != want {
			t.Errorf("%q: %v, %v", name, got, err)
		}
	}
}

func TestLoginUsers(t *testing.T) {
	path := filepath.Join(t.TempDir(), "passwd")
	text := "root:x:0:0:root:/root:/bin/bash\ndaemon:x:1:1::/:/usr/sbin/nologin\n# note:x:1:1::/:/bin/sh\n+nis::::::\n" +
		"sync:x:4:65534::/bin:/bin/sync\nalice:x:1000:1000::/home/alice:\nbroken:x\nodd:x:one:1::/:/bin/sh\n" +
		"bob:x:1001:1001::/home/bob:/bin/false\n"
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	got, err := LoginUsers(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]LoginUser{{"root", 0}, {"alice", 1000}}, got); diff != "" {
		t.Error(diff)
	}
}

// unwatched returns a Watch of an sshd without a configuration.
func unwatched(t *testing.T) *Watch {
	return NewWatch(Config{SSHDConfig: filepath.Join(t.TempDir(), "none")}, t.TempDir(), quiet)
}

func TestReport(t *testing.T) {
	directory := t.TempDir()
	key := filepath.Join(directory, "key.pub")
	if err := os.WriteFile(key, []byte(publicKey+" root@here\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	reporter := NewReporter(Config{
		Server: "https://127.0.0.1:1", HostKeyFiles: []string{key, filepath.Join(directory, "missing.pub")},
		Addresses: []netip.Addr{netip.MustParseAddr("127.0.0.2")}, SSHPort: 2222,
	}, "v1", unwatched(t))
	r := reporter.Report(context.Background())
	if diff := cmp.Diff([]string{publicKey}, r.HostKeys); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"127.0.0.2"}, r.Addresses); diff != "" {
		t.Error(diff)
	}
	if r.SSHPort != 2222 || r.Version != "v1" || r.Hostname == "" || r.OS == "" || r.Architecture == "" ||
		!slices.Contains(r.Users, "root") {
		t.Errorf("got %+v", r)
	}
	own := NewReporter(Config{Server: "https://127.0.0.1:1"}, "", unwatched(t)).addresses()
	for _, text := range own {
		if a := netip.MustParseAddr(text); a.IsLoopback() || a.IsLinkLocalUnicast() {
			t.Errorf("%s cannot be reached from elsewhere", a)
		}
	}
}

func TestOSName(t *testing.T) {
	path := filepath.Join(t.TempDir(), "os-release")
	if err := os.WriteFile(path, []byte("NAME=x\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if got := osName(filepath.Join(t.TempDir(), "missing"), path); got != "Debian GNU/Linux 12 (bookworm)" {
		t.Errorf("got %q", got)
	}
	if got := osName("/nonexistent"); got != "Linux" {
		t.Errorf("got %q", got)
	}
}

func TestHostName(t *testing.T) {
	for name, want := range map[string]string{
		"web-1.example": "web-1.example", "": "localhost", "-": "localhost", "my host!": "my-host", "(none)": "none",
	} {
		if got := hostName(name); got != want {
			t.Errorf("%q became %q, want %q", name, got, want)
		}
	}
}

func TestBackoffIsSpread(t *testing.T) {
	link := Link{Random: rand.Reader}
	for range 1000 {
		if d := link.jitter(time.Second); d < time.Second/2 || d > time.Second {
			t.Fatalf("got %v", d)
		}
	}
}
