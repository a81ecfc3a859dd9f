package ca

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/subtle"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"net"
	"sync"
	"time"
)

// ServerName is the name by which agents verify the control plane, whatever address they dial: addresses
// change, the pinned root does not.
const ServerName = "control-plane.sallyport"

// ServerCertificate certifies a new P-256 key for the control plane's TLS server, valid for a year, under
// ServerName and the given DNS names and IP addresses. The root is part of the chain, for machines that know
// only its fingerprint.
func (a *Authority) ServerCertificate(names []string, now time.Time) (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), a.random)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("ca: make the server's key: %w", err)
	}
	template := &x509.Certificate{
		Subject:               pkix.Name{CommonName: ServerName},
		NotBefore:             now.Add(-backdate),
		NotAfter:              now.Add(serverLifetime),
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
		DNSNames:              []string{ServerName},
	}
	for _, name := range names {
		if ip := net.ParseIP(name); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else if name != ServerName {
			template.DNSNames = append(template.DNSNames, name)
		}
	}
	leaf, err := a.issue(template, key.Public())
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.Certificate{Certificate: [][]byte{leaf.Raw, a.root.Raw}, PrivateKey: key, Leaf: leaf}, nil
}

// ServerTLS is the control plane's TLS configuration. It makes a server certificate when the first client comes
// and a new one when half its life is over. Clients may show a certificate, and ClientKey tells whose key they
// proved to have; nobody is turned away here for lack of one, as AWS's clients have none.
func (a *Authority) ServerTLS(names []string, now func() time.Time) *tls.Config {
	var mu sync.Mutex
	var current *tls.Certificate
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		ClientAuth: tls.RequestClientCert,
		Time:       now,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			mu.Lock()
			defer mu.Unlock()
			if current == nil || !now().Before(current.Leaf.NotAfter.Add(-serverLifetime/2)) {
				made, err := a.ServerCertificate(names, now())
				if err != nil {
					return nil, err
				}
				current = &made
			}
			return current, nil
		},
	}
}

// ClientTLS is an agent's TLS configuration: it trusts the one root, asks for ServerName, and proves itself with
// the certificate (see SelfSigned).
func ClientTLS(root *x509.Certificate, client tls.Certificate, now func() time.Time) *tls.Config {
	roots := x509.NewCertPool()
	roots.AddCert(root)
	return &tls.Config{
		MinVersion:   tls.VersionTLS13,
		RootCAs:      roots,
		ServerName:   ServerName,
		Certificates: []tls.Certificate{client},
		Time:         now,
	}
}

// PinnedByFingerprint is the TLS configuration of a machine that enrolls and knows the root by its Fingerprint
// only. The server must show its certificate and the root, and all that ClientTLS would check of them is checked.
// An empty fingerprint trusts nobody.
func PinnedByFingerprint(fp string, client tls.Certificate, now func() time.Time) *tls.Config {
	return &tls.Config{
		MinVersion:   tls.VersionTLS13,
		ServerName:   ServerName,
		Certificates: []tls.Certificate{client},
		Time:         now,
		// The root is not known before the server shows it, so VerifyConnection, which runs for every
		// connection, does the whole verification instead.
		InsecureSkipVerify: true,
		VerifyConnection: func(state tls.ConnectionState) error {
			return verifyPinned(state.PeerCertificates, fp, now())
		},
	}
}

func verifyPinned(chain []*x509.Certificate, fp string, now time.Time) error {
	if len(chain) != 2 {
		return fmt.Errorf("ca: the server showed %d certificates instead of its own and the root: it is not a Sallyport control plane, or something between intercepts TLS", len(chain))
	}
	leaf, root := chain[0], chain[1]
	if fp == "" || subtle.ConstantTimeCompare([]byte(fingerprint(root)), []byte(fp)) != 1 {
		return errors.New("ca: the server's root is not the one the token names: this is another control plane, or something between intercepts TLS")
	}
	roots := x509.NewCertPool()
	roots.AddCert(root)
	_, err := leaf.Verify(x509.VerifyOptions{
		Roots:       roots,
		DNSName:     ServerName,
		CurrentTime: now,
		KeyUsages:   []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	})
	if err != nil {
		return fmt.Errorf("ca: the server's certificate: %w", err)
	}
	return nil
}

// SelfSigned wraps an agent's key in a client certificate. Nothing in the certificate is believed; it only
// carries the key, which the TLS handshake proves.
func SelfSigned(key ed25519.PrivateKey, name string, now time.Time) (tls.Certificate, error) {
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               pkix.Name{CommonName: name},
		NotBefore:             now.Add(-backdate),
		NotAfter:              now.Add(rootLifetime),
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(nil, template, template, key.Public(), key)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("ca: make the client certificate: %w", err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
}

// ClientKey returns the Ed25519 key that the TLS client proved to have, and false if it showed none.
func ClientKey(state *tls.ConnectionState) (ed25519.PublicKey, bool) {
	if state == nil || !state.HandshakeComplete || len(state.PeerCertificates) == 0 {
		return nil, false
	}
	key, ok := state.PeerCertificates[0].PublicKey.(ed25519.PublicKey)
	return key, ok
}
