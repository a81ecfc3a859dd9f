package hostlink_test

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/fault"
	"github.com/sallyport/sallyport/internal/host"
	"github.com/sallyport/sallyport/internal/hostproto"
	"github.com/sallyport/sallyport/internal/trail"
)

// The fingerprints of two machines.
var (
	original = strings.Repeat("a", 64)
	another  = strings.Repeat("b", 64)
)

// copied is an agent on a copy of the machine. The copy has its own fingerprint.
type copied struct {
	*machine
	mu  sync.Mutex
	err error // why it is not linked
	up  bool
}

// copyOf returns a copy that is not linked yet.
func (d *deployment) copyOf(m *machine, fingerprint string) *copied {
	other := *m
	c := &copied{machine: &other}
	other.clock = host.NewClock(other.uptime.read)
	other.grants = host.NewGrants(d.authority.Certificate(), m.id, other.clock, onlyUser("admin"),
		func(string) error { return nil }, d.log)
	other.link.Clock, other.link.Holder = other.clock, other.grants
	other.link.Report = func(context.Context) hostproto.Report {
		return hostproto.Report{Hostname: "copy", Addresses: []string{"192.0.2.2"}, Machine: fingerprint}
	}
	other.link.Changed = func(err error) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.err, c.up = err, err == nil
	}
	return c
}

// stands returns whether the copy is linked, and why not.
func (c *copied) stands() (linked bool, why string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		why = c.err.Error()
	}
	return c.up, why
}

// turnedAway waits until the copy was told to enroll anew.
func (d *deployment) turnedAway(c *copied) {
	d.t.Helper()
	d.wait("the refusal", func() bool { _, why := c.stands(); return strings.Contains(why, "unenroll") })
}

// known sets the fingerprint of the machine that was enrolled as the host.
func (d *deployment) known(id, fingerprint string) {
	d.instances.mu.Lock()
	defer d.instances.mu.Unlock()
	instance := d.instances.byID[id]
	instance.Report.Machine = fingerprint
	d.instances.byID[id] = instance
}

// A virtual machine was cloned with its agent's key. The two took the link from each other every ten seconds, each push
// reached one of them, and no message said so. Now the first one stays, the second is told what to do, the host's
// problems show it, and no push succeeds while it is not known which machine is meant.
func TestCopiedMachine(t *testing.T) {
	d := newDeployment(t, 0)
	first := d.linked("i-1")
	second := d.copyOf(first, "")
	d.run(second.machine)
	d.turnedAway(second)
	says := d.links.Problem("i-1")
	if !strings.Contains(says, "i-1 (127.0.0.1) has the link") || !strings.Contains(says, "copy (127.0.0.1)") {
		t.Errorf("the two are: %q", says)
	}
	f := fault.Of(d.deliver(d.grant("i-1", "r1", "admin")))
	if f.Kind != fault.WrongState || !strings.Contains(f.Message, "Two machines") {
		t.Errorf("a push: %v %v", f.Kind, f)
	}
	if len(first.holds())+len(second.holds()) != 0 {
		t.Error("a key was delivered")
	}
	third := d.copyOf(first, "")
	d.run(third.machine)
	d.turnedAway(third)
	told := 0
	for _, event := range d.written() {
		if event.Name == "LinkHost" && event.ErrorCode == "DuplicateHost" && event.ErrorMessage == says {
			told++
		}
	}
	if told != 1 {
		t.Errorf("the trail tells %d times of it", told)
	}
	d.ahead.Store(int64(5 * hostproto.DuplicateRetry)) // no other machine has come
	if says := d.links.Problem("i-1"); says != "" {
		t.Errorf("when the copy is long gone: %q", says)
	}
	if err := d.deliver(d.grant("i-1", "r2", "admin")); err != nil && fault.Is(err, fault.WrongState) {
		t.Errorf("a push when the copy is long gone: %v", err)
	}
}

