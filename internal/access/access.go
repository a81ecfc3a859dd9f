// Package access pushes SSH keys: it turns an allowed request into a signed grant, makes it durable together
// with its event, and hands it to the host. A push that succeeded lets its key in, for GrantLifetime; one that did
// not lets nothing in; and whatever was let in stands in the trail.
package access

import (
	"context"
	"time"

	"github.com/sallyport/sallyport/internal/clock"
	"github.com/sallyport/sallyport/internal/compute"
	"github.com/sallyport/sallyport/internal/gate"
	"github.com/sallyport/sallyport/internal/keyblob"
	"github.com/sallyport/sallyport/internal/trail"
)

// GrantLifetime is how long a pushed key opens the door.
const GrantLifetime = keyblob.Lifetime

// Grant is one pushed public key.
type Grant struct {
	RequestID  string // names the grant: the id of the request that pushed it
	InstanceID string
	OSUser     string
	PublicKey  string // "TYPE BASE64"
	Caller     trail.Identity
	Issued     clock.Reading
	Expires    time.Time
	Blob       keyblob.Blob // the signed text the host verifies
}

// Left returns how much of the grant's minute is left: by the server's time of day, and by its uptime too, so
// that no clock that is set keeps a grant alive. One that was issued before the server's machine was restarted has
// nothing left, since nobody can tell how long ago that was.
func (g Grant) Left(now clock.Reading) time.Duration {
	if !now.SameBoot(g.Issued) {
		return 0
	}
	return now.Left(g.Issued, g.Expires)
}

// Store keeps grants, and takes the events of their use.
type Store interface {
	// PutGrant commits grant and event in one transaction and returns when both are durable.
	PutGrant(ctx context.Context, grant Grant, event trail.Event) error
	// WithdrawGrant ends a grant that could not be delivered. Its event is replaced by the pipeline.
	WithdrawGrant(ctx context.Context, requestID string) error
	// Grant returns a grant of the instance, live or not; NotFound "grant".
	Grant(ctx context.Context, instanceID, requestID string) (Grant, error)
	// LiveGrants returns the instance's grants that were issued in the boot, have not expired at now by the time of
	// day, and were not withdrawn.
	LiveGrants(ctx context.Context, instanceID, boot string, now time.Time) ([]Grant, error)
	// PruneGrants forgets grants that expired before the time.
	PruneGrants(ctx context.Context, before time.Time) error
	// AppendEvent is trail.Store's, with its promises: an event told twice is one.
	AppendEvent(ctx context.Context, event trail.Event) error
}

// Signers has the signer of each region's grants. *ca.Signers serves it.
type Signers interface {
	Signer(region string) (keyblob.Signer, error)
}

// Instances finds the machine a key is pushed to. *compute.Service serves it.
type Instances interface {
	Instance(ctx context.Context, pass gate.Pass, id string) (compute.Instance, error)
}

// Hosts reaches the machines.
type Hosts interface {
	// Deliver hands the grant to the host's agent and returns when the agent holds it. Errors are faults:
	// Unavailable "instance" if the host is not linked or does not answer in time, NotFound "os-user" if the
	// machine has no such user; and with the machine's own reason Invalid "os-user" or "public-key" if it would not
	// let that user or such a key in, WrongState "instance" if it lets no pushed key in.
	Deliver(ctx context.Context, grant Grant) error
	// Revoke tells the host's agent, if it is linked, to forget the grant. It waits for no answer: a grant ends
	// by itself.
	Revoke(ctx context.Context, instanceID, requestID string)
	// Linked tells whether the host's agent is connected now.
	Linked(instanceID string) bool
}
