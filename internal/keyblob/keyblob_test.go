package keyblob_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/sallyport/sallyport/internal/keyblob"
)

const key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGVuZCBvZiBhIHB1YmxpYyBrZXkgZm9yIHRlc3RzISE="

func noon() time.Time { return time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC) }

func statement() keyblob.Statement {
	return keyblob.Statement{
		Expires: noon().Add(time.Minute), InstanceID: "i-0123456789abcdef0", Caller: "arn:aws:iam::123456789012:user/kim",
		RequestID: "6f3a1c1e-0000-4000-8000-000000000000", OSUser: "admin", PublicKey: key,
	}
}

func expectation() keyblob.Expectation {
	return keyblob.Expectation{InstanceID: "i-0123456789abcdef0", OSUser: "admin", Now: noon()}
}

// issuer is a certificate and its key, which issues good and bad certificates.
type issuer struct {
	certificate *x509.Certificate
	key         crypto.Signer
}

// issue makes a certificate like a signer's, with the changes. It is issued by i, or self-signed if i is empty.
func (i issuer) issue(t testing.TB, key crypto.Signer, change func(*x509.Certificate)) issuer {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: keyblob.SignerPrefix + "on-prem-1.example.test"},
		NotBefore: noon().Add(-time.Hour), NotAfter: noon().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{keyblob.SignerUsage},
		BasicConstraintsValid: true,
	}
	change(template)
	parent, by := i.certificate, i.key
	if parent == nil {
		parent, by = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), by)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return issuer{certificate, key}
}

func (i issuer) signer(t testing.TB) keyblob.Signer {
	t.Helper()
	signer, err := keyblob.NewSigner(i.certificate, i.key.(ed25519.PrivateKey))
	if err != nil {
		t.Fatal(err)
	}
	return signer
}

func newKey(t testing.TB) ed25519.PrivateKey {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func newRoot(t testing.TB) issuer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return issuer{}.issue(t, key, authority)
}

func authority(c *x509.Certificate) {
	c.Subject.CommonName, c.IsCA, c.KeyUsage, c.ExtKeyUsage = "Test Root", true, x509.KeyUsageCertSign, nil
}

func unchanged(*x509.Certificate) {}

func sign(t testing.TB, s keyblob.Statement, by issuer) keyblob.Blob {
	t.Helper()
	blob, err := keyblob.Sign(s, by.signer(t))
	if err != nil {
		t.Fatal(err)
	}
	return blob
}

func TestText(t *testing.T) {
	root := newRoot(t)
	s := statement()
	s.Expires = s.Expires.Add(999 * time.Millisecond) // is cut off
	blob := sign(t, s, root.issue(t, newKey(t), unchanged))
	want := "#Timestamp=1795348860\n#Instance=i-0123456789abcdef0\n#Caller=arn:aws:iam::123456789012:user/kim\n" +
		"#Request=6f3a1c1e-0000-4000-8000-000000000000\n#User=admin\n" + key + "\n"
	if diff := cmp.Diff(want, blob.Text); diff != "" {
		t.Errorf("text (-want +got):\n%s", diff)
	}
	got, err := (&keyblob.Verifier{Root: root.certificate}).Verify(blob, expectation())
	if diff := cmp.Diff(statement(), got); err != nil || diff != "" {
		t.Errorf("Verify: %v (-want +got):\n%s", err, diff)
	}
}

