package keyblob

import (
	"bytes"
	"crypto/ed25519"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"
)

// What makes a certificate that of a signer, beside being issued by the root itself.
const (
	// SignerPrefix begins a signer's common name, which goes on with REGION.DOMAIN.
	SignerPrefix = "managed-ssh-signer."
	// SignerUsage is a signer's only extended key usage. It keeps signers apart from TLS servers, which the
	// same root certifies.
	SignerUsage = x509.ExtKeyUsageCodeSigning
)

// ErrExpired is in the chain of Verifier.Verify's error for a blob that is good in all else, but over.
var ErrExpired = errors.New("keyblob: the grant has expired")

// Signer signs blobs with the key of its certificate. It must be safe for concurrent use.
type Signer interface {
	// Certificate is the signer's own, issued by the root. Its kind of key chooses the blob's format.
	Certificate() *x509.Certificate
	// Sign signs the text whole, not a digest of it.
	Sign(text []byte) ([]byte, error)
}

// NewSigner returns a Signer with an Ed25519 key, which signs in 20 microseconds. It refuses a key that is not the
// certificate's.
func NewSigner(certificate *x509.Certificate, key ed25519.PrivateKey) (Signer, error) {
	if certificate == nil || len(key) != ed25519.PrivateKeySize || !key.Public().(ed25519.PublicKey).Equal(certificate.PublicKey) {
		return nil, errors.New("keyblob: a signer needs a certificate and the Ed25519 key it certifies")
	}
	return &ed25519Signer{certificate, key}, nil
}

type ed25519Signer struct {
	certificate *x509.Certificate
	key         ed25519.PrivateKey
}

func (s *ed25519Signer) Certificate() *x509.Certificate   { return s.certificate }
func (s *ed25519Signer) Sign(text []byte) ([]byte, error) { return ed25519.Sign(s.key, text), nil }

// String implements fmt.Stringer, so that no log prints the key.
func (s *ed25519Signer) String() string { return s.certificate.Subject.CommonName }

// formatOf returns the format of blobs that the certificate's key signs, and how to verify its signatures.
// Another kind of signer is one more case here.
func formatOf(certificate *x509.Certificate) (format, func(text, signature []byte) bool, error) {
	switch key := certificate.PublicKey.(type) {
	case ed25519.PublicKey:
		return boundToUser(), func(text, signature []byte) bool { return ed25519.Verify(key, text, signature) }, nil
	}
	return nil, nil, fmt.Errorf("keyblob: a signer with a key of kind %s is not known here", certificate.PublicKeyAlgorithm)
}

// Sign makes the statement a blob. It refuses a statement with an empty field or one that would break its line.
func Sign(statement Statement, signer Signer) (Blob, error) {
	if signer == nil {
		return Blob{}, errors.New("keyblob: there is no signer")
	}
	certificate := signer.Certificate()
	format, _, err := formatOf(certificate)
	if err != nil {
		return Blob{}, err
	}
	text, err := format.render(statement)
	if err != nil {
		return Blob{}, err
	}
	signature, err := signer.Sign([]byte(text))
	if err != nil {
		return Blob{}, fmt.Errorf("keyblob: sign: %w", err)
	}
	return Blob{Text: text, Signature: signature, Signer: certificate.Raw}, nil
}

// Expectation is what a blob must say to be of use here and now. Every field must be set.
type Expectation struct {
	InstanceID string
	OSUser     string
	Now        time.Time // by the server's clock, as far as the host knows it
}

// Verifier verifies blobs under one root. It remembers the last signer that the root stood behind, so that many
// blobs of one signer cost one signature check each instead of two. It is safe for concurrent use; the zero
// Verifier refuses everything.
type Verifier struct {
	Root *x509.Certificate

	known atomic.Pointer[x509.Certificate] // a signer that passed checkSigner
}

