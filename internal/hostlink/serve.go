package hostlink

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/sallyport/sallyport/internal/access"
	"github.com/sallyport/sallyport/internal/ca"
	"github.com/sallyport/sallyport/internal/fault"
	"github.com/sallyport/sallyport/internal/gate"
	"github.com/sallyport/sallyport/internal/hostproto"
	"github.com/sallyport/sallyport/internal/hosts"
	"github.com/sallyport/sallyport/internal/uuid"
)

// seeInterval is how often the time at which a linked host was last seen is stored.
const seeInterval = 10 * time.Minute

// link authenticates an agent by its key and serves its link until it ends.
func (h *handler) link(w http.ResponseWriter, r *http.Request) {
	key, ok := ca.ClientKey(r.TLS)
	if !ok {
		h.refuse(w, errNoKey)
		return
	}
	instance, err := h.recognize(r, key)
	if errors.Is(err, errDismissed) {
		answer(w, http.StatusGone, hostproto.Refusal{Message: "The instance is terminated: this machine is un-enrolled."})
		return
	}
	if err != nil {
		h.refuse(w, err)
		return
	}
	if !h.limits.of(instance.ID).links.AllowN(h.Clock.Now(), 1) {
		h.refuse(w, fault.New(fault.Throttled, fault.Link, "The host connects too often."))
		return
	}
	if err := h.Links.checkVersion(instance.ID, hostproto.AgentVersion(r)); err != nil {
		h.refuse(w, err)
		return
	}
	origin := h.call(r, "", instance.Region)
	conn, err := hostproto.Accept(hijacker{w}, r)
	if err != nil {
		return // Accept has answered the request
	}
	// The connection is no longer HTTP's. When this handler returns, net/http frees what it keeps for the request,
	// which is a good part of the memory that an idle link would cost.
	go h.survive(func() {
		if err := ignoreEnd(h.serve(origin, conn, instance)); err != nil {
			h.Log.Info("a host's link ended", "instance", instance.ID, "error", err)
		}
	})
}

// hijacker hijacks connections with small buffers. Most links are idle most of the time, and net/http's own buffers are
// 8 KiB each.
type hijacker struct{ http.ResponseWriter }

// Hijack implements http.Hijacker.
func (h hijacker) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, buffers, err := http.NewResponseController(h.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	// The answer to the upgrade is written first, and net/http may have read what a quick agent sent in between.
	early, err := buffers.Reader.Peek(buffers.Reader.Buffered())
	if err != nil {
		conn.Close()
		return nil, nil, err
	}
	reader := bufio.NewReaderSize(io.MultiReader(bytes.NewReader(bytes.Clone(early)), conn), max(1024, len(early)))
	if _, err := reader.Peek(len(early)); err != nil { // makes the bytes buffered
		conn.Close()
		return nil, nil, err
	}
	return conn, bufio.NewReadWriter(reader, bufio.NewWriterSize(conn, 2048)), nil
}

// survive runs a function on behalf of a host. A panic is logged, and ends no other host's link.
func (h *handler) survive(do func()) {
	defer func() {
		if p := recover(); p != nil {
			h.Log.Error("serving a host panicked", "panic", p, "stack", string(debug.Stack()))
		}
	}()
	do()
}

var errDismissed = errors.New("hostlink: the instance is terminated")

// recognize returns the host that has the key. The error is errDismissed only if the instance had this very key and was
// terminated: a key that the control plane never saw must not make a machine remove its agent.
func (h *handler) recognize(r *http.Request, key ed25519.PublicKey) (hosts.Host, error) {
	instance, err := h.Hosts.ByKey(r.Context(), key)
	if !fault.Is(err, fault.NotFound) {
		return instance, err
	}
	dismissed, lookErr := h.Hosts.Dismissed(r.Context(), r.Header.Get(hostproto.InstanceHeader), key)
	switch {
	case lookErr != nil:
		return hosts.Host{}, lookErr
	case dismissed:
		return hosts.Host{}, errDismissed
	}
	return hosts.Host{}, fault.Wrap(err, fault.Denied, fault.HostKey,
		"This control plane does not know the machine's key. Enroll the machine.")
}