func TestSignRefuses(t *testing.T) {
	signer := newRoot(t).issue(t, newKey(t), unchanged).signer(t)
	for name, change := range map[string]func(*keyblob.Statement){
		"no expiry":           func(s *keyblob.Statement) { s.Expires = time.Time{} },
		"no instance":         func(s *keyblob.Statement) { s.InstanceID = "" },
		"no user":             func(s *keyblob.Statement) { s.OSUser = "" },
		"no caller":           func(s *keyblob.Statement) { s.Caller = "" },
		"no request":          func(s *keyblob.Statement) { s.RequestID = "" },
		"no key":              func(s *keyblob.Statement) { s.PublicKey = "" },
		"a line break":        func(s *keyblob.Statement) { s.Caller = "a\n#User=root" },
		"a carriage return":   func(s *keyblob.Statement) { s.RequestID = "a\rb" },
		"a NUL":               func(s *keyblob.Statement) { s.OSUser = "a\x00" },
		"a space":             func(s *keyblob.Statement) { s.OSUser = "a b" },
		"a line separator":    func(s *keyblob.Statement) { s.OSUser = "a\u2028#User=root" },
		"a next line":         func(s *keyblob.Statement) { s.OSUser = "a\u0085#User=root" },
		"another space":       func(s *keyblob.Statement) { s.OSUser = "a\u00a0b" },
		"text turned around":  func(s *keyblob.Statement) { s.OSUser = "a\u202eb" },
		"no UTF-8":            func(s *keyblob.Statement) { s.OSUser = "a\xffb" },
		"options":             func(s *keyblob.Statement) { s.PublicKey = `command="x" ` + key },
		"a comment":           func(s *keyblob.Statement) { s.PublicKey = key + " kim" },
		"two keys":            func(s *keyblob.Statement) { s.PublicKey = key + "\n" + key },
		"a key of no type":    func(s *keyblob.Statement) { s.PublicKey = " AAAA" },
		"a commented-out key": func(s *keyblob.Statement) { s.PublicKey = "#x AAAA" },
	} {
		s := statement()
		change(&s)
		if blob, err := keyblob.Sign(s, signer); err == nil {
			t.Errorf("%s: signed %q", name, blob.Text)
		}
	}
	if _, err := keyblob.Sign(statement(), nil); err == nil {
		t.Error("signed without a signer")
	}
	if _, err := keyblob.NewSigner(signer.Certificate(), newKey(t)); err == nil {
		t.Error("a signer with another key than its certificate's")
	}
}

