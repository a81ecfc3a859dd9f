package host

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
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

	"github.com/sallyport/sallyport/internal/hostproto"
	"github.com/sallyport/sallyport/internal/sshkey"
	"github.com/sallyport/sallyport/internal/testkit/wait"
)

// recorder is a spool in memory, which can be full.
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

// serveDesk serves a desk that holds a grant for alice, and returns the path of its socket.
func serveDesk(t *testing.T, recorder Recorder, askers ...uint32) string {
	t.Helper()
	issuer := newIssuer(t)
	clock := NewClock(func() time.Duration { return 0 })
	clock.Set(clocksAt(time.Now()), 0, 0)
	grants := NewGrants(issuer.authority.Certificate(), instanceID, clock, users{"alice": ""}, func(string) error { return nil }, quiet)
	if ack := grants.Add(context.Background(), issuer.grant(t, "r1", "alice", time.Now().Add(time.Minute))); ack.Code != "" {
		t.Fatal(ack)
	}
	path := filepath.Join(t.TempDir(), "s")
	listener, err := ListenSocket(path, os.Geteuid())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		(&Desk{Grants: grants, Recorder: recorder, Askers: askers, Random: rand.Reader, Log: quiet}).Serve(ctx, listener)
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	return path
}

func TestDesk(t *testing.T) {
	kept := &recorder{}
	socket := serveDesk(t, kept, uint32(os.Geteuid()))
	for range 2 {
		a, err := ask(socket, question{User: "alice", Fingerprint: sshkey.Fingerprint(publicKey)})
		if err != nil || len(a.Grants) != 1 || a.Time.IsZero() {
			t.Fatalf("got %+v, %v", a, err)
		}
	}
	if a, err := ask(socket, question{User: "bob"}); err != nil || len(a.Grants) != 0 {
		t.Errorf("bob got %+v, %v", a, err)
	}
	if len(kept.releases) != 2 || kept.releases[0].RequestID != "r1" {
		t.Errorf("released %+v", kept.releases)
	}
}

// One login wrote a release for each live grant of its key: after 1,600 pushes, 1,600. It is of one grant, the last.
func TestDeskReleasesOneGrantOfAKey(t *testing.T) {
	issuer := newIssuer(t)
	clock := NewClock(func() time.Duration { return 0 })
	clock.Set(clocksAt(time.Now()), 0, 0)
	grants := NewGrants(issuer.authority.Certificate(), instanceID, clock, users{"alice": ""}, func(string) error { return nil }, quiet)
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
		if a := desk.release(question{User: "alice", Fingerprint: fingerprint}, 0); len(a.Grants) != 1 || a.Grants[0].RequestID != "r39" {
			t.Errorf("released %d grants, the first %+v", len(a.Grants), a.Grants[0].RequestID)
		}
		if len(kept.releases) != 1 || kept.releases[0].RequestID != "r39" {
			t.Errorf("recorded %+v", kept.releases)
		}
	}
}

// A push was answered with Success by a machine that could not have recorded the key's use, and so withheld it.
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

// No key without a record of it.
func TestDeskWithholdsWhatItCannotRecord(t *testing.T) {
	socket := serveDesk(t, &recorder{full: true}, uint32(os.Geteuid()))
	if a, err := ask(socket, question{User: "alice"}); err != nil || len(a.Grants) != 0 {
		t.Errorf("got %+v, %v", a, err)
	}
}

func TestDeskSurvivesNonsense(t *testing.T) {
	socket := serveDesk(t, &recorder{}, uint32(os.Geteuid()))
	for _, text := range [][]byte{nil, []byte("\n"), []byte("{}"), bytes.Repeat([]byte("x"), 2*maxQuestion), []byte("[1]\n")} {
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
	if a, err := ask(socket, question{User: "alice"}); err != nil || len(a.Grants) != 1 {
		t.Errorf("got %+v, %v", a, err)
	}
}

// The kernel says who asks. The socket's mode keeps others out already; here it is opened to show that it is not
// all there is.
func TestDeskAnswersOnlyWhomItMay(t *testing.T) {
	const nobody = 65534
	allowed, refused := serveDesk(t, &recorder{}, nobody), serveDesk(t, &recorder{}, 12345)
	if info, err := os.Stat(allowed); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the socket's mode is %v, %v", info.Mode(), err)
	}
	if os.Geteuid() != 0 {
		if a, err := ask(refused, question{User: "alice"}); err == nil {
			t.Errorf("got %+v", a)
		}
		return
	}
	for _, socket := range []string{allowed, refused} {
		for path := socket; path != os.TempDir(); path = filepath.Dir(path) {
			if err := os.Chmod(path, 0o777); err != nil {
				t.Fatal(err)
			}
		}
		var a answer
		var err error
		asUser(t, nobody, func() { a, err = askRaw(socket, question{User: "alice"}) })
		if got := err == nil && len(a.Grants) == 1; got != (socket == allowed) {
			t.Errorf("allowed %v: got %+v, %v", socket == allowed, a, err)
		}
	}
}

// asUser runs f on a thread of its own that has the user's id.
func asUser(t *testing.T, uid int, f func()) {
	t.Helper()
	done := make(chan unix.Errno)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread dies with the goroutine
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

// askRaw is ask without Go's net package, which could connect from another thread.
func askRaw(socket string, q question) (answer, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		return answer{}, err
	}
	if err := unix.Connect(fd, &unix.SockaddrUnix{Name: socket}); err != nil {
		return answer{}, errors.Join(err, unix.Close(fd))
	}
	file := os.NewFile(uintptr(fd), socket)
	defer file.Close()
	conn, err := net.FileConn(file)
	if err != nil {
		return answer{}, err
	}
	defer conn.Close()
	return converse(conn, q)
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
	first.Close() // as if it had been killed
	second, err := ListenSocket(path, os.Geteuid())
	if err != nil {
		t.Fatalf("the socket of a dead agent stands in the way: %v", err)
	}
	second.Close()
}
