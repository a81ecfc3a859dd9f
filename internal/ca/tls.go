package ca

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/subtle"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"strings"
	"sync"
	"time"
)

// ServerName ends the names that agents ask for, whatever address they dial: addresses change, the pinned root does
// not. An agent puts a random label before it, a new one for each connection, and the control plane certifies that
// name while the agent waits. Such a certificate cannot be older than the request for it. So an agent needs no clock
// to know that the certificate is still valid, and a stolen one is worthless.
const ServerName = "control-plane.sallyport"

// labelSize is the number of random bytes in the label of one connection, which is in hexadecimal.
const labelSize = 16

// ServerCertificate certifies a new P-256 key for the control plane's TLS server, valid for a year, under the given
// DNS names and IP addresses. The chain includes the root, for machines that know only its fingerprint.
func (a *Authority) ServerCertificate(names []string, now time.Time) (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), a.random)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("ca: make the server's key: %w", err)
	}
	template := &x509.Certificate{
		Subject:               pkix.Name{CommonName: ServerName},
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
	}
	template.NotBefore, template.NotAfter = validity(now, serverLifetime)
	for _, name := range names {
		if ip := net.ParseIP(name); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, name)
		}
	}
	leaf, err := a.issue(template, key.Public())
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.Certificate{Certificate: [][]byte{leaf.Raw, a.root.Raw}, PrivateKey: key, Leaf: leaf}, nil
}

// ServerTLS returns the control plane's TLS configuration. An agent gets a certificate made for its connection (see
// ServerName). All other clients get one with the names, which is made when the first of them connects and is
// replaced as Signers replaces signers. A client may present a certificate, whose key ClientKey returns. Clients
// without one are accepted here, since AWS's clients have none.
func (a *Authority) ServerTLS(names []string, now func() time.Time) *tls.Config {
	var mu sync.Mutex
	var current *tls.Certificate
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		ClientAuth: tls.RequestClientCert,
		Time:       now,
		GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
			if ofOneConnection(hello.ServerName) {
				made, err := a.ServerCertificate([]string{hello.ServerName}, now())
				return &made, err
			}
			mu.Lock()
			defer mu.Unlock()
			if current == nil || !fresh(current.Leaf, now()) {
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

// ofOneConnection reports whether the name has the form that ClientTLS makes up. No other name that a client
// chooses is certified.
func ofOneConnection(name string) bool {
	label, domain, _ := strings.Cut(name, ".")
	_, err := hex.DecodeString(label)
	return domain == ServerName && err == nil && len(label) == hex.EncodedLen(labelSize)
}

// ClientTLS returns the TLS configuration of one connection of a machine to its control plane. It trusts only the
// root with the fingerprint (see Fingerprint), and presents the client certificate (see SelfSigned). It does not use
// the machine's clock. An empty fingerprint trusts no root.
func ClientTLS(fingerprint string, client tls.Certificate, random io.Reader) (*tls.Config, error) {
	var label [labelSize]byte
	if _, err := io.ReadFull(random, label[:]); err != nil {
		return nil, fmt.Errorf("ca: make up a name for the control plane: %w", err)
	}
	name := hex.EncodeToString(label[:]) + "." + ServerName
	return &tls.Config{
		MinVersion:   tls.VersionTLS13,
		ServerName:   name,
		Certificates: []tls.Certificate{client},
		// VerifyConnection runs for every connection and does the whole verification. crypto/tls would use a
		// clock, and could not pin a root that only the server presents.
		InsecureSkipVerify: true,
		VerifyConnection: func(state tls.ConnectionState) error {
			return verifyServer(state.PeerCertificates, fingerprint, name)
		},
	}, nil
}

func verifyServer(chain []*x509.Certificate, pinned, name string) error {
	if len(chain) != 2 {
		return fmt.Errorf("ca: the server showed %d certificates instead of its own and the root: "+
			"it is not a Sallyport control plane, or something between intercepts TLS", len(chain))
	}
	leaf, root := chain[0], chain[1]
	if pinned == "" || subtle.ConstantTimeCompare([]byte(fingerprint(root)), []byte(pinned)) != 1 {
		return errors.New("ca: the server's root is not the one that was pinned: " +
			"this is another control plane, or something between intercepts TLS")
	}
	roots := x509.NewCertPool()
	roots.AddCert(root)
	_, err := leaf.Verify(x509.VerifyOptions{
		Roots:       roots,
		DNSName:     name,
		CurrentTime: leaf.NotBefore, // its name shows that it was made just now
		KeyUsages:   []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	})
	if err != nil {
		return fmt.Errorf("ca: the server's certificate: %w", err)
	}
	return nil
}

// SelfSigned wraps an agent's key in a client certificate. The certificate only carries the key, which the TLS
// handshake proves; nothing else in it is trusted. It never expires (RFC 5280, 4.1.2.5).
func SelfSigned(key ed25519.PrivateKey, name string) (tls.Certificate, error) {
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               pkix.Name{CommonName: name},
		NotBefore:             time.Unix(0, 0),
		NotAfter:              time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC),
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

// ClientKey returns the Ed25519 key that the TLS client proved to have, or false if it presented none.
func ClientKey(state *tls.ConnectionState) (ed25519.PublicKey, bool) {
	if state == nil || !state.HandshakeComplete || len(state.PeerCertificates) == 0 {
		return nil, false
	}
	key, ok := state.PeerCertificates[0].PublicKey.(ed25519.PublicKey)
	return key, ok
}
