// Package hosts keeps people's own machines that were enrolled and run our agent: the tokens that enroll them, what
// their agents report, and their un-enrollment. Package compute shows them as EC2 instances.
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

// Host is an enrolled machine. Ended is set once it is un-enrolled.
type Host struct {
	resource.Head `json:"-"`

	Reservation string    `json:"reservation"` // r- and 17 hex digits
	Zone        string    `json:"zone"`
	PublicKey   []byte    `json:"publicKey"` // Ed25519: authenticates the agent on the link
	Report      Report    `json:"report"`    // the agent's last
	Enrolled    time.Time `json:"enrolled"`
	LastSeen    time.Time `json:"lastSeen"` // when the link was last known to be up; zero if it never was
}

var table = resource.Table[Host, *Host]{Kind: resource.Instance}

// keyScope is the scope of the claims on agents' keys: a key identifies one machine while it is enrolled.
const keyScope = "agent-key"

// Zones knows the availability zones.
type Zones interface {
	// Zone returns name if the region has such a zone, and the region's first zone if name is empty. Otherwise the
	// error is Invalid "zone".
	Zone(region, name string) (string, error)
}

// Links are the connections to the hosts' agents.
type Links interface {
	// Dismiss tells a linked agent to remove itself from its machine and closes the link. An agent that is not linked
	// is told when it next connects.
	Dismiss(ctx context.Context, id string)
}

// Service keeps the hosts. It is safe for concurrent use.
type Service struct {
	db     *db.DB
	links  Links
	zones  Zones
	clock  clock.Clock
	random io.Reader
}

// New returns a Service. It panics if an argument is missing.
func New(database *db.DB, links Links, zones Zones, clock clock.Clock, random io.Reader) *Service {
	if database == nil || links == nil || zones == nil || clock == nil || random == nil {
		panic("hosts: New needs a database, links, zones, a clock and randomness")
	}
	return &Service{db: database, links: links, zones: zones, clock: clock, random: random}
}

// ByKey returns the host whose agent has the key. It authenticates hosts, so it takes no pass. The error is NotFound
// "instance" if the key was never enrolled or its host was un-enrolled.
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

// Dismissed reports whether the host was enrolled with the key and has since been un-enrolled. Only then may its
// machine be told to remove our agent. Like ByKey it takes no pass.
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

// Find returns the region's hosts with the ids, in their order, each once, including those that were un-enrolled within
// the last hour. A single NotFound fault names all that are missing. Callers need a pass.
func (s *Service) Find(tx *db.Tx, region string, ids ...string) ([]Host, error) {
	return table.Find(tx, region, s.clock.Now(), ids...)
}

// List calls fn with the region's hosts, including those that were un-enrolled within the last hour, in the order of
// their ids, beginning after the given one, until fn returns resource.ErrEnough. Callers need a pass.
func (s *Service) List(tx *db.Tx, region, after string, fn func(Host) error) error {
	return table.List(tx, region, s.clock.Now(), after, fn)
}

// Unenroll ends a host that was read in the same transaction. Its agent is told to remove itself, now or when it next
// links. Unenroll does nothing to a host that has ended.
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
