package iam

import (
	"io"
	"sync"
	"time"

	"github.com/sallyport/sallyport/internal/clock"
	"github.com/sallyport/sallyport/internal/gate"
	"github.com/sallyport/sallyport/internal/trail"
)

// IAM's quotas, which are fixed here.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
const (
	MaxAccessKeys = 2 // of one user, and of the root user
	MaxVersions   = 5 // of one managed policy

	maxAttached        = 10   // managed policies on one user or group
	maxGroupsOfUser    = 10   // groups one user is in
	maxTags            = 50   // on one user or policy
	maxUserInline      = 2048 // characters of all inline policies of a user together, without white space
	maxGroupInline     = 5120 // the same, of a group
	maxManagedDocument = 6144 // characters of one managed policy version, without white space
)

// Service is the room of identities. It implements gate.Principals. It is safe for concurrent use, and it
// expects to be the only one that changes identities in its store, which lets no second process in: a change made
// behind its back is seen by Principal only after the next change made through it.
type Service struct {
	account string
	store   Store
	seal    *Seal
	clock   clock.Clock
	random  io.Reader

	changes    sync.RWMutex // held by commit; shared by who needs that nothing changes for a moment
	principals principalCache
}

// New returns a Service for the account, a twelve-digit number. It panics if a collaborator is missing.
func New(account string, store Store, seal *Seal, clock clock.Clock, random io.Reader) *Service {
	if account == "" || store == nil || seal == nil || clock == nil || random == nil {
		panic("iam: New needs an account, a store, a seal, a clock and randomness")
	}
	return &Service{account: account, store: store, seal: seal, clock: clock, random: random}
}

// commit runs a change: one at a time, so that what it has read still holds when it writes, and followed by
// the end of everything that was cached before it. The cache is dropped after a failure too, because a change
// whose outcome is unknown may have happened.
func (s *Service) commit(change func() error) error {
	s.changes.Lock()
	defer s.changes.Unlock()
	defer s.principals.drop()
	return change()
}

// moment is the pass's time as it is kept: UTC, in whole seconds, as everywhere on AWS. Scripts that read times
// count on there being no fraction.
func moment(pass gate.Pass) time.Time { return pass.Time().UTC().Truncate(time.Second) }

// trailTime writes a time as IAM does in responseElements.
func trailTime(t time.Time) string { return t.UTC().Format("Jan 2, 2006 3:04:05 PM") }

// The types of resources in the trail.
const (
	UserType      = "AWS::IAM::User"
	GroupType     = "AWS::IAM::Group"
	PolicyType    = "AWS::IAM::Policy"
	AccessKeyType = "AWS::IAM::AccessKey"
)

// keyResource is an access key in the trail. It has no ARN; its id stands there, so that it can be looked up.
func keyResource(id string) trail.Resource { return trail.Resource{ARN: id, Type: AccessKeyType} }