// Verify returns what the blob says if all of this holds: its signer's certificate was issued by the root
// directly, for signing and nothing else, and is valid now; the signature is over the whole text; the text is in
// canonical form, for this instance and OS user, has not expired, and ends no later than a grant that
// is signed now would. Otherwise it returns the zero Statement
// and an error, which is ErrExpired only if nothing but the time is wrong. The zero Expectation is refused.
func (v *Verifier) Verify(blob Blob, want Expectation) (Statement, error) {
	if v.Root == nil || want.InstanceID == "" || want.OSUser == "" || want.Now.IsZero() {
		return Statement{}, errors.New("keyblob: verifying needs a root, an instance, an OS user and the time")
	}
	signer, err := v.signer(blob.Signer, want.Now)
	if err != nil {
		return Statement{}, err
	}
	format, verify, err := formatOf(signer)
	if err != nil {
		return Statement{}, err
	}
	if !verify([]byte(blob.Text), blob.Signature) {
		return Statement{}, errors.New("keyblob: the signature is not the signer's over this text")
	}
	statement, err := format.parse(blob.Text)
	if err != nil {
		return Statement{}, err
	}
	switch {
	case statement.InstanceID != want.InstanceID:
		return Statement{}, fmt.Errorf("keyblob: the grant is for the instance %s, not %s", statement.InstanceID, want.InstanceID)
	case statement.OSUser != want.OSUser:
		return Statement{}, fmt.Errorf("keyblob: the grant is for the user %s, not %s", statement.OSUser, want.OSUser)
	case statement.Expires.Sub(want.Now) > Lifetime+Slack:
		return Statement{}, fmt.Errorf("keyblob: the grant would live until %s, longer than any grant does: "+
			"it was signed by a clock that was ahead", statement.Expires.Format(time.RFC3339))
	case !want.Now.Before(statement.Expires):
		return Statement{}, fmt.Errorf("%w at %s", ErrExpired, statement.Expires.Format(time.RFC3339))
	}
	return statement, nil
}

// signer returns the certificate if the root stands behind it now. What is remembered is the whole certificate,
// byte for byte, so nothing but the time can have changed since it was checked.
func (v *Verifier) signer(der []byte, now time.Time) (*x509.Certificate, error) {
	if known := v.known.Load(); known != nil && bytes.Equal(known.Raw, der) && validAt(known, now) && validAt(v.Root, now) {
		return known, nil
	}
	signer, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("keyblob: read the signer's certificate: %w", err)
	}
	if err := checkSigner(signer, v.Root, now); err != nil {
		return nil, err
	}
	v.known.Store(signer)
	return signer, nil
}

func validAt(certificate *x509.Certificate, now time.Time) bool {
	return !now.Before(certificate.NotBefore) && !now.After(certificate.NotAfter)
}

// checkSigner holds the certificate against the root. A chain is exactly these two: there are no intermediates
// that a leaf could pose as.
func checkSigner(signer, root *x509.Certificate, now time.Time) error {
	roots := x509.NewCertPool()
	roots.AddCert(root)
	chains, err := signer.Verify(x509.VerifyOptions{Roots: roots, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{SignerUsage}})
	if err != nil {
		return fmt.Errorf("keyblob: the signer's certificate: %w", err)
	}
	switch {
	case len(chains) != 1 || len(chains[0]) != 2 || !bytes.Equal(signer.RawIssuer, root.RawSubject):
		return errors.New("keyblob: the signer's certificate was not issued by the root itself")
	case signer.IsCA || signer.KeyUsage != x509.KeyUsageDigitalSignature:
		return errors.New("keyblob: the signer's certificate may do more than sign")
	case len(signer.ExtKeyUsage) != 1 || signer.ExtKeyUsage[0] != SignerUsage || len(signer.UnknownExtKeyUsage) != 0:
		return errors.New("keyblob: the signer's certificate is for more than signing grants")
	case !strings.HasPrefix(signer.Subject.CommonName, SignerPrefix):
		return fmt.Errorf("keyblob: %q is not a signer's name", signer.Subject.CommonName)
	}
	return nil
}