// TestAttacks: none of these blobs opens a door.
func TestAttacks(t *testing.T) {
	root := newRoot(t)
	genuine := root.issue(t, newKey(t), unchanged)
	good := sign(t, statement(), genuine)
	signedBy := func(change func(*x509.Certificate)) keyblob.Blob {
		return sign(t, statement(), root.issue(t, newKey(t), change))
	}
	saying := func(change func(*keyblob.Statement)) keyblob.Blob {
		s := statement()
		change(&s)
		return sign(t, s, genuine)
	}
	// resigned is an attacker's text that the genuine signer signed nevertheless.
	resigned := func(text string) keyblob.Blob {
		signature := ed25519.Sign(genuine.key.(ed25519.PrivateKey), []byte(text))
		return keyblob.Blob{Text: text, Signer: good.Signer, Signature: signature}
	}
	subordinate := root.issue(t, newKey(t), func(c *x509.Certificate) {
		authority(c)
		c.Subject.CommonName = keyblob.SignerPrefix + "x"
	})

	for name, blob := range map[string]keyblob.Blob{
		"the zero blob": {},
		"no signature":  {Text: good.Text, Signer: good.Signer},
		"a changed user": {Text: strings.Replace(good.Text, "admin", "root", 1), Signer: good.Signer,
			Signature: good.Signature},
		"another signer's signature": {Text: good.Text, Signer: root.issue(t, newKey(t), unchanged).certificate.Raw,
			Signature: good.Signature},
		"more after the certificate": {Text: good.Text, Signer: append(good.Signer[:len(good.Signer):len(good.Signer)], 0),
			Signature: good.Signature},
		"another root":               sign(t, statement(), newRoot(t).issue(t, newKey(t), unchanged)),
		"a certificate of its own":   sign(t, statement(), issuer{}.issue(t, newKey(t), unchanged)),
		"a nested authority":         sign(t, statement(), subordinate.issue(t, newKey(t), unchanged)),
		"a leaf as an authority":     sign(t, statement(), genuine.issue(t, newKey(t), unchanged)),
		"an authority as a signer":   sign(t, statement(), subordinate),
		"an authority among signers": signedBy(func(c *x509.Certificate) { c.IsCA = true }),
		"a certificate-signing leaf": signedBy(func(c *x509.Certificate) { c.KeyUsage |= x509.KeyUsageCertSign }),
		"a TLS server": signedBy(func(c *x509.Certificate) {
			c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
		}),
		"a TLS server as well": signedBy(func(c *x509.Certificate) {
			c.ExtKeyUsage = append(c.ExtKeyUsage, x509.ExtKeyUsageServerAuth)
		}),
		"any use":      signedBy(func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageAny} }),
		"no use named": signedBy(func(c *x509.Certificate) { c.ExtKeyUsage = nil }),
		"another name": signedBy(func(c *x509.Certificate) {
			c.Subject.CommonName = "x." + keyblob.SignerPrefix
		}),
		"a signer that is over": signedBy(func(c *x509.Certificate) { c.NotAfter = noon().Add(-time.Second) }),
		"a signer to come":      signedBy(func(c *x509.Certificate) { c.NotBefore = noon().Add(time.Second) }),
		"another instance":      saying(func(s *keyblob.Statement) { s.InstanceID = "i-0123456789abcdef1" }),
		"another user":          saying(func(s *keyblob.Statement) { s.OSUser = "root" }),
		"an expired grant":      saying(func(s *keyblob.Statement) { s.Expires = noon() }),
		"a grant that lives too long": saying(func(s *keyblob.Statement) {
			s.Expires = noon().Add(keyblob.Lifetime + keyblob.Slack + time.Second)
		}),
		"an empty text": resigned(""),
		"no user line":  resigned(strings.Replace(good.Text, "#User=admin\n", "", 1)),
		"a line twice": resigned(strings.Replace(good.Text, "#User=admin\n",
			"#User=admin\n#User=admin\n", 1)),
		"an unknown line": resigned(strings.Replace(good.Text, "#User=", "#Color=red\n#User=", 1)),
		"lines in another order": resigned(strings.Replace(good.Text,
			"#Instance=i-0123456789abcdef0\n#Caller=arn:aws:iam::123456789012:user/kim\n",
			"#Caller=arn:aws:iam::123456789012:user/kim\n#Instance=i-0123456789abcdef0\n", 1)),
		"a timestamp with a sign":       resigned(strings.Replace(good.Text, "#Timestamp=", "#Timestamp=+", 1)),
		"a timestamp that is no number": resigned(strings.Replace(good.Text, "#Timestamp=", "#Timestamp=x", 1)),
		"Windows line ends":             resigned(strings.ReplaceAll(good.Text, "\n", "\r\n")),
		"no last line end":              resigned(strings.TrimSuffix(good.Text, "\n")),
		"a blank line":                  resigned(good.Text + "\n"),
		"a second key":                  resigned(good.Text + key + "\n"),
		"options before the key":        resigned(strings.Replace(good.Text, "ssh-", `command="x" ssh-`, 1)),
	} {
		t.Run(name, func(t *testing.T) {
			got, err := (&keyblob.Verifier{Root: root.certificate}).Verify(blob, expectation())
			if err == nil || got != (keyblob.Statement{}) {
				t.Errorf("verified: %+v", got)
			}
			// A verifier that has just accepted the genuine signer refuses it, too.
			experienced := &keyblob.Verifier{Root: root.certificate}
			if _, err := experienced.Verify(good, expectation()); err != nil {
				t.Fatal(err)
			}
			if got, err := experienced.Verify(blob, expectation()); err == nil || got != (keyblob.Statement{}) {
				t.Errorf("verified by an experienced verifier: %+v", got)
			}
			if (name == "an expired grant") != errors.Is(err, keyblob.ErrExpired) {
				t.Errorf("%v", err)
			}
		})
	}

	for name, want := range map[string]keyblob.Expectation{
		"nothing expected": {},
		"no instance":      {OSUser: "admin", Now: noon()},
		"no user":          {InstanceID: "i-0123456789abcdef0", Now: noon()},
		"no time":          {InstanceID: "i-0123456789abcdef0", OSUser: "admin"},
	} {
		if _, err := (&keyblob.Verifier{Root: root.certificate}).Verify(good, want); err == nil {
			t.Errorf("%s: verified", name)
		}
	}
	if _, err := (&keyblob.Verifier{Root: nil}).Verify(good, expectation()); err == nil {
		t.Error("verified without a root")
	}
	if _, err := (&keyblob.Verifier{Root: &x509.Certificate{}}).Verify(good, expectation()); err == nil {
		t.Error("verified with the zero root")
	}
	if _, err := (&keyblob.Verifier{Root: genuine.certificate}).Verify(good, expectation()); err == nil {
		t.Error("verified with the signer itself as the root")
	}
}

