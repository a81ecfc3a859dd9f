package hosts

import (
	"crypto/ed25519"
	"time"

	"github.com/sallyport/sallyport/internal/fault"
	"github.com/sallyport/sallyport/internal/gate"
	"github.com/sallyport/sallyport/internal/resource"
	"github.com/sallyport/sallyport/internal/trail"
)

// Application is what a machine sends to enroll.
type Application struct {
	TokenID   string
	Secret    gate.Secret
	PublicKey []byte // the agent's, Ed25519
	Report    Report
}

// Enroll redeems a token. The machine that knows the token's secret becomes an instance, which the agent's public key
// identifies from then on. The pass is gate.AdmitHost's, and its event names the instance. Errors are Unauthenticated
// "host-token" if the token is not valid, and Exists "instance" if an enrolled machine has the key.
func (s *Service) Enroll(tx *gate.Tx, a Application) (Host, error) {
	if err := tx.Check(); err != nil {
		return Host{}, err
	}
	if len(a.PublicKey) != ed25519.PublicKeySize {
		return Host{}, fault.New(fault.Invalid, fault.HostKey, "The agent's key must be an Ed25519 key.")
	}
	report, err := a.Report.checked()
	if err != nil {
		return Host{}, err
	}
	token, err := s.redeem(tx.Tx, a.TokenID, a.Secret)
	if err != nil {
		return Host{}, err
	}
	switch other, err := byKey(tx.Tx, a.PublicKey); {
	case err == nil:
		return Host{}, enrolledAlready(other.ID)
	case !fault.Is(err, fault.NotFound):
		return Host{}, err
	}
	host := Host{
		Head:        resource.Head{ID: resource.Instance.NewID(s.random), Region: token.Region, Tags: token.Tags},
		Reservation: resource.NewID(s.random, "r-"), Zone: token.Zone, PublicKey: a.PublicKey, Report: report,
		Enrolled: tx.Time().UTC().Truncate(time.Second),
	}
	if err := table.Create(tx.Tx, &host); err != nil {
		return Host{}, err
	}
	tx.Touch(trail.Resource{ARN: resource.Instance.ARN(host.Region, tx.Account(), host.ID), Type: resource.Instance.Type})
	tx.Respond(map[string]any{"instanceId": host.ID, "hostTokenId": token.ID, "availabilityZone": token.Zone})
	tx.Amend(func(e *trail.Event) { e.Region = token.Region }) // unknown when the pass was made
	return host, resource.Claim(tx.Tx, keyScope, keyText(a.PublicKey), host.ID, enrolledAlready(host.ID))
}

func enrolledAlready(id string) error {
	return fault.New(fault.Exists, fault.Instance, "This machine is enrolled already, as %s. Un-enroll it first.", id)
}
