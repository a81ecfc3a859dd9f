// Package ca is the deployment's certificate authority: one root that certifies the control plane's TLS server and
// the signers of grants, and nothing else. Machines pin the root when they enroll.
//
// The package does no I/O: the caller keeps the PEM, and hands in the clock and the randomness.
package ca

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"time"

	"github.com/sallyport/sallyport/internal/keyblob"
)

// Lifetimes of certificates. Those that the root issues begin a day early, for clients whose clock is slow.
const (
	rootLifetime   = 20 * 365 * 24 * time.Hour
	serverLifetime = 365 * 24 * time.Hour
	signerLifetime = 30 * 24 * time.Hour
	backdate       = 24 * time.Hour
)

const (
	certificateBlock = "CERTIFICATE"
	keyBlock         = "PRIVATE KEY"
)

// Authority holds the root's key. It is safe for concurrent use if its source of randomness is.
type Authority struct {
	root   *x509.Certificate
	key    *ecdsa.PrivateKey
	random io.Reader
}

// firstRelease returns a time in the past. A clock that shows an earlier one is wrong.
func firstRelease() time.Time { return time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC) }

// New makes a root for the account: ECDSA P-256, valid for 20 years, allowed to issue leaves only. The root is valid
// from the earliest time that a certificate can write with a two-digit year (RFC 5280, 4.1.2.5.1), so that no
// certificate it issues is older, however far the clock is set back. New refuses a clock that was never set: a root
// that ends in 1990 is of no use to anybody whose clock is right.
func New(account string, now time.Time, random io.Reader) (*Authority, error) {
	if now.Before(firstRelease()) {
		return nil, fmt.Errorf("ca: this machine's clock says %s: set it, then start again", now.UTC().Format(time.RFC3339))
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), random)
	if err != nil {
		return nil, fmt.Errorf("ca: make the root's key: %w", err)
	}
	template := &x509.Certificate{
		Subject:               pkix.Name{CommonName: "Sallyport " + account},
		NotBefore:             time.Date(1950, 1, 1, 0, 0, 0, 0, time.UTC),
		NotAfter:              now.Add(rootLifetime),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLenZero:        true,
	}
	a := &Authority{root: template, key: key, random: random}
	if a.root, err = a.issue(template, key.Public()); err != nil {
		return nil, err
	}
	return a, nil
}

// Load reads what PEM returned. It refuses a key that is not the certificate's, and a certificate that is not a root.
func Load(certPEM, keyPEM []byte, random io.Reader) (*Authority, error) {
	der, err := decodePEM(certPEM, certificateBlock)
	if err != nil {
		return nil, err
	}
	root, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("ca: read the root certificate: %w", err)
	}
	if der, err = decodePEM(keyPEM, keyBlock); err != nil {
		return nil, err
	}
	parsed, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, fmt.Errorf("ca: read the root's key: %w", err)
	}
	key, ok := parsed.(*ecdsa.PrivateKey)
	if !ok || !key.PublicKey.Equal(root.PublicKey) {
		return nil, errors.New("ca: the key does not belong to the root certificate")
	}
	if err := root.CheckSignatureFrom(root); err != nil || !root.IsCA {
		return nil, errors.New("ca: the certificate is not a root")
	}
	return &Authority{root: root, key: key, random: random}, nil
}

func decodePEM(text []byte, kind string) ([]byte, error) {
	block, rest := pem.Decode(text)
	if block == nil || block.Type != kind || len(bytes.TrimSpace(rest)) != 0 {
		return nil, fmt.Errorf("ca: expected exactly one PEM block %q", kind)
	}
	return block.Bytes, nil
}

// PEM returns the root certificate and its key (PKCS #8) for the caller to keep. The key is the deployment's greatest
// secret: it can sign grants for every host.
func (a *Authority) PEM() (cert, key []byte) {
	der, err := x509.MarshalPKCS8PrivateKey(a.key)
	if err != nil {
		panic(fmt.Sprintf("ca: a P-256 key must be marshalable: %v", err))
	}
	return pem.EncodeToMemory(&pem.Block{Type: certificateBlock, Bytes: a.root.Raw}),
		pem.EncodeToMemory(&pem.Block{Type: keyBlock, Bytes: der})
}

// Certificate returns the root certificate.
func (a *Authority) Certificate() *x509.Certificate { return a.root }

// String implements fmt.Stringer, so that no log prints the key.
func (a *Authority) String() string { return a.root.Subject.CommonName }

// Fingerprint returns the name of a root by its key: the unpadded base64url SHA-256 of the certificate's
// SubjectPublicKeyInfo, 43 characters. der is the certificate.
func Fingerprint(der []byte) (string, error) {
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return "", fmt.Errorf("ca: read the certificate: %w", err)
	}
	return fingerprint(certificate), nil
}

func fingerprint(certificate *x509.Certificate) string {
	sum := sha256.Sum256(certificate.RawSubjectPublicKeyInfo)
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// Signer returns a new signer of grants with its own key and certificate, valid for 30 days. The key exists only in
// memory. Signers keeps one signer per region and renews it.
func (a *Authority) Signer(region, domain string, now time.Time) (keyblob.Signer, error) {
	public, key, err := ed25519.GenerateKey(a.random)
	if err != nil {
		return nil, fmt.Errorf("ca: make a signer's key: %w", err)
	}
	template := &x509.Certificate{
		Subject:               pkix.Name{CommonName: keyblob.SignerPrefix + region + "." + domain},
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{keyblob.SignerUsage},
		BasicConstraintsValid: true,
	}
	template.NotBefore, template.NotAfter = validity(now, signerLifetime)
	certificate, err := a.issue(template, public)
	if err != nil {
		return nil, err
	}
	return keyblob.NewSigner(certificate, key)
}

// validity returns when a certificate made now begins and ends.
func validity(now time.Time, lifetime time.Duration) (from, until time.Time) {
	return now.Add(-backdate), now.Add(lifetime)
}

// fresh reports whether a certificate dated by validity is in the first half of its life. A certificate that is not
// fresh is replaced. One that begins in the future, because the clock was set back, is not fresh either.
func fresh(certificate *x509.Certificate, now time.Time) bool {
	half := certificate.NotAfter.Sub(certificate.NotBefore) / 2
	return !now.Before(certificate.NotBefore) && now.Before(certificate.NotBefore.Add(half))
}

// issue signs the template with the root's key under a random serial number.
func (a *Authority) issue(template *x509.Certificate, public any) (*x509.Certificate, error) {
	var serial [16]byte
	if _, err := io.ReadFull(a.random, serial[:]); err != nil {
		return nil, fmt.Errorf("ca: make a serial number: %w", err)
	}
	serial[0] = serial[0]&0x7f | 0x40 // positive, and always of the same length
	template.SerialNumber = new(big.Int).SetBytes(serial[:])
	der, err := x509.CreateCertificate(a.random, template, a.root, public, a.key)
	if err != nil {
		return nil, fmt.Errorf("ca: issue the certificate of %s: %w", template.Subject.CommonName, err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("ca: read back the certificate of %s: %w", template.Subject.CommonName, err)
	}
	return certificate, nil
}
