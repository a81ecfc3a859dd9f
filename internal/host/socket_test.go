package host

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/internal/host/keys"
	"github.com/sallyport/sallyport/internal/hostproto"
	"github.com/sallyport/sallyport/internal/sshkey"
	"github.com/sallyport/sallyport/internal/testkit/wait"
)

// recorder is a Recorder in memory, which can be full.
type recorder struct {
	full     bool
	releases []hostproto.Release
}

func (r *recorder) Add(release hostproto.Release, _ string) error {
	if r.full {
		return ErrSpoolFull
	}
	r.releases = append(r.releases, release)
	return nil
}

func (r *recorder) Tell() {}

// grantsAt returns empty Grants for which the control plane's time is now.
func grantsAt(t *testing.T, issuer issuer, now time.Time) *Grants {
	t.Helper()
	clock := NewClock(func() time.Duration { return 0 })
	clock.Set(clocksAt(now), 0, 0)
	logins := users{"alice": "", "bob": ""}
	room := func(string) error { return nil }
	return NewGrants(issuer.authority.Certificate(), instanceID, clock, logins, room, quiet)
}

// serveDesk serves a desk that has a grant for alice, and returns the path of its socket.
func serveDesk(t *testing.T, recorder Recorder, askers ...uint32) string {
	t.Helper()
	issuer := newIssuer(t)
	grants := grantsAt(t, issuer, time.Now())
	if ack := grants.Add(context.Background(),
		issuer.grant(t, "r1", "alice", time.Now().Add(time.Minute))); ack.Code != "" {
		t.Fatal(ack)
	}
	return serve(t, grants, recorder, askers...)
}

// serve serves a desk with the grants, and returns the path of its socket.
func serve(t *testing.T, grants *Grants, recorder Recorder, askers ...uint32) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "s")
	listener, err := ListenSocket(path, os.Geteuid())
	if err != nil {
		t.Fatal(err)
	}
	desk := Desk{
		Grants: grants, Recorder: recorder, Askers: askers, Random: rand.Reader, Log: quiet, Syslog: func(string) {},
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		desk.Serve(ctx, listener)
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	return path
}

// ask asks this process's desk as the keys helper does.
func ask(socket, user, fingerprint string) ([]keys.Key, error) {
	return keys.Ask(socket, uint32(os.Geteuid()), keys.Question{User: user, Fingerprint: fingerprint})
}

func TestDesk(t *testing.T) {
	kept := &recorder{}
	socket := serveDesk(t, kept, uint32(os.Geteuid()))
	for range 2 {
		got, err := ask(socket, "alice", sshkey.Fingerprint(publicKey))
		if err != nil || len(got) != 1 || got[0].Line != publicKey || got[0].Ends <= 0 {
			t.Fatalf("got %+v, %v", got, err)
		}
	}
	if got, err := ask(socket, "bob", ""); err != nil || len(got) != 0 {
		t.Errorf("bob got %+v, %v", got, err)
	}
	if len(kept.releases) != 2 || kept.releases[0].RequestID != "r1" {
		t.Errorf("released %+v", kept.releases)
	}
}

// One login wrote a release for each live grant of its key: after 1,600 pushes, 1,600 releases. It must write one, of
// the last grant.
func TestDeskReleasesOneGrantOfAKey(t *testing.T) {
	issuer := newIssuer(t)
	grants := grantsAt(t, issuer, time.Now())
	for i := range 40 {
		grant := issuer.grant(t, fmt.Sprint("r", i), "alice", time.Now().Add(time.Duration(i+10)*time.Second))
		if ack := grants.Add(t.Context(), grant); ack.Code != "" {
			t.Fatal(ack)
		}
	}
	kept := &recorder{}
	desk := &Desk{Grants: grants, Recorder: kept, Random: rand.Reader, Log: quiet}
	for _, fingerprint := range []string{"", sshkey.Fingerprint(publicKey)} {
		kept.releases = nil
		released := desk.release(keys.Question{User: "alice", Fingerprint: fingerprint}, 0)
		if len(released) != 1 || released[0].RequestID != "r39" {
			t.Errorf("released %d grants: %+v", len(released), released)
		}
		if len(kept.releases) != 1 || kept.releases[0].RequestID != "r39" {
			t.Errorf("recorded %+v", kept.releases)
		}
	}
}

