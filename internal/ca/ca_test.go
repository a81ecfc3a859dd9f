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
	certificate, err := ca.SelfSigned(private, "i-0123456789abcdef0")
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
	now = noon() // set back by more than a day since the last one was made
	if signer := get("on-prem-1").Certificate(); now.Before(signer.NotBefore) {
		t.Errorf("at %s the signer is not valid before %s", now, signer.NotBefore)
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
	sign := func(at time.Time) keyblob.Blob {
		blob, err := keyblob.Sign(keyblob.Statement{
			Expires: at.Add(keyblob.Lifetime), InstanceID: "i-1", Caller: "arn", RequestID: "r", OSUser: "kim",
			PublicKey: "ssh-ed25519 AAAA",
		}, signer)
		if err != nil {
			t.Fatal(err)
		}
		return blob
	}
	blob, want := sign(noon()), keyblob.Expectation{InstanceID: "i-1", OSUser: "kim", Now: noon()}
	if _, err := (&keyblob.Verifier{Root: authority.Certificate()}).Verify(blob, want); err != nil {
		t.Error(err)
	}
	if _, err := (&keyblob.Verifier{Root: newAuthority(t).Certificate()}).Verify(blob, want); err == nil {
		t.Error("verified against another root")
	}
	want.Now = noon().Add(31 * 24 * time.Hour)
	if _, err := (&keyblob.Verifier{Root: authority.Certificate()}).Verify(sign(want.Now), want); err == nil {
		t.Error("verified after the signer's end")
	}
}

