package host

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/hostproto"
)

// A configuration manager puts a block above ours, changes the port or rewrites our file, and reloads sshd. The machine
// went on to accept keys that sshd never asked for, and pushes succeeded. The agent must notice, say so, and accept
// keys again when it is repaired, without a restart. It must go by what the daemon has read, not by what is in its
// files meanwhile.
func TestDrift(t *testing.T) {
	d := startSSHD(t, "UsePAM no\n")
	watch := NewWatch(Config{SSHDConfig: d.config}, d.directory, quiet)
	machine := NewMachine(watch, time.Now, quiet)
	reporter := NewReporter(Config{Server: "https://127.0.0.1:1"}, "v1", watch)
	expect := func(when string, code, problem, pending string) {
		t.Helper()
		view := watch.Look(t.Context())
		if !strings.Contains(view.Problem, problem) || (problem == "") != (view.Problem == "") {
			t.Errorf("%s: the problem is %q, want %q", when, view.Problem, problem)
		}
		if !strings.Contains(view.Pending, pending) || (pending == "") != (view.Pending == "") {
			t.Errorf("%s: to come is %q, want %q", when, view.Pending, pending)
		}
		ack := machine.Judge(t.Context(), "root", d.publicKey)
		if ack.Code != code || !strings.Contains(ack.Message, problem) {
			t.Errorf("%s: a push is answered %+v, want %q for %q", when, ack, code, problem)
		}
		if told := reporter.Report(t.Context()).Problems; !slices.Equal(told, view.problems()) {
			t.Errorf("%s: reported is %q", when, told)
		}
	}
	ours := "UsePAM no\n"
	block := func(text string) { // above ours: sshd uses the first value
		d.writeAll(t, text+keysCommandLines+ours)
	}
	expect("at first", "", "", "")
	block("AuthorizedKeysCommand /bin/false\nAuthorizedKeysCommandUser nobody\n")
	expect("a block above ours that sshd has not read", "", "", "/bin/false")
	block("")
	expect("the block is gone before sshd read it", "", "", "")
	block("AuthorizedKeysCommand /bin/false\nAuthorizedKeysCommandUser nobody\n")
	d.reload(t)
	expect("sshd has read the block", hostproto.AckRefused, "/bin/false", "")
	block("")
	expect("mended, but not read", hostproto.AckRefused, "/bin/false", "reload")
	d.reload(t)
	expect("mended and read", "", "", "")
	d.writeAll(t, ours)
	d.reload(t)
	expect("overwritten", hostproto.AckRefused, "none", "")
	block("PubkeyAuthentication no\n")
	d.reload(t)
	if ack := machine.Judge(t.Context(), "root", d.publicKey); ack.Code != hostproto.AckRefused {
		t.Errorf("without public keys: %+v", ack)
	}
	block("PubkeyAcceptedAlgorithms rsa-sha2-256,ecdsa-sha2-nistp256\n")
	d.reload(t)
	ack := machine.Judge(t.Context(), "root", d.publicKey)
	if ack.Subject != hostproto.SubjectKey || !strings.Contains(ack.Message, "ssh-rsa, ecdsa-sha2-nistp256") {
		t.Errorf("a key of a type that sshd refuses: %+v", ack)
	}
	if types := reporter.Report(t.Context()).KeyTypes; !slices.Equal(types, []string{"ssh-rsa", "ecdsa-sha2-nistp256"}) {
		t.Errorf("accepted are %q", types)
	}
	d.port = freePort(t)
	block("")
	d.reload(t)
	if port := reporter.Report(t.Context()).SSHPort; port != d.port {
		t.Errorf("the reported port is %d, sshd's is %d", port, d.port)
	}
	given := NewReporter(Config{Server: "https://127.0.0.1:1", SSHPort: 2022}, "v1", watch)
	if port := given.Report(t.Context()).SSHPort; port != 2022 {
		t.Errorf("the reported port is %d although another was given", port)
	}
	expect("in the end", "", "", "")
	d.stop()
	expect("sshd does not run", hostproto.AckRefused, "does not run", "")
	listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", d.port)) // as systemd does for sshd
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	watch.asked -= askAgainAfter
	expect("sshd is started for each connection", "", "", "")
}

// Somebody makes the keys helper writable for all, as a careless chmod -R does, reads in the refusal what to run, and
// runs it. Pushes were still refused for up to a minute, with the advice that had been followed, because neither sshd's
// files nor its process had changed.
func TestAdviceThatIsFollowedHelpsAtOnce(t *testing.T) {
	d := startSSHD(t, "UsePAM no\n")
	top, err := os.MkdirTemp("/root", "helper-") // sshd would run nothing below /tmp
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(top) })
	helper := filepath.Join(top, "sallyport-keys")
	write(t, helper, "#!/bin/sh\n", 0o755)
	d.writeAll(t, strings.ReplaceAll(keysCommandLines, "/bin/true", helper)+"UsePAM no\n")
	d.reload(t)
	watch := NewWatch(Config{SSHDConfig: d.config}, d.directory, quiet)
	machine := NewMachine(watch, time.Now, quiet)
	for _, broken := range []struct {
		mode   os.FileMode
		advice string
	}{{0o777, "Run: chmod go-w " + helper}, {0o644, "is no program: " + helper}} {
		if err := os.Chmod(helper, broken.mode); err != nil {
			t.Fatal(err)
		}
		watch.asked -= askSSHDEvery
		ack := machine.Judge(t.Context(), "root", d.publicKey)
		if ack.Code != hostproto.AckRefused || !strings.Contains(ack.Message, broken.advice) {
			t.Errorf("with mode %v: %+v, want the advice %q", broken.mode, ack, broken.advice)
		}
		if err := os.Chmod(helper, 0o755); err != nil {
			t.Fatal(err)
		}
		watch.asked -= askAgainAfter
		if ack := machine.Judge(t.Context(), "root", d.publicKey); ack.Code != "" {
			t.Errorf("after mode %v was mended: %+v", broken.mode, ack)
		}
	}
}

// sshd's answers are remembered: a push starts no process, and a look while nothing has changed takes no noticeable
// time.
func TestLookIsCheap(t *testing.T) {
	d := startSSHD(t, "UsePAM no\n")
	watch := NewWatch(Config{SSHDConfig: d.config}, d.directory, quiet)
	machine := NewMachine(watch, time.Now, quiet)
	if ack := machine.Judge(t.Context(), "root", d.publicKey); ack.Code != "" {
		t.Fatalf("%+v", ack)
	}
	asked := watch.asked
	const times = 1000
	began := time.Now()
	for range times {
		machine.Judge(t.Context(), "root", d.publicKey)
	}
	if took := time.Since(began); watch.asked == asked && took > times*5*time.Millisecond {
		t.Errorf("%d judgements took %v", times, took)
	}
	t.Logf("a judgement takes %v", time.Since(began)/times)
}

// sshd reloads and restarts while keys are pushed. While no process listens for a moment, no push is refused.
func TestPushesWhileSSHDReloads(t *testing.T) {
	d := startSSHD(t, "UsePAM no\n")
	machine := NewMachine(NewWatch(Config{SSHDConfig: d.config}, d.directory, quiet), time.Now, quiet)
	over, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for pushes := 0; ; pushes++ {
			if ack := machine.Judge(t.Context(), "root", d.publicKey); ack.Code != "" {
				t.Errorf("push %d: %+v", pushes, ack)
			}
			select {
			case <-over:
				return
			default:
			}
		}
	}()
	defer func() {
		close(over)
		<-done
	}()
	for range 10 {
		d.reload(t)
	}
}