// After 1,600 pushes of one key, four logins had filled the spool of 10,000, and another user's key was withheld.
func TestFloodLeavesRoomForOthers(t *testing.T) {
	issuer := newIssuer(t)
	spool := mustOpen(t, filepath.Join(t.TempDir(), "releases"))
	defer spool.Close()
	now := time.Now() // stands still for the grants, however long it takes to make them
	grants := grantsAt(t, issuer, now)
	const pushes, questions = 1600, 8 // sshd asks twice a login
	for i := range pushes {
		grant := issuer.grant(t, fmt.Sprint("r", i), "alice", now.Add(time.Minute))
		if ack := grants.Add(t.Context(), grant); ack.Code != "" {
			t.Fatal(ack)
		}
	}
	if ack := grants.Add(t.Context(), issuer.grant(t, "bob's", "bob", now.Add(time.Minute))); ack.Code != "" {
		t.Fatal(ack)
	}
	socket := serve(t, grants, spool, uint32(os.Geteuid()))
	for range questions {
		if found, err := ask(socket, "alice", sshkey.Fingerprint(publicKey)); err != nil || len(found) != 1 {
			t.Fatalf("alice is let in by %d keys, %v", len(found), err)
		}
	}
	if found, err := ask(socket, "bob", sshkey.Fingerprint(publicKey)); err != nil || len(found) != 1 {
		t.Errorf("bob is let in by %d keys, %v", len(found), err)
	}
	if n := len(unsent(spool, pushes)); n != questions+1 {
		t.Errorf("the spool holds %d releases", n)
	}
}

// A push succeeded on a machine that could not have recorded the key's use, and so withheld the key.
func TestGrantsThatCouldNotBeRecordedAreRefused(t *testing.T) {
	issuer := newIssuer(t)
	clock := NewClock(func() time.Duration { return 0 })
	clock.Set(clocksAt(time.Now()), 0, 0)
	var full error
	room := func(caller string) error {
		if caller != alice {
			t.Errorf("the caller is %q", caller)
		}
		return full
	}
	grants := NewGrants(issuer.authority.Certificate(), instanceID, clock, users{"alice": ""}, room, quiet)
	add := func(id string) hostproto.Ack {
		return grants.Add(t.Context(), issuer.grant(t, id, "alice", time.Now().Add(time.Minute)))
	}
	full = unix.ENOSPC
	if ack := add("r1"); ack.Code != hostproto.AckRefused || !strings.Contains(ack.Message, "no space left on device") {
		t.Errorf("got %+v", ack)
	}
	full = nil
	if ack := add("r2"); ack.Code != "" {
		t.Errorf("got %+v", ack)
	}
}

// Whatever grants a control plane sends, on a new link or by a push, sshd gets only keys of grants that the pinned
// authority signed for this machine, the user and this minute. The keys helper trusts the agent in this.
func TestDeskHandsOutOnlyWhatIsSigned(t *testing.T) {
	issuer, stranger, now := newIssuer(t), newIssuer(t), time.Now()
	good := issuer.grant(t, "r1", "alice", now.Add(time.Minute))
	tampered, unsigned, renamed, moved, chopped := good, good, good, good, good
	tampered.Blob.Text = strings.Replace(good.Blob.Text, "AAAAIJ1x", "AAAAIJ1y", 1)
	unsigned.Blob.Signature = nil
	renamed.RequestID = "r2"
	moved.OSUser = "bob"
	chopped.Blob.Text = strings.TrimSuffix(good.Blob.Text, "\n")
	elsewhere := issuer
	elsewhere.instanceID = "i-2"
	for name, grant := range map[string]hostproto.Grant{
		"tampered":                         tampered,
		"unsigned":                         unsigned,
		"another request's":                renamed,
		"another user's":                   moved,
		"cut off":                          chopped,
		"another authority's":              stranger.grant(t, "r1", "alice", now.Add(time.Minute)),
		"another instance's":               elsewhere.grant(t, "r1", "alice", now.Add(time.Minute)),
		"expired":                          issuer.grant(t, "r1", "alice", now.Add(-time.Second)),
		"signed by a clock that was ahead": issuer.grant(t, "r1", "alice", now.Add(time.Hour)),
		"empty":                            {},
	} {
		t.Run(name, func(t *testing.T) {
			grants := grantsAt(t, issuer, now)
			socket := serve(t, grants, &recorder{}, uint32(os.Geteuid()))
			expect := func(when string, want int) {
				t.Helper()
				for _, user := range []string{"alice", "bob", ""} {
					got, err := ask(socket, user, "")
					if user != "alice" {
						want = 0
					}
					if err != nil || len(got) != want {
						t.Errorf("%s: %q got %+v, %v", when, user, got, err)
					}
				}
			}
			if ack := grants.Add(t.Context(), grant); ack.Code != hostproto.AckBadGrant {
				t.Errorf("the push is answered %+v", ack)
			}
			expect("pushed", 0)
			grants.Replace([]hostproto.Grant{grant})
			expect("handed over", 0)
			grants.Replace([]hostproto.Grant{grant, good, grant})
			expect("among others", 1)
		})
	}
}

