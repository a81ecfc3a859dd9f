// Package hosts keeps people's own machines that were enrolled and run our agent: the tokens by which they enroll, what
// their agents report, and their end. What EC2 makes of them is compute's.
package hosts

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"time"

	"github.com/sallyport/sallyport/internal/clock"
	"github.com/sallyport/sallyport/internal/db"
	"github.com/sallyport/sallyport/internal/fault"
	"github.com/sallyport/sallyport/internal/gate"
	"github.com/sallyport/sallyport/internal/resource"
)

// Host is an enrolled machine. One that was un-enrolled has Ended.
type Host struct {
	resource.Head `json:"-"`

	Reservation string    `json:"reservation"` // r- and 17 hex digits
	Zone        string    `json:"zone"`
	PublicKey   []byte    `json:"publicKey"` // Ed25519: what the agent proves itself with on the link
	Report      Report    `json:"report"`    // what the agent last told
	Enrolled    time.Time `json:"enrolled"`
	LastSeen    time.Time `json:"lastSeen"` // when the link was last known to be up; zero for never
}

var table = resource.Table[Host, *Host]{Kind: resource.Instance}

// keyScope is where the agents' keys are claimed: a key identifies one machine as long as it is enrolled.
const keyScope = "agent-key"

// Zones knows the availability zones.
type Zones interface {
	// Zone returns the zone's name if the region has it, and the region's first for none. Invalid "zone" otherwise.
	Zone(region, name string) (string, error)
}

// Links are the hosts' links.
type Links interface {
	// Dismiss tells a linked agent to remove itself from its machine and closes the link. One that is not
	// linked is told when it next connects.
	Dismiss(ctx context.Context, id string)
}

// Service is the hosts' room. It is safe for concurrent use.
type Service struct {
	db     *db.DB
	links  Links
	zones  Zones
	clock  clock.Clock
	random io.Reader
}

// New returns a Service. It panics if a collaborator is missing.
func New(database *db.DB, links Links, zones Zones, clock clock.Clock, random io.Reader) *Service {
	if database == nil || links == nil || zones == nil || clock == nil || random == nil {
		panic("hosts: New needs a database, links, zones, a clock and randomness")
	}
	return &Service{db: database, links: links, zones: zones, clock: clock, random: random}
}

// ByKey finds the host whose agent proves itself with the key. It is how a host is authenticated, so it takes no pass.
// NotFound, Subject "instance", for a key that was never enrolled or is no longer.
func (s *Service) ByKey(ctx context.Context, publicKey []byte) (Host, error) {
	return db.Get(ctx, s.db, func(tx *db.Tx) (Host, error) { return byKey(tx, publicKey) })
}

func byKey(tx *db.Tx, publicKey []byte) (Host, error) {
	id, err := resource.Claimed(tx, keyScope, keyText(publicKey))
	if err == nil && id == "" {
		err = fault.New(fault.NotFound, fault.Instance, "No enrolled machine has this agent's key.")
	}
	if err != nil {
		return Host{}, err
	}
	return table.Get(tx, id)
}

func keyText(publicKey []byte) string { return base64.StdEncoding.EncodeToString(publicKey) }

// Dismissed reports whether the host was enrolled with the key and is no more: then, and only then, its machine may be
// told to remove our agent. Like ByKey it takes no pass.
func (s *Service) Dismissed(ctx context.Context, id string, publicKey []byte) (bool, error) {
	return db.Get(ctx, s.db, func(tx *db.Tx) (bool, error) {
		host, err := table.Get(tx, id)
		if fault.Is(err, fault.NotFound) {
			return false, nil
		}
		return err == nil && !host.Ended.IsZero() && bytes.Equal(host.PublicKey, publicKey), err
	})
}

// See records that the host's link was up at the time.
func (s *Service) See(tx *gate.Tx, id string, at time.Time) error {
	if err := tx.Check(); err != nil {
		return err
	}
	tx.Silence()
	host, err := s.live(tx.Tx, id)
	if err != nil {
		return err
	}
	host.LastSeen = at
	return table.Update(tx.Tx, &host)
}

// live returns a host that is enrolled.
func (s *Service) live(tx *db.Tx, id string) (Host, error) {
	host, err := table.Get(tx, id)
	if err == nil && !host.Ended.IsZero() {
		err = resource.Instance.WrongState("The instance %s is terminated.", id)
	}
	return host, err
}

// Find returns the hosts of the region with the ids, in their order, each once; those too that were un-enrolled within
// the last hour. One NotFound fault names all that are missing. It is for what has a pass.
func (s *Service) Find(tx *db.Tx, region string, ids ...string) ([]Host, error) {
	return table.Find(tx, region, s.clock.Now(), ids...)
}

// List calls fn with the region's hosts in the order of their ids, beginning after one, as Find would find them, until
// it returns resource.ErrEnough. It is for what has a pass.
func (s *Service) List(tx *db.Tx, region, after string, fn func(Host) error) error {
	return table.List(tx, region, s.clock.Now(), after, fn)
}

// Unenroll ends a host that was read in the same transaction: its agent is told to remove itself, now or when it next
// links. One that has ended stays as it is.
func (s *Service) Unenroll(tx *gate.Tx, host Host) error {
	if err := tx.Check(); err != nil {
		return err
	}
	if !host.Ended.IsZero() {
		return nil
	}
	host.Ended = tx.Time()
	if err := resource.Disclaim(tx.Tx, keyScope, host.ID); err != nil {
		return fmt.Errorf("give the agent's key back: %w", err)
	}
	tx.After(func(ctx context.Context) error {
		s.links.Dismiss(ctx, host.ID)
		return nil
	})
	return table.Update(tx.Tx, &host)
}
