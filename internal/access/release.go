package access

import (
	"context"
	"net/netip"
	"regexp"
	"time"

	"github.com/sallyport/sallyport/internal/fault"
	"github.com/sallyport/sallyport/internal/gate"
	"github.com/sallyport/sallyport/internal/resource"
	"github.com/sallyport/sallyport/internal/sshkey"
	"github.com/sallyport/sallyport/internal/trail"
)

// EventSource is the source of EC2 Instance Connect's events.
const EventSource = "ec2-instance-connect.amazonaws.com"

var eventID = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`)

// Release is what a host tells: it handed the key of a grant to sshd, for one connection.
type Release struct {
	InstanceID string // by the link, not by what the host says
	RequestID  string // of the grant
	EventID    string // a UUID the host made once: a release told twice is one event
	OSUser     string
	At         time.Time // by the server's clock, as far as the host knows it
	Client     string    // the ssh client's ADDRESS:PORT; "" if the host does not know it
}

// UnknownClient is the source address of a release whose host did not know, or did not tell in earnest, where the ssh
// client is.
const UnknownClient = "unknown"

// Released records a release as an event with the grant's request id and caller. Only grants of the same instance can
// be released: NotFound "grant" for any other. An event that is not a UUID or another OS user is Invalid "release";
// Limit "release" ends a host's flood. The pass is the host's own.
func (s *Service) Released(tx *gate.Tx, release Release) error {
	if err := tx.Check(); err != nil {
		return err
	}
	if !eventID.MatchString(release.EventID) {
		return fault.New(fault.Invalid, fault.Release, "The release's event id is not a UUID in lower case.")
	}
	grant, err := findGrant(tx.Tx, release.InstanceID, release.RequestID)
	if err != nil {
		return err
	}
	if release.OSUser != grant.OSUser {
		return fault.New(fault.Invalid, fault.Release, "The grant %s is for another OS user.", grant.RequestID)
	}
	if s.tallies.full(grant.RequestID) {
		return fault.New(fault.Limit, fault.Release, "The host told of more than %d releases of the grant %s.",
			maxReleases, grant.RequestID)
	}
	tx.After(func(context.Context) error {
		s.tallies.count(grant.RequestID, s.clock.Now())
		return nil
	})
	arn := resource.Instance.ARN(tx.Region(), tx.Account(), grant.InstanceID)
	at := within(release.At, grant.Issued.Time, s.clock.Now())
	tx.Amend(func(e *trail.Event) { released(e, grant, release, at) })
	tx.Touch(trail.Resource{ARN: arn, Type: resource.Instance.Type})
	return nil
}

// released makes the event say who let themselves in and from where, not which host told of it: the identity and the
// request are the grant's, so that the event has the requestID of the push.
func released(event *trail.Event, grant Grant, release Release, at time.Time) {
	event.ID, event.RequestID, event.Identity, event.Time = release.EventID, grant.RequestID, grant.Caller, at
	event.Source, event.Name, event.ReadOnly = EventSource, "ReleaseSSHPublicKey", true
	event.Parameters, event.TLS, event.SourceIP = nil, nil, UnknownClient
	event.ServiceDetails = map[string]any{
		"instanceId": grant.InstanceID, "instanceOSUser": grant.OSUser,
		"publicKeyFingerprint": sshkey.Fingerprint(grant.PublicKey),
	}
	if client, ok := parseClient(release.Client); ok {
		event.SourceIP, event.ServiceDetails["clientPort"] = client.Addr().String(), client.Port()
	}
}

// parseClient reads the address of an ssh client as a host tells it, and refuses what is no one's address.
func parseClient(text string) (netip.AddrPort, bool) {
	client, err := netip.ParseAddrPort(text)
	address := client.Addr().Unmap()
	if err != nil || client.Port() == 0 || address.Zone() != "" || address.IsUnspecified() || address.IsMulticast() {
		return netip.AddrPort{}, false
	}
	return netip.AddrPortFrom(address, client.Port()), true
}

// within moves a time between two others: a host's clock, or its honesty, may be off.
func within(t, from, to time.Time) time.Time {
	switch {
	case t.Before(from):
		return from
	case t.After(to):
		return to
	}
	return t
}
