package sshkey

import (
	"crypto"
	"crypto/ed25519"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"

	"golang.org/x/crypto/ssh"
)

// Pair is a key pair made here. It prints as its public key.
type Pair struct {
	Public  Public
	private ed25519.PrivateKey
}

// Generate makes an Ed25519 key pair.
func Generate(random io.Reader) (Pair, error) {
	public, private, err := ed25519.GenerateKey(random)
	if err != nil {
		return Pair{}, fmt.Errorf("sshkey: make a key pair: %w", err)
	}
	key, err := ssh.NewPublicKey(public)
	if err != nil {
		return Pair{}, fmt.Errorf("sshkey: make a key pair: %w", err)
	}
	parsed, err := ParsePublic(string(ssh.MarshalAuthorizedKey(key)))
	if err != nil {
		return Pair{}, err
	}
	return Pair{Public: parsed, private: private}, nil
}

// Signer returns the private key for use in memory: its concrete type is ed25519.PrivateKey, which ssh-agent
// clients and x/crypto/ssh take.
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
