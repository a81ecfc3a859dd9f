// Package iam keeps users, groups, policies, access keys and sessions, and tells the gate who an access key belongs to
// and which policies apply to them.
//
// Each method that writes takes a gate.Tx, and checks its rules in the transaction in which it writes. Each method that
// reads takes a gate.Pass, and reads one snapshot of the database. A change applies to every request that begins after
// the write has returned.
//
// Names are compared without regard to case. ARNs and ids are compared exactly, because policies were evaluated with
// them as the request gave them. Errors are faults with the Subject "user", "group", "policy", "policy-version",
// "policy-document", "access-key", "session", "attachment", "membership", "tag", "arn" or "parameter". Their messages
// are IAM's own where it has them.
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

// IAM's quotas, which are fixed here. Those that depend on the kind of identity are in kind.go. See
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
const (
	maxAccessKeys      = 2    // of one user, and of the root user
	maxVersions        = 5    // of one managed policy
	maxAttached        = 10   // managed policies on one user or group
	maxGroupsOfUser    = 10   // groups of one user
	maxTags            = 50   // on one user or policy
	maxManagedDocument = 6144 // characters of one managed policy version, without white space
)

// Service keeps the identities. It implements gate.Principals, gate.Uses and gate.Tags, and is safe for concurrent use.
// Only one Service may change the identities in a database, which is open in one process at a time: Principal sees
// changes that were made without it only after the next change through it.
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

// New returns a Service for the account, a twelve-digit number. It panics if an argument is missing.
func New(account string, database *db.DB, seal *Seal, clock clock.Clock, random io.Reader) *Service {
	if account == "" || database == nil || seal == nil || clock == nil || random == nil {
		panic("iam: New needs an account, a database, a seal, a clock and randomness")
	}
	return &Service{account: account, db: database, seal: seal, clock: clock, random: random}
}

// begin must be the first call of every write of identities. It refuses the zero Tx, and makes sure that no principal
// that was read before the write stays cached, whether the write succeeds or not: a write whose outcome is unknown may
// have been committed.
func (s *Service) begin(tx *gate.Tx) error {
	if err := tx.Check(); err != nil {
		return err
	}
	tx.Finally(s.principals.drop)
	return nil
}

// read runs every read that takes a Pass. It refuses the zero Pass.
func read[T any](ctx context.Context, s *Service, pass gate.Pass, fn func(*db.Tx) (T, error)) (T, error) {
	if err := pass.Check(); err != nil {
		var zero T
		return zero, err
	}
	return db.Get(ctx, s.db, fn)
}

// moment returns the call's time as it is stored: UTC, in whole seconds, as everywhere on AWS. Scripts that parse times
// rely on that.
func moment(tx *gate.Tx) time.Time { return tx.Time().UTC().Truncate(time.Second) }

// Types of resources in the trail. Those of identities are in kind.go.
const (
	PolicyType    = "AWS::IAM::Policy"
	AccessKeyType = "AWS::IAM::AccessKey"
)

func policyResource(arn string) trail.Resource { return trail.Resource{ARN: arn, Type: PolicyType} }

// keyResource returns an access key as a resource of the trail. It has no ARN, so its id is used, by which it can be
// looked up.
func keyResource(id string) trail.Resource { return trail.Resource{ARN: id, Type: AccessKeyType} }

// invalid returns the fault for a parameter's value.
func invalid(format string, args ...any) error {
	return fault.New(fault.Invalid, fault.Parameter, format, args...)
}
