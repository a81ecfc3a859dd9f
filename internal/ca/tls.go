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

// ServerName ends the names under which agents ask for the control plane, whatever address they dial: addresses
// change, the pinned root does not. An agent puts a random label before it, a new one for each connection, and the
// control plane certifies that name while the agent waits. Such a certificate cannot have been made before it was
// asked for, so an agent needs no clock to tell whether it is still good, and one that was stolen is good for nothing.
const ServerName = "control-plane.sallyport"

// labelSize is how many random bytes, in hexadecimal, make the label of one connection.
const labelSize = 16

// ServerCertificate certifies a new P-256 key for the control plane's TLS server, valid for a year, under the given
// DNS names and IP addresses. The root is part of the chain, for machines that know only its fingerprint.
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

// ServerTLS is the control plane's TLS configuration. To an agent it shows a certificate of that connection's own (see
// ServerName); to everybody else one under the names, which it makes when the first client comes and makes anew
// as Signers does. Clients may show a certificate, and ClientKey tells whose key they proved to have; nobody is
// turned away here for lack of one, as AWS's clients have none.
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

// ofOneConnection reports whether the name is one that ClientTLS makes up. No other name of a client's choice is
// certified.
func ofOneConnection(name string) bool {
	label, domain, _ := strings.Cut(name, ".")
	_, err := hex.DecodeString(label)
	return domain == ServerName && err == nil && len(label) == hex.EncodedLen(labelSize)
}

// ClientTLS returns the TLS configuration of one connection of a machine to its control plane: it trusts the one root
// with the fingerprint (see Fingerprint), and proves itself with the certificate (see SelfSigned). The machine's
// clock plays no part. An empty fingerprint trusts nobody.
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
		// VerifyConnection, which runs for every connection, does the whole verification: crypto/tls would ask a
		// clock, and could not pin a root that only the server shows.
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
		CurrentTime: leaf.NotBefore, // the name says that it was made just now
		KeyUsages:   []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	})
	if err != nil {
		return fmt.Errorf("ca: the server's certificate: %w", err)
	}
	return nil
}

// SelfSigned wraps an agent's key in a client certificate. Nothing in the certificate is believed; it only
// carries the key, which the TLS handshake proves. It has no end (RFC 5280, 4.1.2.5).
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

// ClientKey returns the Ed25519 key that the TLS client proved to have, and false if it showed none.
func ClientKey(state *tls.ConnectionState) (ed25519.PublicKey, bool) {
	if state == nil || !state.HandshakeComplete || len(state.PeerCertificates) == 0 {
		return nil, false
	}
	key, ok := state.PeerCertificates[0].PublicKey.(ed25519.PublicKey)
	return key, ok
}
