package access

import (
	"cmp"
	"context"
	"fmt"
	"strings"

	"github.com/sallyport/sallyport/internal/compute"
	"github.com/sallyport/sallyport/internal/fault"
	"github.com/sallyport/sallyport/internal/gate"
	"github.com/sallyport/sallyport/internal/hosts"
	"github.com/sallyport/sallyport/internal/keyblob"
	"github.com/sallyport/sallyport/internal/sshkey"
)

// PushInput says which key is pushed, and for which user of which instance.
type PushInput struct {
	InstanceID string
	OSUser     string
	PublicKey  string // as in a .pub file
	Zone       string // the instance's; not checked if empty
}

// Push lets the key in as the OS user for GrantLifetime. The call succeeds once the grant is durable and the host's
// agent has acknowledged it. Otherwise the grant is withdrawn. A host that received the grant and was then cut off is
// told to forget it when it is back; until then the key may be accepted, but never longer than GrantLifetime. Errors
// are Invalid "public-key", "os-user" or "zone", NotFound "instance" or "os-user", WrongState "instance" (terminated,
// stopped, or the host says that it accepts no pushed key), and Unavailable "instance" (the host did not answer).
func (s *Service) Push(tx *gate.Tx, in PushInput) (Grant, error) {
	if err := tx.Check(); err != nil {
		return Grant{}, err
	}
	key, err := sshkey.ParsePublic(in.PublicKey)
	if err != nil {
		return Grant{}, err
	}
	if !hosts.ValidOSUser(in.OSUser) {
		return Grant{}, fault.New(fault.Invalid, fault.OSUser, "%q is not the name of an OS user: "+
			"1 to 32 letters, digits and . _ - @ + $ \\, beginning with a letter, a digit or _.", in.OSUser)
	}
	target, err := s.targets.Target(tx.Tx, tx.Region(), in.InstanceID)
	if err != nil {
		return Grant{}, err
	}
	if err := reachable(target, in.Zone); err != nil {
		return Grant{}, err
	}
	grant, err := s.sign(tx.Pass, in, key)
	if err != nil {
		return Grant{}, err
	}
	tx.Undo(func(tx *gate.Tx) error {
		tx.After(func(ctx context.Context) error {
			s.links.Revoke(ctx, grant.InstanceID, grant.RequestID)
			return nil
		})
		return withdraw(tx.Tx, grant.RequestID)
	})
	tx.After(func(ctx context.Context) error { return explain(s.links.Deliver(ctx, grant), target, grant) })
	return grant, putGrant(tx.Tx, grant)
}

// reachable returns an error if no key can reach the instance now.
func reachable(target compute.Target, zone string) error {
	switch {
	case zone != "" && zone != target.Zone:
		return fault.New(fault.Invalid, fault.Zone, "The instance %s is in the availability zone %s, not in %s. "+
			"Give that zone, or none.", target.ID, target.Zone, zone)
	case target.State == compute.Terminated:
		return fault.New(fault.WrongState, fault.Instance, "The instance %s is terminated: "+
			"its host was un-enrolled, and no key can be pushed to it.", target.ID)
	case target.State != compute.Running:
		return fault.New(fault.WrongState, fault.Instance, "The instance %s is stopped: "+
			"its agent has no link to this server. %s Nothing was granted.", target.ID, cmp.Or(target.LinkProblem,
			"Check that the machine is up and its sallyport-host service runs, then try again."))
	}
	return nil
}

func (s *Service) sign(pass gate.Pass, in PushInput, key sshkey.Public) (Grant, error) {
	issued := s.clock()
	grant := Grant{
		RequestID: pass.RequestID(), InstanceID: in.InstanceID, OSUser: in.OSUser, PublicKey: key.Line,
		Caller: pass.Identity(), Issued: issued, Expires: issued.Time.Add(GrantLifetime),
	}
	signer, err := s.signers.Signer(pass.Region())
	if err != nil {
		return Grant{}, fmt.Errorf("find the signer of %s: %w", pass.Region(), err)
	}
	grant.Blob, err = keyblob.Sign(keyblob.Statement{
		Expires: grant.Expires, InstanceID: grant.InstanceID, Caller: grant.Caller.ARN, RequestID: grant.RequestID,
		OSUser: grant.OSUser, PublicKey: grant.PublicKey,
	}, signer)
	if err != nil {
		return Grant{}, fmt.Errorf("sign the grant: %w", err)
	}
	return grant, nil
}

// explain adds the machine's users to an error that says that it lacks the user.
func explain(failure error, target compute.Target, grant Grant) error {
	if fault.Is(failure, fault.NotFound) && fault.Of(failure).Subject == fault.OSUser {
		return fault.Wrap(failure, fault.NotFound, fault.OSUser, "The instance %s has no user %q.%s",
			target.ID, grant.OSUser, suggestUsers(target.Users))
	}
	return failure
}

// suggestUsers names up to ten of the machine's users, so that the next attempt can succeed.
func suggestUsers(users []string) string {
	const some = 10
	switch {
	case len(users) == 0:
		return ""
	case len(users) > some:
		return fmt.Sprintf(" Its users are %s and %d more.", strings.Join(users[:some], ", "), len(users)-some)
	}
	return fmt.Sprintf(" Its users are: %s.", strings.Join(users, ", "))
}
