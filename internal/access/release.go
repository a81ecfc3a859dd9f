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

// EventSource is the eventSource of EC2 Instance Connect's events.
const EventSource = "ec2-instance-connect.amazonaws.com"

var eventID = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`)

// Release is a host's report that it handed a grant's key to sshd, for one connection.
type Release struct {
	InstanceID string // of the link that the report came over
	RequestID  string // the grant's
	EventID    string // a UUID that the host made once: a release reported twice is one event
	OSUser     string
	At         time.Time // server time, as the host estimates it
	Client     string    // the ssh client's ADDRESS:PORT; "" if the host does not know it
}

// UnknownClient is the source address of a release whose host gave no valid address of the ssh client.
const UnknownClient = "unknown"

// Released records a release as an event with the grant's request id and caller. The pass is the host's own. Errors are
// NotFound "grant" if the instance has no such grant, Invalid "release" if the event id is not a UUID or the OS user is
// not the grant's, and Limit "release" after maxReleases of one grant.
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

// released rewrites the host's event as one of the grant's caller: who logged in, and from where. The event has the
// requestID of the push.
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

// parseClient parses the ssh client's address as a host reports it. ok is false unless it is a unicast address with a
// port.
func parseClient(text string) (netip.AddrPort, bool) {
	client, err := netip.ParseAddrPort(text)
	address := client.Addr().Unmap()
	if err != nil || client.Port() == 0 || address.Zone() != "" || address.IsUnspecified() || address.IsMulticast() {
		return netip.AddrPort{}, false
	}
	return netip.AddrPortFrom(address, client.Port()), true
}

// within returns t, or the nearer bound if t is outside of them. A host's clock may be wrong, or the host may lie.
func within(t, from, to time.Time) time.Time {
	switch {
	case t.Before(from):
		return from
	case t.After(to):
		return to
	}
	return t
}
