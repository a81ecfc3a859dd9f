package iam

import (
	"encoding/base32"
	"encoding/base64"
	"fmt"
	"io"
	"regexp"

	"github.com/sallyport/sallyport/internal/gate"
)

// Prefixes of ids, which say what the id is of. Those of identities are in kind.go. See
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html#identifiers-prefixes
const (
	policyPrefix    = "ANPA"
	accessKeyPrefix = "AKIA"
	sessionPrefix   = "ASIA"
)

// idAlphabet is the alphabet of AWS's ids: upper-case base32 (RFC 4648).
var idAlphabet = base32.StdEncoding.WithPadding(base32.NoPadding)

// newID returns the id of an identity or a policy: the prefix and 17 random characters.
func newID(random io.Reader, prefix string) (string, error) { return randomID(random, prefix, 17) }

// newKeyID returns an access key id: the prefix and 16 random characters.
func newKeyID(random io.Reader, prefix string) (string, error) { return randomID(random, prefix, 16) }

func randomID(random io.Reader, prefix string, characters int) (string, error) {
	raw, err := randomBytes(random, (characters*5+7)/8)
	if err != nil {
		return "", err
	}
	return prefix + idAlphabet.EncodeToString(raw)[:characters], nil
}

// newSecret returns a secret access key: 240 random bits in 40 characters of base64.
func newSecret(random io.Reader) (gate.Secret, error) { return randomSecret(random, 30) }

// newToken returns a session token: 768 random bits in 128 characters of base64.
func newToken(random io.Reader) (gate.Secret, error) { return randomSecret(random, 96) }

func randomSecret(random io.Reader, size int) (gate.Secret, error) {
	raw, err := randomBytes(random, size)
	if err != nil {
		return "", err
	}
	return gate.Secret(base64.StdEncoding.EncodeToString(raw)), nil
}

func randomBytes(random io.Reader, size int) ([]byte, error) {
	raw := make([]byte, size)
	if _, err := io.ReadFull(random, raw); err != nil {
		return nil, fmt.Errorf("no randomness: %w", err)
	}
	return raw, nil
}

var keyIDForm = regexp.MustCompile(`^(?:` + accessKeyPrefix + `|` + sessionPrefix + `)[A-Z2-7]{16}$`)
