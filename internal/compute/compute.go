// Package compute keeps instances. Today these are hosts: people's own machines that were enrolled and run our
// agent. A change is durable, together with its event, when the method that made it returns; what takes no gate.Pass
// is for the gate and the links, and says so.
package compute

import (
	"context"
	"net/netip"
	"time"

	"github.com/sallyport/sallyport/internal/clock"
	"github.com/sallyport/sallyport/internal/trail"
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

// TerminatedVisible is how long a terminated instance is still described.
const TerminatedVisible = time.Hour

// Instance is a machine one can connect to.
type Instance struct {
	ID          string // i- and 17 hex digits
	Reservation string // r- and 17 hex digits
	Region      string
	Zone        string
	PublicKey   []byte // Ed25519: what the host's agent proves itself with on the link
	Report      Report // what the agent last told
	Enrolled    time.Time
	LastSeen    time.Time // when the link was last known to be up; zero for never
	Terminated  time.Time // zero unless un-enrolled
	Tags        map[string]string

	// What follows is not stored: Service derives it from Terminated and the link, and from Zone.

	State      State
	Contention string // see Links
	ZoneID     string // "on-prem-1-az1"
}

// Report is what an agent says of its machine.
type Report struct {
	Hostname     string       `json:"hostname"`
	OS           string       `json:"os"`           // PRETTY_NAME of os-release(5)
	Architecture string       `json:"architecture"` // EC2's words: x86_64, arm64
	Addresses    []netip.Addr `json:"addresses"`    // where sshd can be reached, the best first
	SSHPort      int          `json:"sshPort"`
	HostKeys     []string     `json:"hostKeys"` // "TYPE BASE64", as in a .pub file without its comment
	Users        []string     `json:"users"`    // local users with a login shell
	Version      string       `json:"version"`  // of the agent
	KeyTypes     []string     `json:"keyTypes"` // of public keys that sshd accepts; none if the host does not say
	Problems     []string     `json:"problems"` // sentences: why pushed keys do not work, or soon will not
	// Machine is a fingerprint of the machine that was enrolled, by which a copy may be told from it; "" for none.
	Machine string `json:"machine"`
}

// HostToken permits one machine to enroll.
type HostToken struct {
	ID      string
	Hash    []byte // SHA-256 of the secret part: the database alone enrolls nobody
	Region  string
	Zone    string
	Tags    map[string]string // the instance will have
	Created clock.Reading
	Expires time.Time
	Creator string // ARN
}

// Tag is a tag and what it is on.
type Tag struct {
	ResourceID   string
	ResourceType string // "instance"
	Key, Value   string
}

// Store keeps instances, tokens and tags. Methods that take an event commit it in the same transaction and
// return only when both are durable. Errors are faults with Resource "instance", "host-token" or "tag".
type Store interface {
	CreateHostToken(ctx context.Context, token HostToken, event trail.Event) error
	// HostToken reads a token that was not redeemed; NotFound otherwise. Expiry is the caller's to judge.
	HostToken(ctx context.Context, id string) (HostToken, error)
	// EnrollHost redeems the token and creates the instance with its tags. Of two machines that redeem one
	// token at once exactly one succeeds; the other gets NotFound "host-token".
	EnrollHost(ctx context.Context, tokenID string, instance Instance, event trail.Event) error
	// PruneHostTokens forgets tokens that expired before the time.
	PruneHostTokens(ctx context.Context, before time.Time) error
	// ReportHost replaces the report.
	ReportHost(ctx context.Context, id string, report Report, event trail.Event) error
	// SeeHost records when the host was last linked. It is not an event.
	SeeHost(ctx context.Context, id string, at time.Time) error
	// TerminateInstances marks all of them, or none if one does not exist; those already terminated keep
	// their time. Live grants on them end.
	TerminateInstances(ctx context.Context, ids []string, at time.Time, event trail.Event) error

	// Instance returns one with its tags; NotFound if there is none.
	Instance(ctx context.Context, id string) (Instance, error)
	// InstanceByKey finds the instance that was enrolled with the agent key and is not terminated.
	InstanceByKey(ctx context.Context, publicKey []byte) (Instance, error)
	// Instances returns a region's instances with their tags, by id, bytewise. Those terminated before the time are
	// left out.
	Instances(ctx context.Context, region string, terminatedAfter time.Time) ([]Instance, error)

	// PutTags sets the tags on every resource, all or nothing. Limit "tag" beyond 50 on a resource.
	PutTags(ctx context.Context, tags []Tag, event trail.Event) error
	// DeleteTags deletes the tags; those whose Value is not nil only if it equals. Missing ones are no error.
	DeleteTags(ctx context.Context, tags []TagMatch, event trail.Event) error
	// Tags returns the tags of a region's resources, by resource and key, bytewise.
	Tags(ctx context.Context, region string) ([]Tag, error)
	// ResourceTags returns the tags of one resource.
	ResourceTags(ctx context.Context, resourceID string) (map[string]string, error)
}

// TagMatch names tags to delete: every tag of the resource if Key is empty.
type TagMatch struct {
	ResourceID string
	Key        string
	Value      *string
}

// Links is the state of the hosts' links.
type Links interface {
	// Linked tells whether the host's agent is connected now.
	Linked(instanceID string) bool
	// Contention says, as a sentence, that two machines use the host's identity now; "" if they do not.
	Contention(instanceID string) string
	// Dismiss tells a linked agent to remove itself from its machine and closes the link. One that is not
	// linked is told when it next connects.
	Dismiss(ctx context.Context, instanceID string)
}
