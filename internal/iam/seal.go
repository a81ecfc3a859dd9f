package iam

import (
	"crypto/aes"
	"crypto/cipher"
	"errors"
	"fmt"
	"io"

	"github.com/sallyport/sallyport/internal/gate"
)

// SealKeySize is the size of the deployment's key, in bytes.
const SealKeySize = 32

// Seal encrypts secrets for the database, with AES-256-GCM and the deployment's key, so that a stolen database cannot
// sign. A sealed secret is bound to its access key id and its purpose: in another row or column it cannot be opened.
// The zero Seal refuses to work.
type Seal struct {
	aead   cipher.AEAD
	random io.Reader
}

// purpose is what a sealed secret is used for.
type purpose string

const (
	signingSecret purpose = "secret"
	sessionToken  purpose = "token"
)

// NewSeal returns a Seal with the deployment's key, which has SealKeySize bytes.
func NewSeal(key []byte, random io.Reader) (*Seal, error) {
	if len(key) != SealKeySize {
		return nil, fmt.Errorf("the deployment's key has %d bytes instead of %d", len(key), SealKeySize)
	}
	if random == nil {
		return nil, errors.New("a seal needs randomness")
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, err
	}
	return &Seal{aead: aead, random: random}, nil
}

// close encrypts the secret. It returns a fresh nonce, followed by the ciphertext with its tag.
func (s *Seal) close(secret gate.Secret, accessKeyID string, p purpose) ([]byte, error) {
	if s.aead == nil {
		return nil, errors.New("the zero Seal seals nothing")
	}
	nonce := make([]byte, s.aead.NonceSize())
	if _, err := io.ReadFull(s.random, nonce); err != nil {
		return nil, fmt.Errorf("no randomness for a nonce: %w", err)
	}
	return s.aead.Seal(nonce, nonce, []byte(secret.Reveal()), binding(accessKeyID, p)), nil
}

// open decrypts what close returned for the same key, access key id and purpose.
func (s *Seal) open(sealed []byte, accessKeyID string, p purpose) (gate.Secret, error) {
	if s.aead == nil {
		return "", errors.New("the zero Seal opens nothing")
	}
	size := s.aead.NonceSize()
	if len(sealed) < size {
		return "", fmt.Errorf("the sealed %s of %s is cut short", p, accessKeyID)
	}
	secret, err := s.aead.Open(nil, sealed[:size], sealed[size:], binding(accessKeyID, p))
	if err != nil {
		return "", fmt.Errorf("the sealed %s of %s does not open: it was altered, or this is not the key of the "+
			"deployment it was made in: %w", p, accessKeyID, err)
	}
	return gate.Secret(secret), nil
}

// binding returns the associated data. Access key ids do not contain "/".
func binding(accessKeyID string, p purpose) []byte { return []byte(accessKeyID + "/" + string(p)) }
