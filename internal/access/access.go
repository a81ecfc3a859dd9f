// Package access pushes SSH keys. It turns an allowed request into a signed grant, commits the grant together with its
// event, and hands it to the host. A push that succeeded opens the instance to its key for GrantLifetime. A push that
// failed opens nothing. The trail has every push and every use of a pushed key.
package access

import (
	"context"

	"github.com/sallyport/sallyport/internal/clock"
	"github.com/sallyport/sallyport/internal/compute"
	"github.com/sallyport/sallyport/internal/db"
	"github.com/sallyport/sallyport/internal/keyblob"
)

// Signers finds the signer of a region's grants. *ca.Signers implements it.
type Signers interface {
	Signer(region string) (keyblob.Signer, error)
}

// Targets finds the instance that a key is pushed to. *compute.Service implements it.
type Targets interface {
	Target(tx *db.Tx, region, id string) (compute.Target, error)
}

// Links are the connections to the hosts' agents.
type Links interface {
	// Deliver sends the grant to the host's agent and returns when the agent has acknowledged it. Errors are faults:
	// Unavailable "instance" if the host is not linked or does not answer in time, and NotFound "os-user" if the
	// machine has no such user. With the machine's own reason they are Invalid "os-user" or Invalid "public-key" if the
	// machine would not let in that user or such a key, and WrongState "instance" if it accepts no pushed key.
	Deliver(ctx context.Context, grant Grant) error
	// Revoke tells the host's agent to forget the grant, if the host is linked. It does not wait for an answer: the
	// grant expires anyway.
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

// New returns a Service. It panics if an argument is missing.
func New(database *db.DB, targets Targets, links Links, signers Signers, clock clock.Clock) *Service {
	if database == nil || targets == nil || links == nil || signers == nil || clock == nil {
		panic("access: New needs a database, targets, links, signers and a clock")
	}
	return &Service{db: database, targets: targets, links: links, signers: signers, clock: clock}
}