// The copy has another fingerprint, as virtual machines have. A push is meant for the machine that was enrolled, and a
// copy does not lock anybody out of it.
func TestCopyThatIsKnownFromTheOriginal(t *testing.T) {
	d := newDeployment(t, 0)
	m := d.enroll("i-1")
	d.known("i-1", original)
	first, second := d.copyOf(m, original), d.copyOf(m, another)
	d.run(first.machine)
	d.wait("the original's link", func() bool { return d.links.Linked("i-1") })
	d.run(second.machine)
	d.turnedAway(second)
	if d.links.Problem("i-1") == "" {
		t.Error("nobody is told")
	}
	if err := d.deliver(d.grant("i-1", "r1", "admin")); err != nil {
		t.Errorf("a push to the original: %v", err)
	}
	if len(first.holds()) != 1 {
		t.Error("the original does not hold the key")
	}
}

// The copy came first, while the original was away for long. The original gets its identity back when it returns.
func TestOriginalComesHome(t *testing.T) {
	d := newDeployment(t, 0)
	m := d.enroll("i-1")
	d.known("i-1", original)
	d.ahead.Store(int64(time.Hour))
	first, second := d.copyOf(m, original), d.copyOf(m, another)
	d.run(second.machine)
	d.wait("the copy's link", func() bool { return d.links.Linked("i-1") })
	d.run(first.machine)
	d.wait("the original's link", func() bool { linked, _ := first.stands(); return linked })
	d.turnedAway(second)
	if err := d.deliver(d.grant("i-1", "r1", "admin")); err != nil || len(first.holds()) != 1 {
		t.Errorf("a push to the original: %v", err)
	}
	told := slices.ContainsFunc(d.written(), func(event trail.Event) bool { return event.ErrorCode == "DuplicateHost" })
	if !told || d.links.Problem("i-1") == "" {
		t.Error("nobody is told that there are two")
	}
}

// The original reboots, or the control plane does, and the copy connects first. That does not make it the original. A
// machine with new hardware is accepted when no other machine has connected for a while.
func TestCopyIsQuicker(t *testing.T) {
	d := newDeployment(t, 0)
	m := d.enroll("i-1")
	d.known("i-1", original)
	second := d.copyOf(m, another)
	d.run(second.machine)
	d.turnedAway(second)
	if d.links.Linked("i-1") {
		t.Error("the copy is linked")
	}
	d.ahead.Store(int64(time.Minute))
	for range 2 { // the second time it does not wait
		later := d.copyOf(m, another)
		ctx, cut := context.WithCancel(t.Context())
		over := make(chan error, 1)
		go func() { over <- later.link.Run(ctx) }()
		d.wait("the link of the new hardware", func() bool { linked, _ := later.stands(); return linked })
		cut()
		<-over
	}
}

// An agent that restarts, or whose network was cut, leaves behind a link on which no agent answers. It is not a copy of
// itself.
func TestHalfOpenLinkIsNoCopy(t *testing.T) {
	for name, fingerprint := range map[string]string{
		"without a fingerprint": "", "the same machine": original, "new hardware": another,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDeployment(t, 0)
			m := d.enroll("i-1")
			d.known("i-1", original)
			d.hello(m, hostproto.Hello{Hostname: "i-1", Machine: original})
			again := d.copyOf(m, fingerprint)
			d.run(again.machine)
			d.wait("the new link", func() bool { linked, _ := again.stands(); return linked })
			if says := d.links.Problem("i-1"); says != "" {
				t.Errorf("a restart counts as a copy: %s", says)
			}
			if err := d.deliver(d.grant("i-1", "r1", "admin")); err != nil {
				t.Error(err)
			}
			if n := d.links.Count(); n != 1 || len(again.holds()) != 1 {
				t.Errorf("%d links; the agent holds %v", n, again.holds())
			}
		})
	}
}

// An agent that reconnects after each of many short cuts is never a second one.
func TestReconnectsAreNoCopies(t *testing.T) {
	d := newDeployment(t, 0)
	m := d.linked("i-1")
	for range 3 {
		d.stop()
		d.start()
		d.wait("the link", func() bool { return d.links.Linked("i-1") })
	}
	if says := d.links.Problem("i-1"); says != "" {
		t.Error(says)
	}
	if err := d.deliver(d.grant("i-1", "r1", "admin")); err != nil || len(m.holds()) != 1 {
		t.Errorf("%v; the agent holds %v", err, m.holds())
	}
}
