package compute

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/sallyport/sallyport/internal/fault"
	"github.com/sallyport/sallyport/internal/gate"
	"github.com/sallyport/sallyport/internal/trail"
)

// How long an enrollment token may live.
const (
	DefaultTokenLifetime = time.Hour
	MinTokenLifetime     = time.Minute
	MaxTokenLifetime     = 24 * time.Hour
)

// TokenRequest is what a new enrollment token is to permit.
type TokenRequest struct {
	Zone     string            // empty for the region's first
	Tags     map[string]string // of the instance
	Lifetime time.Duration     // 0 for DefaultTokenLifetime
}

// CreateHostToken makes a token by which one machine can enroll in the pass's region. The secret, 32 bytes,
// is returned once and kept only as a hash.
func (s *Service) CreateHostToken(ctx context.Context, pass gate.Pass, request TokenRequest) (HostToken, gate.Secret, error) {
	if err := pass.Check(); err != nil {
		return HostToken{}, "", err
	}
	zone, err := s.zoneOr(pass.Region(), request.Zone)
	if err != nil {
		return HostToken{}, "", err
	}
	if err := checkTags(request.Tags); err != nil {
		return HostToken{}, "", err
	}
	lifetime := request.Lifetime
	if lifetime == 0 {
		lifetime = DefaultTokenLifetime
	}
	if lifetime < MinTokenLifetime || lifetime > MaxTokenLifetime {
		return HostToken{}, "", fault.New(fault.Invalid, "lifetime", "An enrollment token lives from %v to %v; %v was asked for.", MinTokenLifetime, MaxTokenLifetime, lifetime)
	}
	secret, created := s.newSecret(), s.clock()
	token := HostToken{
		ID: s.newID("ht-"), Hash: hashSecret(secret), Region: pass.Region(), Zone: zone, Tags: request.Tags,
		Created: created, Expires: created.Time.Add(lifetime), Creator: pass.Identity().ARN,
	}
	event := pass.Event(map[string]any{"tokenId": token.ID, "expires": token.Expires.UTC().Format(time.RFC3339)})
	if err := s.store.CreateHostToken(ctx, token, event); err != nil {
		return HostToken{}, "", err
	}
	return token, secret, nil
}

// zoneOr returns the zone if the region has it, and the region's first for none.
func (s *Service) zoneOr(region, zone string) (string, error) {
	zones := s.zones(region)
	if zone == "" && len(zones) > 0 {
		return zones[0].Name, nil
	}
	if !slices.ContainsFunc(zones, func(z Zone) bool { return z.Name == zone }) {
		return "", fault.New(fault.Invalid, "zone", "Invalid availability zone: [%s]. This region has: %s.", zone, zoneNames(zones))
	}
	return zone, nil
}

// EnrollHost redeems a token: the machine that knows its secret becomes an instance, to be recognized by the
// agent's Ed25519 public key from now on. The pass is gate.AdmitHost's; its event names the instance. A token
// that is unknown, used, expired or whose secret is wrong is an Unauthenticated fault, Resource "host-token",
// and only who knows the secret learns that it expired.
func (s *Service) EnrollHost(ctx context.Context, pass gate.Pass, tokenID string, secret gate.Secret, publicKey []byte, report Report) (Instance, error) {
	if err := pass.Check(); err != nil {
		return Instance{}, err
	}
	if len(publicKey) != ed25519.PublicKeySize {
		return Instance{}, fault.New(fault.Invalid, "host-key", "The agent's key must be an Ed25519 key.")
	}
	report, err := report.checked()
	if err != nil {
		return Instance{}, err
	}
	token, err := s.redeemable(ctx, tokenID, secret)
	if err != nil {
		return Instance{}, err
	}
	switch other, err := s.store.InstanceByKey(ctx, publicKey); {
	case err == nil:
		return Instance{}, fault.New(fault.Exists, "instance", "This machine is enrolled already, as %s. Un-enroll it first.", other.ID)
	case !fault.Is(err, fault.NotFound):
		return Instance{}, err
	}
	instance := Instance{
		ID: s.newID("i-"), Reservation: s.newID("r-"), Region: token.Region, Zone: token.Zone,
		PublicKey: publicKey, Report: report, Enrolled: pass.Time().Truncate(time.Second), Tags: token.Tags,
	}
	event := pass.Event(
		map[string]any{"instanceId": instance.ID, "hostTokenId": token.ID, "availabilityZone": token.Zone},
		trail.Resource{ARN: InstanceARN(token.Region, pass.Account(), instance.ID), Type: InstanceType},
	)
	event.Region = token.Region // the pass could not know it yet
	err = s.store.EnrollHost(ctx, token.ID, instance, event)
	if fault.Is(err, fault.NotFound) {
		return Instance{}, badToken(err)
	}
	return s.withState(instance), err
}

