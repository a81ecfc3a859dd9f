package sshkey

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/internal/fault"
)

// Pair is a generated key pair. It prints as its public key.
type Pair struct {
	Public  Public
	private crypto.Signer
}

// makers has the types of keys that need no device, in order of preference.
var makers = []struct {
	kind string
	make func(random io.Reader) (crypto.Signer, error)
}{
	{ssh.KeyAlgoED25519, func(random io.Reader) (crypto.Signer, error) {
		_, key, err := ed25519.GenerateKey(random)
		return key, err
	}},
	{ssh.KeyAlgoECDSA256, onCurve(elliptic.P256())},
	{ssh.KeyAlgoECDSA384, onCurve(elliptic.P384())},
	{ssh.KeyAlgoECDSA521, onCurve(elliptic.P521())},
	{ssh.KeyAlgoRSA, func(random io.Reader) (crypto.Signer, error) { return rsa.GenerateKey(random, newRSABits) }},
}

func onCurve(curve elliptic.Curve) func(io.Reader) (crypto.Signer, error) {
	return func(random io.Reader) (crypto.Signer, error) { return ecdsa.GenerateKey(curve, random) }
}

// newRSABits is the size of generated RSA keys, in bits. NIST SP 800-57 gives it 128 bits of security.
const newRSABits = 3072

// Generate makes a key pair of the best of the accepted types ("ssh-ed25519"), or of Ed25519 if none are given.
// The error is Unsupported with Subject PublicKey if no key of these types can be made, as of types whose keys
// live in a device.
func Generate(random io.Reader, accepted ...string) (Pair, error) {
	for _, maker := range makers {
		if len(accepted) > 0 && !slices.Contains(accepted, maker.kind) {
			continue
		}
		private, err := maker.make(random)
		if err != nil {
			return Pair{}, fmt.Errorf("sshkey: make a key pair: %w", err)
		}
		return newPair(private)
	}
	return Pair{}, fault.New(fault.Unsupported, fault.PublicKey,
		"No SSH key of a type that is accepted can be made: %s.", strings.Join(accepted, ", "))
}

func newPair(private crypto.Signer) (Pair, error) {
	key, err := ssh.NewPublicKey(private.Public())
	if err != nil {
		return Pair{}, fmt.Errorf("sshkey: make a key pair: %w", err)
	}
	parsed, err := ParsePublic(string(ssh.MarshalAuthorizedKey(key)))
	if err != nil {
		return Pair{}, err
	}
	return Pair{Public: parsed, private: private}, nil
}

// Signer returns the private key. Its concrete type is ed25519.PrivateKey, *ecdsa.PrivateKey or *rsa.PrivateKey,
// which ssh-agent clients and x/crypto/ssh accept.
func (p Pair) Signer() crypto.Signer { return p.private }

// PrivatePEM returns the private key in OpenSSH's own format, unencrypted, as ssh -i reads it.
func (p Pair) PrivatePEM(comment string) ([]byte, error) {
	block, err := ssh.MarshalPrivateKey(p.private, comment)
	if err != nil {
		return nil, fmt.Errorf("sshkey: write the private key: %w", err)
	}
	return pem.EncodeToMemory(block), nil
}

// String implements fmt.Stringer.
func (p Pair) String() string { return p.Public.Line }

// GoString implements fmt.GoStringer.
func (p Pair) GoString() string { return p.Public.Line }

// LogValue implements slog.LogValuer.
func (p Pair) LogValue() slog.Value { return slog.StringValue(p.Public.Line) }
