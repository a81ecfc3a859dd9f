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

// maxGrants bounds the memory that the control plane can make a machine use.
const maxGrants = 20_000

// Grants are the live grants. They are in memory only: after a restart the control plane sends those that are still
// live again. Grants is safe for concurrent use.
type Grants struct {
	verifier   keyblob.Verifier
	instanceID string
	clock      *Clock
	logins     Logins
	log        *slog.Logger
	room       func(caller string) error

	mu      sync.Mutex
	held    map[string]held          // by request id
	revoked map[string]time.Duration // until which of the machine's uptimes each request id is remembered
}

// Live is a grant whose key is accepted now.
type Live struct {
	hostproto.Grant
	Ends time.Duration // an uptime of the machine, which setting a clock does not move

	caller      string // the caller who pushed the key
	publicKey   string // "TYPE BASE64"
	fingerprint string // the key's
}

// inTime reports whether the grant has not ended, and ends no later than a grant that begins now.
func (l Live) inTime(uptime time.Duration) bool {
	return uptime < l.Ends && l.Ends-uptime <= keyblob.Lifetime
}

type held struct {
	Live
	expires time.Time // a time of day of the control plane
}

// over reports whether the grant has ended by the uptime or by the control plane's time of day, whichever is earlier.
func (h held) over(now time.Time, uptime time.Duration) bool {
	left := h.expires.Sub(now)
	return !h.inTime(uptime) || left <= 0 || left > keyblob.Lifetime+keyblob.Slack
}

// NewGrants returns empty Grants. It accepts grants that are signed under the root for the instance. room returns an
// error if a release of the caller's key could not be recorded now, which refuses the grant; see Spool.Room.
func NewGrants(root *x509.Certificate, instanceID string, clock *Clock, logins Logins, room func(caller string) error,
	log *slog.Logger) *Grants {
	return &Grants{verifier: keyblob.Verifier{Root: root}, instanceID: instanceID, clock: clock, logins: logins,
		room: room, log: log,
		held: make(map[string]held), revoked: make(map[string]time.Duration)}
}

// Replace replaces all grants by the given ones. It leaves out those that do not verify. It does not judge again
// whether the users can log in.
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

// Add adds a grant, if the user could log in with its key. After success, Find returns it.
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

// recordable refuses a grant whose release could not be recorded, since its key would be withheld from sshd.
func (g *Grants) recordable(h held) hostproto.Ack {
	err := g.room(h.caller)
	if err == nil {
		return hostproto.Ack{}
	}
	g.log.Warn("a grant is not used: its use could not be recorded", "request", h.RequestID, "error", err)
	return hostproto.Refused("",
		"The machine cannot record that a key is used, and hands out none that it cannot record: %v.", err)
}

// Revoke removes the grant, even if Add is adding it at the same time.
func (g *Grants) Revoke(requestID string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.held, requestID)
	g.prune()
	if len(g.revoked) < maxGrants {
		g.revoked[requestID] = g.clock.Uptime() + keyblob.Lifetime
	}
}

// Find returns the user's live grants. If fingerprint is not empty, it returns only those of the key with that
// fingerprint, "SHA256:…". The time is the control plane's time of day at which they were live.
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
			delete(g.held, id) // for good, whatever the clocks say later
		case h.OSUser == user && matches(h.fingerprint, fingerprint):
			found = append(found, h.Live)
		}
	}
	slices.SortFunc(found, func(a, b Live) int { return strings.Compare(a.RequestID, b.RequestID) })
	return found, now
}

// prune removes grants that have ended. The mutex must be held.
func (g *Grants) prune() {
	now, _ := g.clock.Now()
	uptime := g.clock.Uptime()
	maps.DeleteFunc(g.held, func(_ string, h held) bool { return h.over(now, uptime) })
	maps.DeleteFunc(g.revoked, func(_ string, until time.Duration) bool { return uptime >= until })
}

// verify returns the grant's content if the grant is signed under the root and valid for this instance now.
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

// matches reports whether the asked fingerprint is empty, of another hash than SHA-256, or the key's. sshd compares the
// keys itself, so too many keys do no harm.
func matches(fingerprint, asked string) bool {
	return !strings.HasPrefix(asked, "SHA256:") || fingerprint == asked
}