// serve runs the link until it ends.
func (h *handler) serve(origin gate.Call, conn *hostproto.Conn, instance hosts.Host) error {
	defer conn.Close()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	c := &conversation{
		handler: h, instance: instance, limits: h.limits.of(instance.ID), origin: origin,
		link: newLink(instance.ID, conn),
	}
	first, err := conn.Receive(hostproto.OpenTimeout)
	if err != nil {
		return err
	}
	if first.Hello == nil {
		return errors.New("the agent did not begin with a hello")
	}
	if !c.join(ctx, *first.Hello) {
		return nil
	}
	defer h.Links.leave(c.link)
	defer c.link.working.Wait()
	defer cancel()
	if err := c.stillEnrolled(ctx); err != nil {
		return err
	}
	return c.run(ctx, *first.Hello)
}

// conversation is the exchange of messages on one link.
type conversation struct {
	*handler
	instance hosts.Host
	limits   *hostLimits
	origin   gate.Call // what all of the agent's calls have in common
	link     *link
	seen     time.Time
}

func (c *conversation) run(ctx context.Context, hello hostproto.Hello) error {
	// Grants that are pushed from now on wait for the welcome. Those that were pushed before are in it.
	if err := c.welcome(ctx); err != nil {
		return err
	}
	c.Log.Info("a host is linked", "instance", c.instance.ID, "version", hostproto.Reason(hello.Version))
	c.see(ctx)
	defer func() { c.writeSeen(context.WithoutCancel(ctx), c.Clock.Now()) }()
	for {
		m, err := c.link.conn.Receive(hostproto.ServerSilence)
		if err != nil {
			return fmt.Errorf("the link was lost: %w", err)
		}
		if err := c.take(ctx, m); err != nil {
			return err
		}
	}
}

// join makes the link the host's, or tells the agent why it does not.
func (c *conversation) join(ctx context.Context, hello hostproto.Hello) bool {
	c.link.from = fmt.Sprintf("%s (%s)", hostproto.Reason(hello.Hostname), c.origin.SourceIP)
	if len(hello.Machine) <= maxFingerprint {
		c.link.machine = hello.Machine
	}
	standing, contended := c.Links.add(ctx, c.link, c.instance.Report.Machine)
	if contended {
		c.recordContention(ctx)
	}
	switch standing {
	case draining:
		c.link.bye(hostproto.ByeRestart)
	case refused:
		c.link.bye(hostproto.ByeDuplicate)
	}
	return standing == admitted
}

// recordContention records an event that two machines ask for the host's link.
func (c *conversation) recordContention(ctx context.Context) {
	sentence := c.Links.Problem(c.instance.ID)
	c.Log.Warn("two machines use one identity", "instance", c.instance.ID, "error", sentence)
	call := c.origin
	call.RequestID, call.Name = uuid.New(c.Clock.Now(), c.Random), "LinkHost"
	call.Parameters = map[string]any{"instanceId": c.instance.ID}
	failure := &gate.Failure{Code: "DuplicateHost", Message: sentence}
	if err := c.Gate.Record(ctx, c.identity(c.instance), call, gate.Pass{}, failure); err != nil {
		c.Log.Error("that two machines use one identity is not in the trail", "instance", c.instance.ID, "error", err)
	}
}

// stillEnrolled returns an error if the instance was terminated after its key was recognized: a hostile agent can hold
// back its hello for long. A Terminate from now on finds the link.
func (c *conversation) stillEnrolled(ctx context.Context) error {
	_, err := c.Hosts.ByKey(ctx, c.instance.PublicKey)
	if fault.Is(err, fault.NotFound) {
		err = errDismissed
		c.link.end(hostproto.Message{Dismiss: &hostproto.Dismiss{}})
	}
	return err
}

// welcome sends the agent the time and all live grants.
func (c *conversation) welcome(ctx context.Context) error {
	looking, cancel := context.WithTimeout(ctx, hostproto.OpenTimeout)
	defer cancel()
	live, err := c.Grants.LiveGrants(looking, c.instance.Region, c.instance.ID)
	if err != nil {
		c.link.bye(hostproto.ByeRestart)
		return fmt.Errorf("look up the live grants: %w", err)
	}
	first := live[:min(len(live), hostproto.WelcomeGrants)]
	now := c.Clock()
	welcome := hostproto.Welcome{Grants: make([]hostproto.Grant, 0, len(first))}
	for _, grant := range first {
		welcome.Grants = append(welcome.Grants, toWire(grant, now))
	}
	if err := c.link.conn.Send(ctx, hostproto.Message{Welcome: &welcome, Clocks: clocks(now)}); err != nil {
		return err
	}
	for _, grant := range live[len(first):] {
		wire := toWire(grant, now)
		if err := c.link.conn.Send(ctx, hostproto.Message{Grant: &wire, Clocks: clocks(now)}); err != nil {
			return err
		}
	}
	close(c.link.welcomed)
	return nil
}