// redeemable returns the token if the secret is its own and it has not expired.
func (s *Service) redeemable(ctx context.Context, id string, secret gate.Secret) (HostToken, error) {
	token, err := s.store.HostToken(ctx, id)
	if err != nil && !fault.Is(err, fault.NotFound) {
		return HostToken{}, err
	}
	if subtle.ConstantTimeCompare(hashSecret(secret), token.Hash) != 1 {
		return HostToken{}, badToken(err)
	}
	if s.clock().Left(token.Created, token.Expires) == 0 {
		return HostToken{}, fault.New(fault.Unauthenticated, "host-token", "The enrollment token expired at %s. Make a new one with: sallyport host-token", token.Expires.UTC().Format(time.RFC3339))
	}
	return token, nil
}

// keepTokens is how long after its end a token is still known, so that who comes late is told why.
const keepTokens = 24 * time.Hour

// Prune forgets, at the time, tokens that nobody redeemed. It is to be called every now and then.
func (s *Service) Prune(ctx context.Context, now time.Time) error {
	return s.store.PruneHostTokens(ctx, now.Add(-keepTokens))
}

func badToken(cause error) error {
	return fault.Wrap(cause, fault.Unauthenticated, "host-token", "The enrollment token is not valid: it was used already, or this server never made it. Make a new one with: sallyport host-token")
}

// HostByKey finds the instance whose agent proves itself with the key. It is how a host is authenticated, so
// it takes no pass. NotFound, Resource "instance", for a key that was never enrolled or is no longer.
func (s *Service) HostByKey(ctx context.Context, publicKey []byte) (Instance, error) {
	return s.store.InstanceByKey(ctx, publicKey)
}

// Dismissed tells whether the instance was enrolled with the key and is terminated: then, and only then, its
// machine may be told to remove our agent. Like HostByKey it takes no pass.
func (s *Service) Dismissed(ctx context.Context, instanceID string, publicKey []byte) (bool, error) {
	instance, err := s.store.Instance(ctx, instanceID)
	if fault.Is(err, fault.NotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return !instance.Terminated.IsZero() && bytes.Equal(instance.PublicKey, publicKey), nil
}

// SeeHost records that the host's link was up at the time. It is not an event.
func (s *Service) SeeHost(ctx context.Context, pass gate.Pass, instanceID string, at time.Time) error {
	if err := pass.Check(); err != nil {
		return err
	}
	return s.store.SeeHost(ctx, instanceID, at)
}

// newSecret returns 256 random bits, not as text: the token they travel in has its own.
func (s *Service) newSecret() gate.Secret {
	var b [32]byte
	if _, err := io.ReadFull(s.random, b[:]); err != nil {
		panic(fmt.Sprintf("compute: no randomness: %v", err))
	}
	return gate.Secret(b[:])
}

func hashSecret(secret gate.Secret) []byte {
	sum := sha256.Sum256([]byte(secret.Reveal()))
	return sum[:]
}
