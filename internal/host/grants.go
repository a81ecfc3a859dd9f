package host

import (
	"context"
	"crypto/x509"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sallyport/sallyport/internal/hostproto"
	"github.com/sallyport/sallyport/internal/keyblob"
	"github.com/sallyport/sallyport/internal/sshkey"
)

// maxGrants bounds what the control plane can make a machine remember.
const maxGrants = 20_000

// Grants are the keys that may be used now. They live in memory only: after a restart the control plane hands
// over again those that are still live. It is safe for concurrent use.
type Grants struct {
	verifier   keyblob.Verifier
	instanceID string
	clock      *Clock
	logins     Logins
	log        *slog.Logger
	room       func(caller string) error

	mu      sync.Mutex
	held    map[string]held          // by request id
	revoked map[string]time.Duration // request ids, until when they are remembered, by the machine's uptime
}

// Live is a grant that lets its key in now.
type Live struct {
	hostproto.Grant
	Ends time.Duration // by the machine's uptime, which no clock that is set moves

	caller      string // who pushed the key
	publicKey   string // "TYPE BASE64"
	fingerprint string // of the key
}

// inTime reports whether the grant has not ended, and ends no later than one would that begins now.
func (l Live) inTime(uptime time.Duration) bool {
	return uptime < l.Ends && l.Ends-uptime <= keyblob.Lifetime
}

type held struct {
	Live
	expires time.Time // by the control plane's time of day
}

// over reports whether the grant has ended by any clock: also by the control plane's time of day, if it was set.
func (h held) over(now time.Time, uptime time.Duration) bool {
	left := h.expires.Sub(now)
	return !h.inTime(uptime) || left <= 0 || left > keyblob.Lifetime+keyblob.Slack
}

// NewGrants returns no grants. Those that are added must be signed under the root for the instance. room says, as an
// error, why a release of a caller's key could not be recorded now, which refuses the grant; Spool has one.
func NewGrants(root *x509.Certificate, instanceID string, clock *Clock, logins Logins, room func(caller string) error,
	log *slog.Logger) *Grants {
	return &Grants{verifier: keyblob.Verifier{Root: root}, instanceID: instanceID, clock: clock, logins: logins,
		room: room, log: log,
		held: make(map[string]held), revoked: make(map[string]time.Duration)}
}

// Replace forgets every grant and takes those instead. One that does not verify is left out; whether its user
// can log in is not asked again.
func (g *Grants) Replace(grants []hostproto.Grant) {
	fresh := make(map[string]held)
	for _, grant := range grants {
		h, err := g.verify(grant)
		if err != nil {
			g.log.Warn("a grant is not used", "request", grant.RequestID, "error", err)
			continue
		}
		fresh[grant.RequestID] = h
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.held, g.revoked = fresh, make(map[string]time.Duration)
}

// Add holds one more grant, if the user could log in by its key. From success on Find returns it.
func (g *Grants) Add(ctx context.Context, grant hostproto.Grant) hostproto.Ack {
	h, err := g.verify(grant)
	if err != nil {
		g.log.Warn("a grant is not used", "request", grant.RequestID, "error", err)
		return hostproto.Ack{Code: hostproto.AckBadGrant, Message: err.Error()}
	}
	if refused := g.logins.Judge(ctx, grant.OSUser, h.publicKey); refused != (hostproto.Ack{}) {
		return refused
	}
	if refused := g.recordable(h); refused != (hostproto.Ack{}) {
		return refused
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if _, revoked := g.revoked[grant.RequestID]; revoked {
		return hostproto.Ack{Code: hostproto.AckFailed, Message: "the grant was revoked"}
	}
	if len(g.held)+len(g.revoked) >= maxGrants {
		g.prune()
	}
	if len(g.held)+len(g.revoked) >= maxGrants {
		return hostproto.Ack{Code: hostproto.AckFailed, Message: "the machine holds too many grants"}
	}
	g.held[grant.RequestID] = h
	return hostproto.Ack{}
}

// recordable refuses a grant whose key would be withheld from sshd, because that it is handed out cannot be recorded.
func (g *Grants) recordable(h held) hostproto.Ack {
	err := g.room(h.caller)
	if err == nil {
		return hostproto.Ack{}
	}
	g.log.Warn("a grant is not used: its use could not be recorded", "request", h.RequestID, "error", err)
	return hostproto.Refused("",
		"The machine cannot record that a key is used, and hands out none that it cannot record: %v.", err)
}

// Revoke forgets the grant, also if it is being added at this moment.
func (g *Grants) Revoke(requestID string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.held, requestID)
	g.prune()
	if len(g.revoked) < maxGrants {
		g.revoked[requestID] = g.clock.Uptime() + keyblob.Lifetime
	}
}

// Find returns the user's live grants, and among them only those of the key with the fingerprint if one is given
// in the form "SHA256:…". The time is the control plane's, by which they were found to be live.
func (g *Grants) Find(user, fingerprint string) ([]Live, time.Time) {
	now, known := g.clock.Now()
	if !known {
		return nil, time.Time{}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	uptime := g.clock.Uptime()
	var found []Live
	for id, h := range g.held {
		switch {
		case h.over(now, uptime):
			delete(g.held, id) // for good, whatever the clocks show next
		case h.OSUser == user && matches(h.fingerprint, fingerprint):
			found = append(found, h.Live)
		}
	}
	slices.SortFunc(found, func(a, b Live) int { return strings.Compare(a.RequestID, b.RequestID) })
	return found, now
}

// prune forgets what is over. It is called with the mutex held.
func (g *Grants) prune() {
	now, _ := g.clock.Now()
	uptime := g.clock.Uptime()
	maps.DeleteFunc(g.held, func(_ string, h held) bool { return h.over(now, uptime) })
	maps.DeleteFunc(g.revoked, func(_ string, until time.Duration) bool { return uptime >= until })
}

// verify returns what a grant says if the root stands behind it and it is good for this instance now.
func (g *Grants) verify(grant hostproto.Grant) (held, error) {
	now, known := g.clock.Now()
	if !known {
		return held{}, errors.New("the control plane's time is not known yet")
	}
	expected := keyblob.Expectation{InstanceID: g.instanceID, OSUser: grant.OSUser, Now: now}
	statement, err := g.verifier.Verify(grant.Blob, expected)
	if err != nil {
		return held{}, err
	}
	if statement.RequestID != grant.RequestID {
		return held{}, errors.New("the grant goes by another request's id")
	}
	uptime := g.clock.Uptime()
	live := Live{
		Grant: grant, Ends: min(g.clock.Reaches(grant.Until), uptime+keyblob.Lifetime),
		caller: statement.Caller, publicKey: statement.PublicKey, fingerprint: sshkey.Fingerprint(statement.PublicKey),
	}
	if !live.inTime(uptime) {
		return held{}, keyblob.ErrExpired
	}
	return held{Live: live, expires: statement.Expires}, nil
}

// matches tells whether a key with the fingerprint is one that is asked for. sshd compares the keys itself in
// any case, so asking for nothing, or by another hash, gets all.
func matches(fingerprint, asked string) bool {
	return !strings.HasPrefix(asked, "SHA256:") || fingerprint == asked
}
