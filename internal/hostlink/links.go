// Package hostlink is the control plane's end of the links that hosts' agents hold open. It enrolls machines,
// authenticates agents by their keys, delivers grants to them and receives their reports. A host's key proves which
// host it is; everything else that it sends is bounded, and affects that host only.
package hostlink

import (
	"cmp"
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/sallyport/sallyport/internal/access"
	"github.com/sallyport/sallyport/internal/clock"
	"github.com/sallyport/sallyport/internal/fault"
	"github.com/sallyport/sallyport/internal/hostproto"
)

// deliverTimeout is how long an agent may take to acknowledge a message. It may have to ask a directory service whether
// a user exists.
const deliverTimeout = 5 * time.Second

// Links are the links that are up. They implement access.Links, compute.Links and hosts.Links, and are safe for
// concurrent use.
type Links struct {
	clock   clock.Clock
	log     *slog.Logger
	started time.Duration // an uptime, like all times here

	mu       sync.RWMutex
	up       map[string]*link // by instance id
	past     map[string]past  // by instance id
	draining bool
	serving  sync.WaitGroup // counts the links that were added and have not left
}

// NewLinks returns Links without any link. Server adds them.
func NewLinks(clock clock.Clock, log *slog.Logger) *Links {
	return &Links{clock: clock, log: log, started: clock().Uptime, up: make(map[string]*link), past: make(map[string]past)}
}

// Linked reports whether the host's agent is connected now.
func (l *Links) Linked(instanceID string) bool { return l.find(instanceID) != nil }

// Count returns how many hosts are linked.
func (l *Links) Count() int {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return len(l.up)
}

// Deliver sends the grant to the host's agent and returns when the agent has acknowledged it, after five seconds at
// most. Errors are those of access.Links. After an error the agent may have the grant nevertheless.
func (l *Links) Deliver(ctx context.Context, grant access.Grant) error {
	link := l.find(grant.InstanceID)
	if link == nil {
		return fault.New(fault.Unavailable, fault.Instance,
			"The instance %s has lost its link to this server. Try again.", grant.InstanceID)
	}
	if err := l.undecided(grant.InstanceID); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, deliverTimeout)
	defer cancel()
	now := l.clock()
	wire := toWire(grant, now)
	ack, err := link.call(ctx, hostproto.Message{Grant: &wire, Clocks: clocks(now)})
	if err != nil {
		return fault.Wrap(err, fault.Unavailable, fault.Instance,
			"The instance %s did not answer. Try again.", grant.InstanceID)
	}
	if ack.Code != "" {
		l.log.Warn("a host refuses a grant", "instance", grant.InstanceID, "request", grant.RequestID,
			"code", ack.Code, "subject", ack.Subject, "message", hostproto.Reason(ack.Message))
	}
	return refusal(grant, ack)
}

// refusal returns the error that the agent's answer to a grant means for the caller who pushed the key; nil if the
// agent accepted the grant.
func refusal(grant access.Grant, ack hostproto.Ack) error {
	reason := hostproto.Reason(ack.Message)
	switch {
	case ack.Code == "":
		return nil
	case ack.Code == hostproto.AckUnknownUser:
		return fault.New(fault.NotFound, fault.OSUser, "The instance %s has no user %q.", grant.InstanceID, grant.OSUser)
	case ack.Code == hostproto.AckRefused && ack.Subject == hostproto.SubjectUser:
		return fault.New(fault.Invalid, fault.OSUser,
			"The instance %s does not let %q in. %s", grant.InstanceID, grant.OSUser, reason)
	case ack.Code == hostproto.AckRefused && ack.Subject == hostproto.SubjectKey:
		return fault.New(fault.Invalid, fault.PublicKey,
			"The instance %s does not accept the key. %s", grant.InstanceID, reason)
	case ack.Code == hostproto.AckRefused:
		return fault.New(fault.WrongState, fault.Instance,
			"No pushed key opens the instance %s now. %s", grant.InstanceID, reason)
	}
	return fault.New(fault.Unavailable, fault.Instance,
		"The instance %s could not take the key: %s. Its agent's log says more.",
		grant.InstanceID, cmp.Or(reason, "it does not say why"))
}

// Revoke tells the host's agent to forget the grant, if the host is linked, without waiting for the answer. An agent
// that does not acknowledge it loses its link, and its next link replaces its grants by the live ones.
func (l *Links) Revoke(ctx context.Context, instanceID, requestID string) {
	link := l.find(instanceID)
	if link == nil {
		return
	}
	go func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), deliverTimeout)
		defer cancel()
		if _, err := link.call(ctx, hostproto.Message{Revoke: &hostproto.Revoke{RequestID: requestID}}); err != nil {
			l.log.Warn("a host does not confirm a revocation", "instance", instanceID, "request", requestID, "error", err)
			link.conn.Close()
		}
	}()
}

// Dismiss tells a linked agent to remove itself from its machine and closes the link. An agent that is not linked is
// told when it next connects.
func (l *Links) Dismiss(ctx context.Context, instanceID string) {
	link := l.find(instanceID)
	if link == nil {
		return
	}
	l.remove(link)
	ctx, cancel := context.WithTimeout(ctx, deliverTimeout)
	defer cancel()
	if _, err := link.call(ctx, hostproto.Message{Dismiss: &hostproto.Dismiss{}}); err != nil {
		l.log.Warn("a host does not answer its dismissal: it is told again when it connects",
			"instance", instanceID, "error", err)
	}
	link.conn.Close()
}

// Drain tells the agents that the control plane restarts, closes all links and accepts no new ones. It returns when the
// last link has ended and has stored what it had to store, or when the context is done.
func (l *Links) Drain(ctx context.Context) {
	l.mu.Lock()
	l.draining = true
	for _, link := range l.up {
		go link.bye(hostproto.ByeRestart)
	}
	l.mu.Unlock()
	over := make(chan struct{})
	go func() {
		l.serving.Wait()
		close(over)
	}()
	select {
	case <-over:
	case <-ctx.Done():
	}
}

// remove removes the link, unless another has replaced it.
func (l *Links) remove(link *link) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.up[link.instanceID] == link {
		delete(l.up, link.instanceID)
	}
}

// leave removes a link that was added and has ended.
func (l *Links) leave(link *link) {
	l.remove(link)
	l.mu.Lock()
	past := l.past[link.instanceID]
	past.left, past.machine = l.clock().Uptime, link.machine
	l.past[link.instanceID] = past
	l.mu.Unlock()
	l.serving.Done()
}

func (l *Links) find(instanceID string) *link {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.up[instanceID]
}

// Problem returns sentences that say what is wrong with the host's link and what to do: two machines ask for it, or the
// agent is of another version. It is "" if nothing is wrong.
func (l *Links) Problem(instanceID string) string {
	l.mu.RLock()
	defer l.mu.RUnlock()
	past, now := l.past[instanceID], l.clock().Uptime
	switch {
	case past.contention.remembered(now):
		return past.contention.sentence()
	case past.mismatch.remembered(now) && l.up[instanceID] == nil:
		return hostproto.VersionProblem(past.mismatch.version, hostproto.Version)
	}
	return ""
}

func toWire(grant access.Grant, now clock.Reading) hostproto.Grant {
	return hostproto.Grant{
		RequestID: grant.RequestID, OSUser: grant.OSUser, Blob: grant.Blob, Until: now.Uptime + grant.Left(now),
	}
}

// clocks returns the reading in the form of a message.
func clocks(now clock.Reading) *hostproto.Clocks {
	return &hostproto.Clocks{Time: now.Time, Uptime: now.Uptime}
}
