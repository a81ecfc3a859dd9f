package ca_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/ca"
	"github.com/sallyport/sallyport/internal/keyblob"
)

func noon() time.Time { return time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC) }

func newAuthority(t *testing.T) *ca.Authority {
	t.Helper()
	authority, err := ca.New("123456789012", noon(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return authority
}

func fingerprint(t *testing.T, authority *ca.Authority) string {
	t.Helper()
	fp, err := ca.Fingerprint(authority.Certificate().Raw)
	if err != nil || len(fp) != 43 {
		t.Fatalf("Fingerprint: %q, %v", fp, err)
	}
	return fp
}

func newClient(t *testing.T) (ed25519.PublicKey, tls.Certificate) {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := ca.SelfSigned(private, "i-0123456789abcdef0", noon())
	if err != nil {
		t.Fatal(err)
	}
	return public, certificate
}

func TestLoad(t *testing.T) {
	authority, other := newAuthority(t), newAuthority(t)
	cert, key := authority.PEM()
	otherCert, _ := other.PEM()
	loaded, err := ca.Load(cert, key, rand.Reader)
	if err != nil || !loaded.Certificate().Equal(authority.Certificate()) {
		t.Fatalf("Load: %v", err)
	}
	if name := loaded.Certificate().Subject.CommonName; name != "Sallyport 123456789012" {
		t.Errorf("the root's name is %q", name)
	}
	if fingerprint(t, loaded) == fingerprint(t, other) {
		t.Error("two roots have one fingerprint")
	}
	for name, pair := range map[string][2][]byte{
		"nothing":            {nil, nil},
		"another root's key": {otherCert, key},
		"swapped":            {key, cert},
		"two certificates":   {append(cert[:len(cert):len(cert)], otherCert...), key},
		"cut off":            {cert[:len(cert)-40], key},
	} {
		if _, err := ca.Load(pair[0], pair[1], rand.Reader); err == nil {
			t.Errorf("%s: was loaded", name)
		}
	}
}

func TestSigners(t *testing.T) {
	authority := newAuthority(t)
	now := noon()
	signers := authority.Signers("example.test", func() time.Time { return now })
	get := func(region string) keyblob.Signer {
		signer, err := signers.Signer(region)
		if err != nil {
			t.Fatal(err)
		}
		return signer
	}
	first := get("on-prem-1")
	if name := first.Certificate().Subject.CommonName; name != "managed-ssh-signer.on-prem-1.example.test" {
		t.Errorf("the signer's name is %q", name)
	}
	if get("on-prem-2") == first {
		t.Error("two regions have one signer")
	}
	now = noon().Add(14 * 24 * time.Hour)
	if get("on-prem-1") != first {
		t.Error("the signer was replaced too early")
	}
	now = noon().Add(16 * 24 * time.Hour)
	if get("on-prem-1") == first {
		t.Error("the signer was not renewed")
	}
	for { // as long as the root lives
		now = now.Add(7 * 24 * time.Hour)
		if now.After(authority.Certificate().NotAfter) {
			break
		}
		if !get("on-prem-1").Certificate().NotAfter.After(now) {
			t.Fatalf("at %s the signer is over", now)
		}
	}
}

func TestSignerVerifies(t *testing.T) {
	authority := newAuthority(t)
	signer, err := authority.Signer("on-prem-1", "example.test", noon())
	if err != nil {
		t.Fatal(err)
	}
	blob, err := keyblob.Sign(keyblob.Statement{
		Expires: noon().Add(60 * 24 * time.Hour), InstanceID: "i-1", Caller: "arn", RequestID: "r", OSUser: "kim", PublicKey: "ssh-ed25519 AAAA",
	}, signer)
	if err != nil {
		t.Fatal(err)
	}
	want := keyblob.Expectation{InstanceID: "i-1", OSUser: "kim", Now: noon()}
	if _, err := (&keyblob.Verifier{Root: authority.Certificate()}).Verify(blob, want); err != nil {
		t.Error(err)
	}
	if _, err := (&keyblob.Verifier{Root: newAuthority(t).Certificate()}).Verify(blob, want); err == nil {
		t.Error("verified against another root")
	}
	want.Now = noon().Add(31 * 24 * time.Hour)
	if _, err := (&keyblob.Verifier{Root: authority.Certificate()}).Verify(blob, want); err == nil {
		t.Error("verified after the signer's end")
	}
}

// TestServerIsNoSigner: a TLS certificate of the same root signs no grants.
func TestServerIsNoSigner(t *testing.T) {
	authority := newAuthority(t)
	server, err := authority.ServerCertificate([]string{keyblob.SignerPrefix + "x"}, noon())
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(authority.Certificate())
	_, err = server.Leaf.Verify(x509.VerifyOptions{Roots: roots, CurrentTime: noon(), KeyUsages: []x509.ExtKeyUsage{keyblob.SignerUsage}})
	if err == nil {
		t.Error("the server's certificate may sign grants")
	}
	if server.Leaf.IsCA || authority.Certificate().MaxPathLen != 0 || !authority.Certificate().MaxPathLenZero {
		t.Error("more authorities than the root are possible")
	}
}

// handshake connects a client to a server over a socket of its own and returns what the server learned.
func handshake(t *testing.T, server, client *tls.Config) (state tls.ConnectionState, err error) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	done := make(chan tls.ConnectionState, 1)
	go func() {
		defer close(done)
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		served := tls.Server(conn, server)
		if served.Handshake() == nil {
			done <- served.ConnectionState()
		}
	}()
	conn, err := tls.Dial("tcp", listener.Addr().String(), client)
	if err != nil {
		return state, err
	}
	defer conn.Close()
	return <-done, nil
}

func TestHandshake(t *testing.T) {
	authority := newAuthority(t)
	public, client := newClient(t)
	serverTLS := authority.ServerTLS([]string{"sallyport.example.test", "192.0.2.7"}, noon)
	for name, config := range map[string]*tls.Config{
		"root":        ca.ClientTLS(authority.Certificate(), client, noon),
		"fingerprint": ca.PinnedByFingerprint(fingerprint(t, authority), client, noon),
	} {
		state, err := handshake(t, serverTLS, config)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if key, ok := ca.ClientKey(&state); !ok || !key.Equal(public) {
			t.Errorf("%s: the server learned another key", name)
		}
	}
	// An AWS client has no certificate, and dials a name that the server was given.
	roots := x509.NewCertPool()
	roots.AddCert(authority.Certificate())
	for _, name := range []string{"sallyport.example.test", "192.0.2.7", ca.ServerName} {
		state, err := handshake(t, serverTLS, &tls.Config{RootCAs: roots, ServerName: name, Time: noon, MaxVersion: tls.VersionTLS12})
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if _, ok := ca.ClientKey(&state); ok {
			t.Errorf("%s: a client without certificate has a key", name)
		}
	}
	if _, ok := ca.ClientKey(nil); ok {
		t.Error("a connection without TLS has a key")
	}
}

func TestServerRenews(t *testing.T) {
	now := noon()
	config := newAuthority(t).ServerTLS(nil, func() time.Time { return now })
	get := func() *tls.Certificate {
		certificate, err := config.GetCertificate(nil)
		if err != nil {
			t.Fatal(err)
		}
		return certificate
	}
	first := get()
	now = now.Add(180 * 24 * time.Hour)
	if get() != first {
		t.Error("the certificate was replaced too early")
	}
	now = now.Add(10 * 24 * time.Hour)
	if get() == first {
		t.Error("the certificate was not renewed")
	}
}

// TestImpostors: neither way of pinning accepts any of these servers.
func TestImpostors(t *testing.T) {
	authority := newAuthority(t)
	root := authority.Certificate()
	_, client := newClient(t)
	genuine, err := authority.ServerCertificate([]string{"sallyport.example.test"}, noon())
	if err != nil {
		t.Fatal(err)
	}
	signer, err := authority.Signer("on-prem-1", "example.test", noon())
	if err != nil {
		t.Fatal(err)
	}
	other, err := newAuthority(t).ServerCertificate(nil, noon())
	if err != nil {
		t.Fatal(err)
	}
	// below makes a server certificate for our name that the genuine server's key issued.
	below := func() tls.Certificate {
		public, private, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		template := &x509.Certificate{
			SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: ca.ServerName}, DNSNames: []string{ca.ServerName},
			NotBefore: noon().Add(-time.Hour), NotAfter: noon().Add(time.Hour), BasicConstraintsValid: true,
			KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		}
		der, err := x509.CreateCertificate(rand.Reader, template, genuine.Leaf, public, genuine.PrivateKey)
		if err != nil {
			t.Fatal(err)
		}
		return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: private}
	}
	chain := func(certificate tls.Certificate, more ...[]byte) tls.Certificate {
		certificate.Certificate = append(certificate.Certificate[:1:1], more...)
		return certificate
	}
	self, err := ca.SelfSigned(client.PrivateKey.(ed25519.PrivateKey), ca.ServerName, noon())
	if err != nil {
		t.Fatal(err)
	}

	for name, server := range map[string]tls.Certificate{
		"another root":                  other,
		"another root, ours beside it":  chain(other, root.Raw),
		"another root, ours at the end": chain(other, other.Certificate[1], root.Raw),
		"self-signed":                   self,
		"self-signed, our root beside":  chain(self, root.Raw),
		"issued by the server's key":    chain(below(), genuine.Certificate[0], root.Raw),
		"the same, claiming the root":   chain(below(), root.Raw),
	} {
		for way, config := range map[string]*tls.Config{
			"root":        ca.ClientTLS(root, client, noon),
			"fingerprint": ca.PinnedByFingerprint(fingerprint(t, authority), client, noon),
		} {
			if _, err := handshake(t, &tls.Config{Certificates: []tls.Certificate{server}, Time: noon}, config); err == nil {
				t.Errorf("%s, pinned by %s: accepted", name, way)
			}
		}
	}

	serve := func(certificate tls.Certificate) *tls.Config {
		return &tls.Config{Certificates: []tls.Certificate{certificate}}
	}
	later := func() time.Time { return noon().Add(366 * 24 * time.Hour) }
	for name, attempt := range map[string]struct{ server, client *tls.Config }{
		"an expired certificate":           {serve(genuine), ca.ClientTLS(root, client, later)},
		"an expired certificate, by print": {serve(genuine), ca.PinnedByFingerprint(fingerprint(t, authority), client, later)},
		"the leaf alone, by print":         {serve(chain(genuine)), ca.PinnedByFingerprint(fingerprint(t, authority), client, noon)},
		"no fingerprint":                   {serve(genuine), ca.PinnedByFingerprint("", client, noon)},
		"a beginning of the fingerprint":   {serve(genuine), ca.PinnedByFingerprint(fingerprint(t, authority)[:42], client, noon)},
		"the leaf's fingerprint": {serve(genuine), ca.PinnedByFingerprint(func() string {
			fp, err := ca.Fingerprint(genuine.Certificate[0])
			if err != nil {
				t.Fatal(err)
			}
			return fp
		}(), client, noon)},
	} {
		if _, err := handshake(t, attempt.server, attempt.client); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}

	// A signer's certificate is none of a server.
	roots := x509.NewCertPool()
	roots.AddCert(root)
	if _, err := signer.Certificate().Verify(x509.VerifyOptions{Roots: roots, CurrentTime: noon()}); err == nil {
		t.Error("a signer can serve TLS")
	}
	if _, err := ca.Fingerprint([]byte("x")); err == nil || !strings.Contains(err.Error(), "read the certificate") {
		t.Errorf("Fingerprint of garbage: %v", err)
	}
}