// TestRememberedSignerExpires: a remembered signer is checked against the time at each use.
func TestRememberedSignerExpires(t *testing.T) {
	root := newRoot(t)
	over := noon().Add(time.Hour)
	signer := root.issue(t, newKey(t), func(c *x509.Certificate) { c.NotAfter = over }).signer(t)
	v := &keyblob.Verifier{Root: root.certificate}
	for _, c := range []struct {
		at   time.Time
		good bool
	}{{noon(), true}, {over, true}, {over.Add(time.Second), false}, {noon(), true}} {
		blob, err := keyblob.Sign(keyblob.Statement{
			Expires: c.at.Add(keyblob.Lifetime), InstanceID: expectation().InstanceID, Caller: "c", RequestID: "r",
			OSUser: expectation().OSUser, PublicKey: key,
		}, signer)
		if err != nil {
			t.Fatal(err)
		}
		want := expectation()
		want.Now = c.at
		if _, err := v.Verify(blob, want); (err == nil) != c.good {
			t.Errorf("at %s: %v", c.at, err)
		}
	}
	good := sign(t, statement(), root.issue(t, newKey(t), unchanged))
	if _, err := new(keyblob.Verifier).Verify(good, expectation()); err == nil {
		t.Error("the zero Verifier verified")
	}
}

func TestRoundTrip(t *testing.T) {
	root := newRoot(t)
	signer := root.issue(t, newKey(t), unchanged).signer(t)
	rapid.Check(t, func(t *rapid.T) {
		word := rapid.StringMatching(`[!-~\pL\pN]{1,32}`)
		seconds := rapid.IntRange(1, int((keyblob.Lifetime+keyblob.Slack).Seconds())).Draw(t, "seconds")
		want := keyblob.Statement{
			Expires:    noon().Add(time.Duration(seconds) * time.Second),
			InstanceID: word.Draw(t, "instance"), Caller: word.Draw(t, "caller"), RequestID: word.Draw(t, "request"),
			OSUser:    word.Draw(t, "user"),
			PublicKey: rapid.StringMatching(`[a-z0-9@.-]{1,20} [A-Za-z0-9+/]{1,40}={0,2}`).Draw(t, "key"),
		}
		blob, err := keyblob.Sign(want, signer)
		if err != nil {
			t.Fatal(err)
		}
		got, err := (&keyblob.Verifier{Root: root.certificate}).Verify(blob,
			keyblob.Expectation{InstanceID: want.InstanceID, OSUser: want.OSUser, Now: noon()})
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Fatalf("%v (-want +got):\n%s", err, diff)
		}
	})
}

// FuzzVerify: only the blob itself verifies, and nothing panics.
func FuzzVerify(f *testing.F) {
	root := newRoot(f)
	genuine := root.issue(f, newKey(f), unchanged)
	good := sign(f, statement(), genuine)
	f.Add(good.Text, good.Signature, good.Signer, false)
	f.Add(good.Text+"\n", good.Signature, good.Signer, true)
	f.Add(strings.Replace(good.Text, "admin", "root", 1), []byte{}, []byte{}, true)
	f.Fuzz(func(t *testing.T, text string, signature, signer []byte, resign bool) {
		blob := keyblob.Blob{Text: text, Signature: signature, Signer: signer}
		if resign { // what a text alone can do, even if it were signed
			blob.Signer, blob.Signature = good.Signer, ed25519.Sign(genuine.key.(ed25519.PrivateKey), []byte(text))
		}
		got, err := (&keyblob.Verifier{Root: root.certificate}).Verify(blob, expectation())
		if err != nil {
			return
		}
		if again := sign(t, got, genuine); again.Text != text {
			t.Fatalf("verified a text that is not canonical: %q", text)
		}
		if !resign && text != good.Text {
			t.Fatalf("verified a forgery: %q", text)
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	root := newRoot(b)
	blob := sign(b, statement(), root.issue(b, newKey(b), unchanged))
	for b.Loop() {
		if _, err := (&keyblob.Verifier{Root: root.certificate}).Verify(blob, expectation()); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSign(b *testing.B) {
	signer := newRoot(b).issue(b, newKey(b), unchanged).signer(b)
	for b.Loop() {
		if _, err := keyblob.Sign(statement(), signer); err != nil {
			b.Fatal(err)
		}
	}
}
