// Package compute keeps what EC2 calls instances. Today every instance is a host: somebody's own machine, which package
// hosts enrolls.
package compute

import (
	"context"
	"fmt"
	"slices"

	"github.com/sallyport/sallyport/internal/clock"
	"github.com/sallyport/sallyport/internal/db"
	"github.com/sallyport/sallyport/internal/fault"
	"github.com/sallyport/sallyport/internal/gate"
	"github.com/sallyport/sallyport/internal/hosts"
)

// State is an instance's state, under EC2's names.
type State string

// The states of an instance, with EC2's codes.
const (
	Running    State = "running"    // 16: the host's agent is linked
	Terminated State = "terminated" // 48: the host was un-enrolled; visible for an hour
	Stopped    State = "stopped"    // 80: the host's agent is not linked
)

// Code is EC2's number for the state.
func (s State) Code() int32 {
	switch s {
	case Running:
		return 16
	case Terminated:
		return 48
	case Stopped:
		return 80
	}
	return 0
}

// Instance is a machine one can connect to, as EC2 sees it.
type Instance struct {
	hosts.Host
	State       State
	LinkProblem string // see Links
	ZoneID      string // "on-prem-1-az1"
}

// Links are the connections to the hosts' agents.
type Links interface {
	// Linked reports whether the host's agent is connected now.
	Linked(id string) bool
	// Problem returns sentences that say what is wrong with the host's link and what to do. It is "" if nothing is
	// wrong.
	Problem(id string) string
}

// Service keeps the instances. It is safe for concurrent use.
type Service struct {
	db     *db.DB
	hosts  *hosts.Service
	links  Links
	places Places
	clock  clock.Clock
}

// New returns a Service. It panics if an argument is missing.
func New(database *db.DB, machines *hosts.Service, links Links, places Places, clock clock.Clock) *Service {
	if database == nil || machines == nil || links == nil || len(places) == 0 || clock == nil {
		panic("compute: New needs a database, hosts, links, at least one region and a clock")
	}
	return &Service{db: database, hosts: machines, links: links, places: slices.Clone(places), clock: clock}
}

// Target is what package access must know of an instance to push a key to it.
type Target struct {
	ID, Region, Zone string
	Users            []string // local users with a login shell
	State            State
	LinkProblem      string // see Links
}

// Target returns the region's instance with the id. The error is NotFound "instance" if it does not exist, is in
// another region, or was terminated more than an hour ago. Callers need a pass.
func (s *Service) Target(tx *db.Tx, region, id string) (Target, error) {
	found, err := s.find(tx, region, id)
	if err != nil {
		return Target{}, err
	}
	i := found[0]
	return Target{
		ID: i.ID, Region: i.Region, Zone: i.Zone, Users: i.Report.Users, State: i.State, LinkProblem: i.LinkProblem,
	}, nil
}

// find returns the instances in the order of the ids, each once. A single NotFound fault names all that are missing.
func (s *Service) find(tx *db.Tx, region string, ids ...string) ([]Instance, error) {
	found, err := s.hosts.Find(tx, region, ids...)
	var all []Instance
	for _, host := range found {
		all = append(all, s.instance(host))
	}
	return all, err
}

// instance returns the host as EC2 sees it.
func (s *Service) instance(host hosts.Host) Instance {
	i := Instance{
		Host: host, State: Stopped,
		LinkProblem: s.links.Problem(host.ID), ZoneID: s.places.zoneID(host.Region, host.Zone),
	}
	switch {
	case !host.Ended.IsZero():
		i.State = Terminated
	case s.links.Linked(host.ID):
		i.State = Running
	}
	return i
}

// StateChange is what an operation did to an instance's state.
type StateChange struct {
	ID       string
	Previous State
	Current  State
}

// Terminate un-enrolls hosts. Their live grants end, no further key can be pushed, and each host's agent is told to
// remove itself, now or when it next links. A host that is disconnected keeps the grants it already has, which expire
// within a minute. If one of the ids does not exist (NotFound "instance"), none is terminated. The changes are in the
// order of the ids. Terminating a terminated instance succeeds and changes nothing.
func (s *Service) Terminate(tx *gate.Tx, ids []string) ([]StateChange, error) {
	if err := tx.Check(); err != nil {
		return nil, err
	}
	if len(ids) == 0 {
		return nil, fault.New(fault.Invalid, fault.Parameters, "No instances specified")
	}
	instances, err := s.find(tx.Tx, tx.Region(), ids...)
	if err != nil {
		return nil, err
	}
	var changes []StateChange
	for _, i := range instances {
		if err := s.hosts.Unenroll(tx, i.Host); err != nil {
			return nil, err
		}
		changes = append(changes, StateChange{ID: i.ID, Previous: i.State, Current: Terminated})
	}
	return changes, nil
}

// Condition returns the value of one of EC2's condition keys for an instance; key is in lower case, such as
// "ec2:availabilityzone". Policies are evaluated with it, so it takes no pass. ok is false for an unknown key, and for
// the zone of an instance that the region does not have.
func (s *Service) Condition(ctx context.Context, region, id, key string) (value string, ok bool, err error) {
	switch key {
	case "ec2:instanceid":
		return id, true, nil
	case "ec2:tenancy":
		return Tenancy, true, nil
	case "ec2:availabilityzone":
		target, err := db.Get(ctx, s.db, func(tx *db.Tx) (Target, error) { return s.Target(tx, region, id) })
		if fault.Is(err, fault.NotFound) {
			return "", false, nil
		}
		return target.Zone, err == nil, err
	}
	return "", false, nil
}

// Values that EC2 has and that are the same for every host.
const (
	PlatformDetails = "Linux/UNIX"
	Tenancy         = "default"
	HostType        = "host" // the instance type
)

// Health returns what DescribeInstanceStatus says of an instance: status "ok" and reachability "passed" while it is
// running, otherwise status "not-applicable" and reachability "".
func (i Instance) Health() (status, reachability string) {
	if i.State == Running {
		return "ok", "passed"
	}
	return "not-applicable", ""
}

// StateReason says why an instance is not running. It is zero for a running instance.
type StateReason struct {
	Code       string // "Client.UserInitiatedShutdown"
	Message    string // the code and a sentence
	Transition string // "User initiated (2026-11-22 02:02:10 GMT)", as EC2 has it; empty if no user asked for it
}

// StateReason returns why the instance is not running. No user asked a stopped host to stop.
func (i Instance) StateReason() StateReason {
	const moment = "2006-01-02 15:04:05 GMT"
	reason := func(code, text string) StateReason { return StateReason{Code: code, Message: code + ": " + text} }
	switch i.State {
	case Terminated:
		r := reason("Client.UserInitiatedShutdown", "The host was un-enrolled")
		r.Transition = fmt.Sprintf("User initiated (%s)", i.Ended.UTC().Format(moment))
		return r
	case Stopped:
		if i.LastSeen.IsZero() {
			return reason("Server.AgentNotConnected", "The host's agent has never been connected")
		}
		seen := i.LastSeen.UTC().Format(moment)
		return reason("Server.AgentNotConnected", "The host's agent is not connected; it was last seen at "+seen)
	}
	return StateReason{}
}
