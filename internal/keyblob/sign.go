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

// The marks of a signer's certificate. The root itself must have issued it, too.
const (
	// SignerPrefix begins a signer's common name. REGION.DOMAIN follows it.
	SignerPrefix = "managed-ssh-signer."
	// SignerUsage is a signer's only extended key usage. It distinguishes signers from TLS servers, which the same
	// root certifies.
	SignerUsage = x509.ExtKeyUsageCodeSigning
)

// ErrExpired is in the chain of the error that Verifier.Verify returns for a blob that has expired but is
// otherwise valid.
var ErrExpired = errors.New("keyblob: the grant has expired")

// Signer signs blobs with the key of its certificate. It must be safe for concurrent use.
type Signer interface {
	// Certificate returns the signer's certificate, issued by the root. The kind of its key determines the
	// blob's format.
	Certificate() *x509.Certificate
	// Sign signs the whole text, not a digest of it.
	Sign(text []byte) ([]byte, error)
}

// NewSigner returns a Signer with an Ed25519 key, which signs in 20 microseconds. It refuses a key that is not the
// certificate's.
func NewSigner(certificate *x509.Certificate, key ed25519.PrivateKey) (Signer, error) {
	if certificate == nil || len(key) != ed25519.PrivateKeySize ||
		!key.Public().(ed25519.PublicKey).Equal(certificate.PublicKey) {
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

// formatOf returns the format of the blobs that the certificate's key signs, and a function that verifies its
// signatures. Another kind of signer is one more case here.
func formatOf(certificate *x509.Certificate) (format, func(text, signature []byte) bool, error) {
	switch key := certificate.PublicKey.(type) {
	case ed25519.PublicKey:
		return boundToUser(), func(text, signature []byte) bool { return ed25519.Verify(key, text, signature) }, nil
	}
	return nil, nil, fmt.Errorf("keyblob: a signer with a key of kind %s is not known here",
		certificate.PublicKeyAlgorithm)
}

// Sign makes a blob of the statement. It refuses a statement with a field that is empty or would break its line.
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

// Expectation is what a blob must say to be accepted. Every field must be set.
type Expectation struct {
	InstanceID string
	OSUser     string
	Now        time.Time // the server's time, as far as the host knows it
}

// Verifier verifies blobs under one root. It remembers the last signer that it accepted, so that further blobs
// of that signer cost one signature check instead of two. It is safe for concurrent use. The zero Verifier
// refuses everything.
type Verifier struct {
	Root *x509.Certificate

	known atomic.Pointer[x509.Certificate] // a signer that passed checkSigner
}

// Verify returns what the blob says if its signer and its text are valid. The root itself must have issued the
// signer's certificate, for signing and nothing else, and the certificate must be valid now. The signature must cover
// the whole text. The text must be canonical and for this instance and OS user. It must not have expired, nor end
// later than a grant that is signed now. Otherwise Verify returns the zero Statement and an error, which is
// ErrExpired only if nothing but the time is wrong. The zero Expectation is refused.
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
		return Statement{}, fmt.Errorf("keyblob: the grant is for the instance %s, not %s",
			statement.InstanceID, want.InstanceID)
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

// signer returns the certificate if the root vouches for it now. It compares a remembered certificate byte for byte,
// so that only the time can have changed since it was checked.
func (v *Verifier) signer(der []byte, now time.Time) (*x509.Certificate, error) {
	known := v.known.Load()
	if known != nil && bytes.Equal(known.Raw, der) && validAt(known, now) && validAt(v.Root, now) {
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

// checkSigner checks the signer's certificate against the root. A chain is exactly these two: there are no
// intermediates that a leaf could pose as.
func checkSigner(signer, root *x509.Certificate, now time.Time) error {
	roots := x509.NewCertPool()
	roots.AddCert(root)
	chains, err := signer.Verify(x509.VerifyOptions{
		Roots: roots, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{SignerUsage},
	})
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