// No key is handed out without a record.
func TestDeskWithholdsWhatItCannotRecord(t *testing.T) {
	socket := serveDesk(t, &recorder{full: true}, uint32(os.Geteuid()))
	if got, err := ask(socket, "alice", ""); err != nil || len(got) != 0 {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestDeskSurvivesNonsense(t *testing.T) {
	socket := serveDesk(t, &recorder{}, uint32(os.Geteuid()))
	for _, text := range [][]byte{
		nil, {0}, []byte("{}\n"), bytes.Repeat([]byte("x"), 2*maxQuestion), []byte("keys\x00"), []byte("keys\x00alice\x00"),
		[]byte("keys\x00" + strings.Repeat("x", maxQuestion) + "\x00\x00"), []byte(aboutStatus),
	} {
		conn, err := net.Dial("unix", socket)
		if err != nil {
			t.Fatal(err)
		}
		conn.Write(text)
		conn.(*net.UnixConn).CloseWrite()
		conn.SetDeadline(time.Now().Add(wait.Patience))
		if answer, _ := io.ReadAll(conn); len(answer) > 0 {
			t.Errorf("%.20q was answered with %q", text, answer)
		}
		conn.Close()
	}
	if got, err := ask(socket, "alice", ""); err != nil || len(got) != 1 {
		t.Errorf("got %+v, %v", got, err)
	}
}

// The kernel says who asks. The socket's mode already keeps others out; here it is opened, to show that the mode is not
// the only protection.
func TestDeskAnswersOnlyWhomItMay(t *testing.T) {
	const nobody = 65534
	allowed, refused := serveDesk(t, &recorder{}, nobody), serveDesk(t, &recorder{}, 12345)
	if info, err := os.Stat(allowed); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the socket's mode is %v, %v", info.Mode(), err)
	}
	if os.Geteuid() != 0 {
		if got, err := ask(refused, "alice", ""); err == nil {
			t.Errorf("got %+v", got)
		}
		return
	}
	for _, socket := range []string{allowed, refused} {
		for path := socket; path != os.TempDir(); path = filepath.Dir(path) {
			if err := os.Chmod(path, 0o777); err != nil {
				t.Fatal(err)
			}
		}
		var got []keys.Key
		var err error
		asUser(t, nobody, func() { got, err = keys.Ask(socket, 0, keys.Question{User: "alice"}) })
		if admitted := err == nil && len(got) == 1; admitted != (socket == allowed) {
			t.Errorf("allowed %v: got %+v, %v", socket == allowed, got, err)
		}
	}
}

// asUser runs f on a thread of its own that has the user id.
func asUser(t *testing.T, uid int, f func()) {
	t.Helper()
	done := make(chan unix.Errno)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		_, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, ^uintptr(0), uintptr(uid), ^uintptr(0))
		if errno == 0 {
			f()
		}
		done <- errno
	}()
	if errno := <-done; errno != 0 {
		t.Fatal(errno)
	}
}

func TestListenSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "made", "s")
	first, err := ListenSocket(path, os.Geteuid())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ListenSocket(path, os.Geteuid()); err == nil {
		t.Error("a second agent took the socket of one that lives")
	}
	first.(*net.UnixListener).SetUnlinkOnClose(false)
	first.Close() // as if the agent had been killed
	second, err := ListenSocket(path, os.Geteuid())
	if err != nil {
		t.Fatalf("the socket of a dead agent stands in the way: %v", err)
	}
	second.Close()
}
