package controlplane_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/internal/awsapi/sallyport"
	"github.com/sallyport/sallyport/internal/testkit"
	"github.com/sallyport/sallyport/internal/testkit/wait"
)

// A control plane was updated and a machine's agent was not, or the other way round. A caller who pushed a key was told
// that the instance is stopped, although the machine was up and its agent ran, and no message said what to do.
func TestHostOfAnotherVersion(t *testing.T) {
	s := testkit.Start(t)
	web := s.Host(t, "web", "debian")
	api := s.Clients(s.Root)
	describe := func() sallyport.Host {
		t.Helper()
		out, err := sallyport.NewFromConfig(api.Config).DescribeHosts(t.Context(), &sallyport.DescribeHostsInput{})
		if err != nil || len(out.Hosts) != 1 {
			t.Fatalf("%+v, %v", out, err)
		}
		return out.Hosts[0]
	}
	for subprotocol, advice := range map[string]string{
		"":                 "update sallyport-host on the machine",
		"sallyport-host.3": "update the control plane",
	} {
		web.Disconnect()
		wait.For(t, "the end of the link", func() bool { return !describe().Linked })
		if says, err := web.LinkAs(t.Context(), subprotocol); err != nil || !strings.Contains(says, advice) {
			t.Errorf("the agent is told %q, %v", says, err)
		}
		host := describe()
		if host.Linked || !slices.ContainsFunc(host.Problems, func(p string) bool { return strings.Contains(p, advice) }) {
			t.Errorf("linked: %v; the problems are %q", host.Linked, host.Problems)
		}
		if _, err := push(t.Context(), api, web.InstanceID, "debian", publicKey); err == nil ||
			!strings.Contains(err.Error(), advice) || codeOf(err) != "EC2InstanceStateInvalidException" {
			t.Errorf("whoever pushes is told: %v", err)
		}
		if err := web.Connect(t.Context()); err != nil {
			t.Fatal(err)
		}
		if host := describe(); !host.Linked || len(host.Problems) != 0 {
			t.Errorf("after the update it is linked: %v; the problems are %q", host.Linked, host.Problems)
		}
		if code := pushKey(t.Context(), api, web.InstanceID, "debian"); code != "" {
			t.Errorf("a push after the update: %s", code)
		}
	}
}
