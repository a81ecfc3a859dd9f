// Package access pushes SSH keys: it turns an allowed request into a signed grant, commits it together with its event,
// and hands it to the host. A push that succeeded lets its key in, for GrantLifetime; one that did not lets nothing in;
// and whatever was let in stands in the trail.
package access

import (
	"context"

	"github.com/sallyport/sallyport/internal/clock"
	"github.com/sallyport/sallyport/internal/compute"
	"github.com/sallyport/sallyport/internal/db"
	"github.com/sallyport/sallyport/internal/keyblob"
)

// Signers has the signer of each region's grants. *ca.Signers serves it.
type Signers interface {
	Signer(region string) (keyblob.Signer, error)
}

// Targets finds the machine a key is pushed to. *compute.Service serves it.
type Targets interface {
	Target(tx *db.Tx, region, id string) (compute.Target, error)
}

// Links reaches the machines.
type Links interface {
	// Deliver hands the grant to the host's agent and returns when the agent holds it. Errors are faults:
	// Unavailable "instance" if the host is not linked or does not answer in time, NotFound "os-user" if the
	// machine has no such user; and with the machine's own reason Invalid "os-user" or "public-key" if it would not
	// let that user or such a key in, WrongState "instance" if it lets no pushed key in.
	Deliver(ctx context.Context, grant Grant) error
	// Revoke tells the host's agent, if it is linked, to forget the grant. It waits for no answer: a grant ends
	// by itself.
	Revoke(ctx context.Context, instanceID, requestID string)
}

// Service pushes keys. It is safe for concurrent use.
type Service struct {
	db      *db.DB
	targets Targets
	links   Links
	signers Signers
	clock   clock.Clock
	tallies tallies
}

// New returns a Service. It panics if a collaborator is missing.
func New(database *db.DB, targets Targets, links Links, signers Signers, clock clock.Clock) *Service {
	if database == nil || targets == nil || links == nil || signers == nil || clock == nil {
		panic("access: New needs a database, targets, links, signers and a clock")
	}
	return &Service{db: database, targets: targets, links: links, signers: signers, clock: clock}
}
