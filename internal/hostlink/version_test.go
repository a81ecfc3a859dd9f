package hostlink_test

import (
	"strings"
	"sync"
	"testing"

	"github.com/sallyport/sallyport/internal/hostproto"
)

// A control plane was updated before its machines, and machines before their control plane. Their agents tried again
// and again, and every message only said that the link was lost. Now agent and control plane both say which of the two
// is older and what to do, the instance is not linked, and an update solves it.
func TestAgentOfAnotherVersion(t *testing.T) {
	for _, test := range []struct {
		version int
		update  string
	}{
		{hostproto.Version - 1, "The agent is the older one: update sallyport-host on the machine"},
		{hostproto.Version + 1, "The control plane is the older one: update the control plane"},
	} {
		t.Run(test.update, func(t *testing.T) {
			d := newDeployment(t, 0)
			m := d.enroll("i-1")
			var mu sync.Mutex
			var why error
			m.link.Changed = func(err error) {
				mu.Lock()
				defer mu.Unlock()
				why = err
			}
			d.agents.Store(int32(test.version))
			d.run(m)
			d.wait("what the agent is told", func() bool {
				mu.Lock()
				defer mu.Unlock()
				return why != nil && strings.Contains(why.Error(), test.update)
			})
			if says := d.links.Problem("i-1"); !strings.Contains(says, test.update) {
				t.Errorf("whoever asks is told %q", says)
			}
			if says := d.links.Problem("i-2"); says != "" {
				t.Errorf("of another host whoever asks is told %q", says)
			}
			if d.links.Linked("i-1") {
				t.Error("it is linked")
			}
			d.agents.Store(0) // the update
			d.wait("the link", func() bool { return d.links.Linked("i-1") })
			if says := d.links.Problem("i-1"); says != "" {
				t.Errorf("after the update whoever asks is told %q", says)
			}
			if err := d.deliver(d.grant("i-1", "r1", "admin")); err != nil {
				t.Error(err)
			}
		})
	}
}

// An agent of another version was removed from its machine. That is no problem of a machine that is merely off.
func TestAgentOfAnotherVersionIsForgotten(t *testing.T) {
	d := newDeployment(t, 0)
	m := d.enroll("i-1")
	d.agents.Store(hostproto.Version + 1)
	response, err := d.client(m.key).Get("https://" + d.address + hostproto.LinkPath)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if says := hostproto.ReadRefusal(response); says != d.links.Problem("i-1") || says == "" {
		t.Errorf("the agent is told %q, and whoever asks %q", says, d.links.Problem("i-1"))
	}
	d.ahead.Store(int64(2 * 60e9))
	if says := d.links.Problem("i-1"); says != "" {
		t.Errorf("two minutes later whoever asks is told %q", says)
	}
}
