package access

import (
	"context"
	"fmt"
	"strings"

	"github.com/sallyport/sallyport/internal/compute"
	"github.com/sallyport/sallyport/internal/fault"
	"github.com/sallyport/sallyport/internal/gate"
	"github.com/sallyport/sallyport/internal/keyblob"
	"github.com/sallyport/sallyport/internal/sshkey"
)

// PushInput is a key and the door it is to open.
type PushInput struct {
	InstanceID string
	OSUser     string
	PublicKey  string // as in a .pub file
	Zone       string // must be the instance's if it is given
}

// Push lets the key in as the OS user for GrantLifetime. It returns the grant when it is durable and the
// host's agent holds it; after any error the grant is withdrawn. A host that took it and was then cut off is told
// when it is back; until then, and for no longer than GrantLifetime, the key may open the door. Errors are Invalid "public-key", "os-user" or
// "zone", NotFound "instance" or "os-user", WrongState "instance" (it is terminated or stopped, or says that no pushed
// key opens it), and Unavailable "instance" (it did not answer).
func (s *Service) Push(ctx context.Context, pass gate.Pass, in PushInput) (Grant, error) {
	if err := pass.Check(); err != nil {
		return Grant{}, err
	}
	key, err := sshkey.ParsePublic(in.PublicKey)
	if err != nil {
		return Grant{}, err
	}
	if !compute.ValidOSUser(in.OSUser) {
		return Grant{}, fault.New(fault.Invalid, "os-user", "%q is not the name of an OS user: 1 to 32 letters, digits and . _ - @ + $ \\, beginning with a letter, a digit or _.", in.OSUser)
	}
	instance, err := s.target(ctx, pass, in)
	if err != nil {
		return Grant{}, err
	}
	grant, err := s.sign(pass, in, key)
	if err != nil {
		return Grant{}, err
	}
	if err := s.store.PutGrant(ctx, grant, pass.Event(nil)); err != nil {
		// A database whose answer was lost may have kept the grant, and the next link would hand it over. That there
		// is nothing to withdraw is the usual case.
		_ = s.store.WithdrawGrant(context.WithoutCancel(ctx), grant.RequestID)
		return Grant{}, err
	}
	if err := s.hosts.Deliver(ctx, grant); err != nil {
		return Grant{}, s.takeBack(ctx, grant, instance, err)
	}
	return grant, nil
}

// target finds the instance and refuses one that the key cannot reach now.
func (s *Service) target(ctx context.Context, pass gate.Pass, in PushInput) (compute.Instance, error) {
	instance, err := s.instances.Instance(ctx, pass, in.InstanceID)
	if err != nil {
		return compute.Instance{}, err
	}
	switch {
	case in.Zone != "" && in.Zone != instance.Zone:
		return compute.Instance{}, fault.New(fault.Invalid, "zone", "The instance %s is in the availability zone %s, not in %s. Give that zone, or none.", instance.ID, instance.Zone, in.Zone)
	case instance.State == compute.Terminated:
		return compute.Instance{}, fault.New(fault.WrongState, "instance", "The instance %s is terminated: its host was un-enrolled, and no key can be pushed to it.", instance.ID)
	case !s.hosts.Linked(instance.ID):
		return compute.Instance{}, fault.New(fault.WrongState, "instance", "The instance %s is stopped: its agent has no link to this server. "+
			"Check that the machine is up and its sallyport-host service runs, then try again. Nothing was granted.", instance.ID)
	}
	return instance, nil
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

// takeBack ends a grant that may or may not have arrived and returns the caller's error. The caller may have
// gone away; that must not leave the grant standing.
func (s *Service) takeBack(ctx context.Context, grant Grant, instance compute.Instance, failure error) error {
	ctx = context.WithoutCancel(ctx)
	err := s.store.WithdrawGrant(ctx, grant.RequestID)
	s.hosts.Revoke(ctx, grant.InstanceID, grant.RequestID)
	if err != nil {
		return fmt.Errorf("withdraw the grant after its delivery failed (%v): %w", failure, err)
	}
	if f := fault.Of(failure); f.Kind == fault.NotFound && f.Resource == "os-user" {
		return fault.Wrap(failure, fault.NotFound, "os-user", "The instance %s has no user %q.%s", instance.ID, grant.OSUser, suggestUsers(instance.Report.Users))
	}
	return failure
}

// suggestUsers names some users that exist, so that the next attempt can succeed.
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
