// Package iam keeps users, groups, policies, access keys and sessions, and tells the gate who an access key belongs
// to and what they may do.
//
// Each method that writes takes a gate.Tx, and checks its rules in the transaction that it writes in. Each method that
// reads takes a gate.Pass, and sees the database as it was at one moment. What a write changes holds for every request
// that begins after the write has returned.
//
// Names are compared without regard to case; ARNs and ids exactly, as policies were asked about them as they were
// given. Errors are faults whose Resource is "user", "group", "policy", "policy-version", "policy-document",
// "access-key", "session", "attachment", "membership", "tag", "arn" or "parameter"; the messages are IAM's own where it
// has them.
package iam

import (
	"context"
	"io"
	"time"

	"github.com/sallyport/sallyport/internal/clock"
	"github.com/sallyport/sallyport/internal/db"
	"github.com/sallyport/sallyport/internal/fault"
	"github.com/sallyport/sallyport/internal/gate"
	"github.com/sallyport/sallyport/internal/trail"
)

// IAM's quotas, which are fixed here. Those of one kind of identity stand in kind.go.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
const (
	maxAccessKeys      = 2    // of one user, and of the root user
	maxVersions        = 5    // of one managed policy
	maxAttached        = 10   // managed policies on one user or group
	maxGroupsOfUser    = 10   // groups one user is in
	maxTags            = 50   // on one user or policy
	maxManagedDocument = 6144 // characters of one managed policy version, without white space
)

// Service is the room of identities. It implements gate.Principals, gate.Uses and gate.Tags, and is safe for
// concurrent use. It must be the only one that changes identities in its database, which lets no second process in: a
// change made behind its back is seen by Principal only after the next one made through it.
type Service struct {
	account string
	db      *db.DB
	seal    *Seal
	clock   clock.Clock
	random  io.Reader

	principals principalCache
	uses       uses
}

var (
	_ gate.Principals = (*Service)(nil)
	_ gate.Uses       = (*Service)(nil)
	_ gate.Tags       = (*Service)(nil)
)

// New returns a Service for the account, a twelve-digit number. It panics if a collaborator is missing.
func New(account string, database *db.DB, seal *Seal, clock clock.Clock, random io.Reader) *Service {
	if account == "" || database == nil || seal == nil || clock == nil || random == nil {
		panic("iam: New needs an account, a database, a seal, a clock and randomness")
	}
	return &Service{account: account, db: database, seal: seal, clock: clock, random: random}
}

// begin is the first thing that every write of identities does. It refuses the zero Tx, and sees to it that no
// principal that was read before the write outlives it, whatever becomes of it: a write whose outcome is unknown may
// have happened.
func (s *Service) begin(tx *gate.Tx) error {
	if err := tx.Check(); err != nil {
		return err
	}
	tx.Finally(s.principals.drop)
	return nil
}

// read is what every read with a Pass goes through. It refuses the zero Pass.
func read[T any](ctx context.Context, s *Service, pass gate.Pass, fn func(*db.Tx) (T, error)) (T, error) {
	if err := pass.Check(); err != nil {
		var zero T
		return zero, err
	}
	return db.Get(ctx, s.db, fn)
}

// moment is the call's time as it is kept: UTC, in whole seconds, as everywhere on AWS. Scripts that read times count
// on there being no fraction.
func moment(tx *gate.Tx) time.Time { return tx.Time().UTC().Truncate(time.Second) }

// The types of resources in the trail that are not of a kind of identity.
const (
	PolicyType    = "AWS::IAM::Policy"
	AccessKeyType = "AWS::IAM::AccessKey"
)

func policyResource(arn string) trail.Resource { return trail.Resource{ARN: arn, Type: PolicyType} }

// keyResource is an access key in the trail. It has no ARN; its id stands there, so that it can be looked up.
func keyResource(id string) trail.Resource { return trail.Resource{ARN: id, Type: AccessKeyType} }

// invalid is a fault about a parameter's value.
func invalid(format string, args ...any) error {
	return fault.New(fault.Invalid, fault.Parameter, format, args...)
}