// take handles one message. An error ends the link.
func (c *conversation) take(ctx context.Context, m hostproto.Message) error {
	switch {
	case m.Ping != nil:
		c.see(ctx)
		return c.link.conn.Send(ctx, hostproto.Message{ID: m.ID, Ack: &hostproto.Ack{}, Clocks: clocks(c.Clock())})
	case m.Report != nil:
		return c.later(func() { c.report(ctx, m.ID, *m.Report) })
	case m.Release != nil:
		return c.later(func() { c.release(ctx, m.ID, *m.Release) })
	}
	return errors.New("the agent sent a message that is not an agent's")
}

func (c *conversation) later(job func()) error {
	if !c.link.later(func() { c.survive(job) }) {
		return errors.New("the agent sends more than it waits for")
	}
	return nil
}

// report stores the agent's report of its machine.
func (c *conversation) report(ctx context.Context, id uint64, report hostproto.Report) {
	if !c.limits.reports.AllowN(c.Clock.Now(), 1) {
		c.ack(id, hostproto.Ack{Code: hostproto.AckFailed, Message: "too many reports"})
		return
	}
	told, err := fromWire(report)
	if err == nil {
		err = c.write(ctx, "ReportHost", func(tx *gate.Tx) error { return c.Hosts.Report(tx, c.instance.ID, told) })
	}
	if err != nil {
		c.Log.Warn("a host's report was not stored", "instance", c.instance.ID, "error", err)
		c.ack(id, hostproto.Ack{Code: hostproto.AckFailed, Message: fault.Of(err).Message})
		return
	}
	c.ack(id, hostproto.Ack{})
}

// release records a release in the trail. The agent repeats a release until it is acknowledged, so a release that can
// never become an event, because this host has no such grant, is acknowledged too.
func (c *conversation) release(ctx context.Context, id uint64, release hostproto.Release) {
	if err := c.limits.releases.Wait(ctx); err != nil {
		return // the link ended
	}
	told := access.Release{
		InstanceID: c.instance.ID, RequestID: release.RequestID, EventID: release.EventID, OSUser: release.OSUser,
		At: release.Time, Client: release.Client,
	}
	err := c.write(ctx, "ReleaseSSHPublicKey", func(tx *gate.Tx) error { return c.Grants.Released(tx, told) })
	switch fault.Of(err).Kind {
	case fault.NotFound, fault.Invalid, fault.Limit:
		c.Log.Warn("a host's release is no event", "instance", c.instance.ID, "request", release.RequestID, "error", err)
		err = nil
	}
	if err != nil {
		c.Log.Error("a host's release is not in the trail yet",
			"instance", c.instance.ID, "request", release.RequestID, "error", err)
		c.ack(id, hostproto.Ack{Code: hostproto.AckFailed, Message: "the release could not be recorded: tell it again"})
		return
	}
	c.ack(id, hostproto.Ack{})
}

// see stores, every seeInterval, that the link is up.
func (c *conversation) see(ctx context.Context) {
	if now := c.Clock.Now(); now.Sub(c.seen) >= seeInterval {
		c.seen = now
		c.later(func() { c.writeSeen(ctx, now) })
	}
}

func (c *conversation) writeSeen(ctx context.Context, seen time.Time) {
	err := c.write(ctx, "SeeHost", func(tx *gate.Tx) error { return c.Hosts.See(tx, c.instance.ID, seen) })
	if err != nil {
		c.Log.Warn("when a host was seen was not stored", "instance", c.instance.ID, "error", err)
	}
}

// write runs fn in a transaction in the host's name.
func (c *conversation) write(ctx context.Context, name string, fn func(*gate.Tx) error) error {
	call := c.origin
	call.RequestID, call.Name = uuid.New(c.Clock.Now(), c.Random), name
	pass, err := c.Gate.AdmitHost(c.identity(c.instance), call)
	if err != nil {
		return err
	}
	return c.Gate.Write(ctx, pass, fn)
}

func (c *conversation) ack(id uint64, ack hostproto.Ack) {
	if id != 0 {
		c.link.conn.Send(context.Background(), hostproto.Message{ID: id, Ack: &ack}) // if it fails, reading fails too
	}
}
