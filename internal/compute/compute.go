// Package compute keeps what EC2 calls instances. Today each of them is a host: somebody's own machine, which package
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
	Running    State = "running"    // 16: a host is running while its agent is linked
	Terminated State = "terminated" // 48: un-enrolled; visible for an hour
	Stopped    State = "stopped"    // 80: a host whose agent is not linked
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

// Links is the state of the hosts' links.
type Links interface {
	// Linked reports whether the host's agent is connected now.
	Linked(id string) bool
	// Problem says as sentences why the host's link is not as it should be, and what to do; "" for nothing.
	Problem(id string) string
}

// Service is the instances' room. It is safe for concurrent use.
type Service struct {
	db     *db.DB
	hosts  *hosts.Service
	links  Links
	places Places
	clock  clock.Clock
}

// New returns a Service. It panics if a collaborator is missing.
func New(database *db.DB, machines *hosts.Service, links Links, places Places, clock clock.Clock) *Service {
	if database == nil || machines == nil || links == nil || len(places) == 0 || clock == nil {
		panic("compute: New needs a database, hosts, links, at least one region and a clock")
	}
	return &Service{db: database, hosts: machines, links: links, places: slices.Clone(places), clock: clock}
}

// Target is an instance as those see it who connect to it.
type Target struct {
	ID, Region, Zone string
	Users            []string // local users with a login shell
	State            State
	LinkProblem      string // see Links
}

// Target returns the region's instance with the id. One that does not exist, is in another region, or was terminated
// longer than an hour ago is a NotFound fault, Subject "instance". It is for what has a pass.
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

// find returns the instances in the order of the ids, each once, or one NotFound fault that names all that are missing.
func (s *Service) find(tx *db.Tx, region string, ids ...string) ([]Instance, error) {
	found, err := s.hosts.Find(tx, region, ids...)
	var all []Instance
	for _, host := range found {
		all = append(all, s.instance(host))
	}
	return all, err
}

// instance is a host as EC2 sees it.
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

// Terminate un-enrolls hosts: live grants end, no further key can be pushed, and each host's agent is told to remove
// itself, now or when it next links. A host that is cut off at this moment keeps what it was given before, which
// ends by itself within a minute. All are terminated or, if one does not exist (NotFound "instance"), none. The
// changes come in the order of the ids. Terminating a terminated instance succeeds and changes nothing.
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

// Condition finds the value of a condition key that EC2 has for instances ("ec2:availabilityzone", in lower case), for
// policies, and so takes no pass. ok is false for another key, and for the zone of an instance that the region does not
// have.
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

// What EC2 says of every host.
const (
	PlatformDetails = "Linux/UNIX"
	Tenancy         = "default"
	HostType        = "host" // of instance
)

// Health is what DescribeInstanceStatus says of an instance: status "ok" and reachability "passed" while it is
// running; otherwise "not-applicable" and nothing.
func (i Instance) Health() (status, reachability string) {
	if i.State == Running {
		return "ok", "passed"
	}
	return "not-applicable", ""
}

// StateReason says why an instance is not running; it is empty for one that is.
type StateReason struct {
	Code       string // "Client.UserInitiatedShutdown"
	Message    string // the code and a sentence
	Transition string // EC2's "User initiated (2026-11-22 02:02:10 GMT)"; empty if nobody asked for it
}

// StateReason returns why the instance is not running: a host that stopped did not do so at anybody's request.
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