// TestServerIsNoSigner: a TLS certificate of the same root cannot sign grants.
func TestServerIsNoSigner(t *testing.T) {
	authority := newAuthority(t)
	server, err := authority.ServerCertificate([]string{keyblob.SignerPrefix + "x"}, noon())
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(authority.Certificate())
	_, err = server.Leaf.Verify(x509.VerifyOptions{
		Roots: roots, CurrentTime: noon(), KeyUsages: []x509.ExtKeyUsage{keyblob.SignerUsage},
	})
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

// clientTLS returns the configuration of one connection of a machine that pinned the root with the fingerprint.
func clientTLS(t *testing.T, fingerprint string, client tls.Certificate) *tls.Config {
	t.Helper()
	config, err := ca.ClientTLS(fingerprint, client, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return config
}

func TestHandshake(t *testing.T) {
	authority := newAuthority(t)
	public, client := newClient(t)
	serverTLS := authority.ServerTLS([]string{"sallyport.example.test", "192.0.2.7"}, noon)
	state, err := handshake(t, serverTLS, clientTLS(t, fingerprint(t, authority), client))
	if err != nil {
		t.Fatal(err)
	}
	if key, ok := ca.ClientKey(&state); !ok || !key.Equal(public) {
		t.Error("the server learned another key")
	}

	// An AWS client has no certificate, and dials a name that the server was given.
	roots := x509.NewCertPool()
	roots.AddCert(authority.Certificate())
	dial := func(name string) (tls.ConnectionState, error) {
		return handshake(t, serverTLS, &tls.Config{
			RootCAs: roots, ServerName: name, Time: noon, MaxVersion: tls.VersionTLS12,
		})
	}
	for _, name := range []string{"sallyport.example.test", "192.0.2.7"} {
		state, err := dial(name)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if _, ok := ca.ClientKey(&state); ok {
			t.Errorf("%s: a client without certificate has a key", name)
		}
	}
	label := strings.Repeat("0f", 16)
	for _, name := range []string{
		"bank.example", ca.ServerName, "x." + ca.ServerName, label[1:] + "." + ca.ServerName, label + "0f." + ca.ServerName,
		label + ".bank.example", label, label + ".x." + ca.ServerName, strings.Repeat("x.", 16) + ca.ServerName,
	} {
		if _, err := dial(name); err == nil {
			t.Errorf("the name %s of a client's choice was certified", name)
		}
	}
	if _, ok := ca.ClientKey(nil); ok {
		t.Error("a connection without TLS has a key")
	}
}

// A board without a battery for its clock boots in 1970, or a day behind. The control plane's certificate was not yet
// valid for it, so it could neither enroll nor link until somebody set its clock. Now neither the machine's clock nor
// the control plane's matters: the root proves the control plane, not a date.
func TestNoClockIsNeeded(t *testing.T) {
	authority := newAuthority(t)
	public, client := newClient(t)
	now := noon()
	serverTLS := authority.ServerTLS(nil, func() time.Time { return now })
	for _, now = range []time.Time{
		noon(), noon().AddDate(0, 0, -3), time.Unix(60, 0), noon().AddDate(0, 7, 0), noon().AddDate(19, 0, 0), noon(),
	} {
		config := clientTLS(t, fingerprint(t, authority), client)
		config.Time = func() time.Time { return time.Unix(0, 0) }
		state, err := handshake(t, serverTLS, config)
		if err != nil {
			t.Errorf("the control plane's clock at %s: %v", now, err)
			continue
		}
		if key, ok := ca.ClientKey(&state); !ok || !key.Equal(public) {
			t.Error("the server learned another key")
		}
	}
	now = noon().AddDate(21, 0, 0)
	if _, err := handshake(t, serverTLS, clientTLS(t, fingerprint(t, authority), client)); err == nil {
		t.Error("a root that has ended certifies")
	}
	_, err := ca.New("123456789012", time.Unix(60, 0), rand.Reader)
	if err == nil || !strings.Contains(err.Error(), "clock") {
		t.Errorf("a root was made by a clock that was never set: %v", err)
	}
}

// Somebody takes the control plane's TLS key from its memory. Machines that use no clock would trust its certificate
// for ever, so they trust none that is older than their own request.
func TestStolenServerCertificate(t *testing.T) {
	authority := newAuthority(t)
	_, client := newClient(t)
	var shown *tls.Certificate
	genuine := authority.ServerTLS([]string{"sallyport.example.test"}, noon)
	certify := genuine.GetCertificate
	genuine.GetCertificate = func(hello *tls.ClientHelloInfo) (made *tls.Certificate, err error) {
		shown, err = certify(hello)
		return shown, err
	}
	standing, err := certify(&tls.ClientHelloInfo{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := handshake(t, genuine, clientTLS(t, fingerprint(t, authority), client)); err != nil {
		t.Fatal(err)
	}
	for name, stolen := range map[string]*tls.Certificate{
		"one that another agent was shown": shown, "the one for AWS's clients": standing,
	} {
		impostor := &tls.Config{Certificates: []tls.Certificate{*stolen}}
		if _, err := handshake(t, impostor, clientTLS(t, fingerprint(t, authority), client)); err == nil {
			t.Errorf("%s: believed", name)
		}
	}
}

func TestServerRenews(t *testing.T) {
	now := noon()
	config := newAuthority(t).ServerTLS(nil, func() time.Time { return now })
	get := func() *tls.Certificate {
		certificate, err := config.GetCertificate(&tls.ClientHelloInfo{})
		if err != nil {
			t.Fatal(err)
		}
		if now.Before(certificate.Leaf.NotBefore) || now.After(certificate.Leaf.NotAfter) {
			t.Errorf("at %s the certificate is not valid", now)
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
	now = noon().Add(-48 * time.Hour) // it was started while its clock was ahead
	get()
}

// TestImpostors: no machine accepts any of these servers, although each of them knows the name that the machine asks
// for.
func TestImpostors(t *testing.T) {
	authority := newAuthority(t)
	root := authority.Certificate()
	_, client := newClient(t)
	// name is the name that the machine will ask for, since its randomness is known here.
	name := strings.Repeat("00", 16) + "." + ca.ServerName
	dial := func(server tls.Certificate, pinned string) error {
		config, err := ca.ClientTLS(pinned, client, strings.NewReader(strings.Repeat("\x00", 16)))
		if err != nil {
			t.Fatal(err)
		}
		_, err = handshake(t, &tls.Config{Certificates: []tls.Certificate{server}}, config)
		return err
	}
	genuine, err := authority.ServerCertificate([]string{name}, noon())
	if err != nil {
		t.Fatal(err)
	}
	signer, err := authority.Signer("on-prem-1", "example.test", noon())
	if err != nil {
		t.Fatal(err)
	}
	other, err := newAuthority(t).ServerCertificate([]string{name}, noon())
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
			SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
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
	self, err := ca.SelfSigned(client.PrivateKey.(ed25519.PrivateKey), name)
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
		if err := dial(server, fingerprint(t, authority)); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	leafPrint, err := ca.Fingerprint(genuine.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	for name, pinned := range map[string]string{
		"no fingerprint": "", "a beginning of the fingerprint": fingerprint(t, authority)[:42],
		"the leaf's fingerprint": leafPrint,
	} {
		if err := dial(genuine, pinned); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if err := dial(chain(genuine), fingerprint(t, authority)); err == nil {
		t.Error("the leaf alone: accepted")
	}
	if err := dial(genuine, fingerprint(t, authority)); err != nil {
		t.Errorf("the genuine one is refused, so nothing is shown: %v", err)
	}

	// A signer's certificate is not valid for a server.
	roots := x509.NewCertPool()
	roots.AddCert(root)
	if _, err := signer.Certificate().Verify(x509.VerifyOptions{Roots: roots, CurrentTime: noon()}); err == nil {
		t.Error("a signer can serve TLS")
	}
	if _, err := ca.Fingerprint([]byte("x")); err == nil || !strings.Contains(err.Error(), "read the certificate") {
		t.Errorf("Fingerprint of garbage: %v", err)
	}
}
