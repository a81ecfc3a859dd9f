package compute

import (
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/internal/clock"
	"github.com/sallyport/sallyport/internal/fault"
	"github.com/sallyport/sallyport/internal/gate"
)

// Region is a place with zones, as the operator configured it.
type Region struct {
	Name     string   // "on-prem-1"
	Endpoint string   // host and port under which clients reach it
	Zones    []string // whole names: "on-prem-1a"
}

// Service is the instances' room. It is safe for concurrent use.
type Service struct {
	store   Store
	links   Links
	regions []Region
	clock   clock.Clock
	random  io.Reader
}

// New returns a Service. It panics if a collaborator is missing.
func New(store Store, links Links, regions []Region, clock clock.Clock, random io.Reader) *Service {
	if store == nil || links == nil || len(regions) == 0 || clock == nil || random == nil {
		panic("compute: New needs a store, links, at least one region, a clock and randomness")
	}
	return &Service{store: store, links: links, regions: slices.Clone(regions), clock: clock, random: random}
}

var instanceID = regexp.MustCompile(`^i-[0-9a-f]{8}([0-9a-f]{9})?$`)

// ValidInstanceID tells whether the text has the form of an EC2 instance id: i- and 17 or, as before 2016, 8
// hex digits.
func ValidInstanceID(id string) bool { return instanceID.MatchString(id) }

// InstanceARN is the name by which policies know an instance.
func InstanceARN(region, account, id string) string {
	return fmt.Sprintf("arn:aws:ec2:%s:%s:instance/%s", region, account, id)
}

// InstanceType is the type of an instance in the trail.
const InstanceType = "AWS::EC2::Instance"

// Instance returns an instance of the pass's region with its State. One that does not exist, is in another
// region, or was terminated longer than TerminatedVisible ago is a NotFound fault, Resource "instance".
func (s *Service) Instance(ctx context.Context, pass gate.Pass, id string) (Instance, error) {
	if err := pass.Check(); err != nil {
		return Instance{}, err
	}
	found, err := s.find(ctx, pass, []string{id})
	if err != nil {
		return Instance{}, err
	}
	return found[0], nil
}

// find returns the instances in the order of the ids, each once, or one NotFound fault that names all that are missing.
// More than MaxPage ids are an Invalid fault, Resource "ids".
func (s *Service) find(ctx context.Context, pass gate.Pass, ids []string) ([]Instance, error) {
	if len(ids) > MaxPage {
		return nil, fault.New(fault.Invalid, "ids", "At most %d ids can be given at once; %d were.", MaxPage, len(ids))
	}
	var found []Instance
	var missing []string
	seen := map[string]bool{}
	for _, id := range ids {
		if seen[id] {
			continue
		}
		seen[id] = true
		instance, err := s.store.Instance(ctx, id)
		switch {
		case fault.Is(err, fault.NotFound), err == nil && !s.visible(instance, pass.Region()):
			missing = append(missing, id)
		case err != nil:
			return nil, err
		default:
			found = append(found, s.withState(instance))
		}
	}
	switch len(missing) {
	case 0:
		return found, nil
	case 1:
		return nil, fault.New(fault.NotFound, "instance", "The instance ID '%s' does not exist", missing[0])
	}
	return nil, fault.New(fault.NotFound, "instance", "The instance IDs '%s' do not exist", strings.Join(missing, ", "))
}

func (s *Service) visible(instance Instance, region string) bool {
	return instance.Region == region && (instance.Terminated.IsZero() || instance.Terminated.After(s.clock.Now().Add(-TerminatedVisible)))
}

func (s *Service) withState(instance Instance) Instance {
	instance.ZoneID, instance.Contention = s.zoneID(instance.Region, instance.Zone), s.links.Contention(instance.ID)
	switch {
	case !instance.Terminated.IsZero():
		instance.State = Terminated
	case s.links.Linked(instance.ID):
		instance.State = Running
	default:
		instance.State = Stopped
	}
	return instance
}

// ResourceTags implements gate.Tags: it finds the tags of an instance by its ARN, for the conditions of
// policies, and so takes no pass. Anything but an instance has none.
func (s *Service) ResourceTags(ctx context.Context, arn string) (map[string]string, error) {
	_, id, ok := strings.Cut(arn, ":instance/")
	if !ok || !strings.HasPrefix(arn, "arn:aws:ec2:") || !ValidInstanceID(id) {
		return nil, nil
	}
	return s.store.ResourceTags(ctx, id)
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
		instance, err := s.store.Instance(ctx, id)
		if fault.Is(err, fault.NotFound) || err == nil && instance.Region != region {
			return "", false, nil
		}
		return instance.Zone, err == nil, err
	}
	return "", false, nil
}

// newID returns the prefix and 17 random hex digits.
func (s *Service) newID(prefix string) string {
	var b [9]byte
	if _, err := io.ReadFull(s.random, b[:]); err != nil {
		panic(fmt.Sprintf("compute: no randomness: %v", err))
	}
	return prefix + hex.EncodeToString(b[:])[:17]
}

// What EC2 says of every host.
const (
	PlatformDetails = "Linux/UNIX"
	Tenancy         = "default"
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
		r.Transition = fmt.Sprintf("User initiated (%s)", i.Terminated.UTC().Format(moment))
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
