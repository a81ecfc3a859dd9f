package sshkey_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"fmt"
	"math/big"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/ssh"
	"pgregory.net/rapid"

	"github.com/sallyport/sallyport/internal/fault"
	"github.com/sallyport/sallyport/internal/sshkey"
)

// line returns a key as a .pub file has it, without a comment and a line end.
func line(t testing.TB, key any) string {
	t.Helper()
	public, err := ssh.NewPublicKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(public)))
}

// wireLine returns the line of a key of the type with the fields of its wire form.
func wireLine(kind string, fields ...[]byte) string {
	wire := ssh.Marshal(struct{ Kind string }{kind})
	for _, field := range fields {
		wire = append(wire, ssh.Marshal(struct{ Field []byte }{field})...)
	}
	return kind + " " + base64.StdEncoding.EncodeToString(wire)
}

// rsaLine returns an RSA key of the size. It has many factors, large enough ones, which makes it quick to make.
func rsaLine(t testing.TB, bits int) string {
	t.Helper()
	for more := 0; ; more = 1 - more {
		n := primeOf(t, 512)
		for bits-n.BitLen() > 700 {
			n.Mul(n, primeOf(t, 512))
		}
		if n.Mul(n, primeOf(t, bits-n.BitLen()+more)); n.BitLen() == bits {
			return line(t, &rsa.PublicKey{N: n, E: 65537})
		}
	}
}

func primeOf(t testing.TB, bits int) *big.Int {
	t.Helper()
	p, err := rand.Prime(rand.Reader, bits)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// ed25519Point returns a public key that nobody owns.
func ed25519Point() []byte {
	return ed25519.NewKeyFromSeed(bytes.Repeat([]byte("k"), 32)).Public().(ed25519.PublicKey)
}

func ed25519Line(t testing.TB) string { return line(t, ed25519.PublicKey(ed25519Point())) }

func ecdsaLine(t testing.TB, curve elliptic.Curve) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return line(t, &key.PublicKey)
}

func skECDSALine(t testing.TB) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	point, err := key.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	return wireLine("sk-ecdsa-sha2-nistp256@openssh.com", []byte("nistp256"), point, []byte("ssh:"))
}

func TestAccepts(t *testing.T) {
	skEd25519 := wireLine("sk-ssh-ed25519@openssh.com", ed25519Point(), []byte("ssh:"))
	for _, test := range []struct {
		kind, line string
		bits       int
	}{
		{"ssh-ed25519", ed25519Line(t), 256},
		{"ssh-rsa", rsaLine(t, 2048), 2048},
		{"ssh-rsa", rsaLine(t, 4096), 4096},
		{"ssh-rsa", rsaLine(t, 8192), 8192},
		{"ecdsa-sha2-nistp256", ecdsaLine(t, elliptic.P256()), 256},
		{"ecdsa-sha2-nistp384", ecdsaLine(t, elliptic.P384()), 384},
		{"ecdsa-sha2-nistp521", ecdsaLine(t, elliptic.P521()), 521},
		{"sk-ssh-ed25519@openssh.com", skEd25519, 256},
		{"sk-ecdsa-sha2-nistp256@openssh.com", skECDSALine(t), 256},
	} {
		t.Run(fmt.Sprint(test.kind, test.bits), func(t *testing.T) {
			public, _, _, _, err := ssh.ParseAuthorizedKey([]byte(test.line))
			if err != nil {
				t.Fatal(err)
			}
			want := sshkey.Public{Type: test.kind, Line: test.line}
			commented := want
			commented.Comment = "kim park 한@host"
			for given, want := range map[string]sshkey.Public{
				test.line:                                 want,
				test.line + "\n":                          want,
				"  " + test.line + " \r\n\n":              want,
				test.line + " kim park 한@host\n":          commented,
				strings.Replace(test.line, " ", "\t ", 1): want,
			} {
				got, err := sshkey.ParsePublic(given)
				if err != nil {
					t.Fatalf("%q: %v", given, err)
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("%q (-want +got):\n%s", given, diff)
				}
				if got.Fingerprint() != ssh.FingerprintSHA256(public) {
					t.Errorf("the fingerprint is %s, want %s", got.Fingerprint(), ssh.FingerprintSHA256(public))
				}
			}
		})
	}
	if fp := (sshkey.Public{}).Fingerprint(); fp != "" {
		t.Errorf("the zero key has the fingerprint %q", fp)
	}
}

// ssh2 returns a key in the format of RFC 4716.
func ssh2(line string, headers ...string) string {
	_, blob, _ := strings.Cut(line, " ")
	text := "---- BEGIN SSH2 PUBLIC KEY ----\n" + strings.Join(append(headers, ""), "\n")
	for len(blob) > 70 {
		text, blob = text+blob[:70]+"\n", blob[70:]
	}
	return text + blob + "\n---- END SSH2 PUBLIC KEY ----\n"
}

func TestSSH2(t *testing.T) {
	want := rsaLine(t, 2048)
	for name, text := range map[string]string{
		"plain":            ssh2(want),
		"headers":          ssh2(want, `Comment: "2048-bit RSA"`, `x-note: one \`, `two`),
		"Windows":          strings.ReplaceAll(ssh2(want), "\n", "\r\n"),
		"no last line end": strings.TrimSpace(ssh2(want)),
	} {
		got, err := sshkey.ParsePublic(text)
		if err != nil || got.Line != want {
			t.Errorf("%s: %v\n%s", name, err, got.Line)
		}
	}
	for name, text := range map[string]string{
		"no end":          strings.Replace(ssh2(want), "---- END", "---- FIN", 1),
		"nothing within":  "---- BEGIN SSH2 PUBLIC KEY ----\n---- END SSH2 PUBLIC KEY ----",
		"no base64":       "---- BEGIN SSH2 PUBLIC KEY ----\n????\n---- END SSH2 PUBLIC KEY ----",
		"length too long": "---- BEGIN SSH2 PUBLIC KEY ----\n/////w==\n---- END SSH2 PUBLIC KEY ----",
		"a late header":   strings.Replace(ssh2(want), "\n---- END", "\nComment: x\n---- END", 1),
	} {
		if got, err := sshkey.ParsePublic(text); err == nil {
			t.Errorf("%s: read %+v", name, got)
		}
	}
}

// A comment in Korean has three bytes per character. The length of a key was once counted in bytes, and a key that
// EC2 Instance Connect accepts was refused.
func TestLengthIsInCharacters(t *testing.T) {
	good := ed25519Line(t)
	comment := strings.Repeat("한", sshkey.MaxLength-len(good)-1)
	if key, err := sshkey.ParsePublic(good + " " + comment); err != nil || key.Comment != comment {
		t.Errorf("4096 characters: %v", err)
	}
	if _, err := sshkey.ParsePublic(good + " " + comment + "한"); err == nil {
		t.Error("4097 characters are accepted")
	}
}

// TestRefusals: the error names what was pasted by mistake.
func TestRefusals(t *testing.T) {
	good := ed25519Line(t)
	rsa2048 := rsaLine(t, 2048)
	one := []byte{1}
	for _, test := range []struct{ name, text, want string }{
		{"nothing", "", "is empty"},
		{"blanks", " \n\n", "is empty"},
		{"5 KB", good + " " + strings.Repeat("x", 5000), "at most 4096"},
		{"one character too many", good + " " + strings.Repeat("x", 4096-len(good)), "has 4097 characters"},
		{"over several lines", rsa2048[:100] + "\n" + rsa2048[100:200] + "\n" + rsa2048[200:] + "\n", "spread over 3 lines"},
		{"over several old Mac lines", rsa2048[:100] + "\r" + rsa2048[100:], "spread over 2 lines"},
		{"broken after the type", strings.Replace(good, " ", "\n", 1), "spread over 2 lines"},
		{"two keys", good + "\n" + rsa2048 + "\n", "2 SSH public keys"},
		{"OpenSSH private key", "-----BEGIN OPENSSH PRIVATE KEY-----\nb3Bl\n-----END OPENSSH PRIVATE KEY-----\n",
			"private key"},
		{"PEM private key", "-----BEGIN RSA PRIVATE KEY-----\nMIIE\n", "private key"},
		{"PuTTY's private key", "PuTTY-User-Key-File-3: ssh-ed25519\nEncryption: none\n", "private key"},
		{"PEM public key", "-----BEGIN PUBLIC KEY-----\nMIIB\n-----END PUBLIC KEY-----\n", "ssh-keygen -i -m PKCS8"},
		{"options", `from="10.0.0.0/8" ` + good, `before the key's type: "from=`},
		{"an option", "restrict " + good, `before the key's type: "restrict"`},
		{"an option with spaces", `command="echo hello" ` + good, "before the key's type"},
		{"DSA", wireLine("ssh-dss", one, one, one, one), "DSA keys are not accepted"},
		{"RSA of 1024 bits", rsaLine(t, 1024), "has 1024 bits; at least 2048"},
		{"RSA of 2047 bits", rsaLine(t, 2047), "has 2047 bits; at least 2048"},
		{"RSA of 16384 bits", rsaLine(t, 16384), "at most 8192"},
		{"a certificate", "ssh-ed25519-cert-v01@openssh.com AAAA", "SSH certificate"},
		{"a security key of another make", "sk-foo@example.test AAAA", `type "sk-foo@example.test"`},
		{"no type", strings.Fields(good)[1], "lacks its type"},
		{"another type", "ecdsa-sha2-nistp224 " + strings.Fields(good)[1], "not accepted"},
		{"cut off", good[:70], "only 70 characters"},
		{"type alone", "ssh-ed25519", "only 11 characters"},
		{"cut off, with a comment", good[:72] + " kim@host.example.test", "not a key of type ssh-ed25519"},
		{"no base64", good[:50] + "!" + good[51:], "not valid base64"},
		{"base64 that ends loosely", good[:76] + "aWx= kim@host.example", "not valid base64"},
		{"more after the key", wireLine("ssh-ed25519", ed25519Point(), one), "not a key of type ssh-ed25519"},
		{"another type than the data's", strings.Replace(good, "ssh-ed25519", "ssh-rsa", 1) + " kim@host",
			"its data is of type ssh-ed25519"},
		{"a point off the curve", wireLine("ecdsa-sha2-nistp256", []byte("nistp256"), append([]byte{4}, make([]byte, 64)...)),
			"not a key of type ecdsa-sha2-nistp256"},
		{"a NUL", good + " a\x00b", "control character (0x00)"},
		{"an escape", good + " \x1b[31m", "control character (0x1b)"},
		{"prose", "please let me in", "not an SSH public key"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := sshkey.ParsePublic(test.text)
			if err == nil || got != (sshkey.Public{}) {
				t.Fatalf("accepted: %+v", got)
			}
			if f := fault.Of(err); f.Kind != fault.Invalid || f.Subject.String() != "public-key" {
				t.Errorf("%v %q, want an invalid public-key", f.Kind, f.Subject.String())
			}
			if !strings.Contains(err.Error(), test.want) {
				t.Errorf("%q does not say %q", err, test.want)
			}
		})
	}
}

func TestFingerprint(t *testing.T) {
	const line = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ1xMgAZ3UGSnR3kR4jCXE5bI6qLF3lF0D2oXLGyhVhz"
	const want = "SHA256:HJuR0YAFdO4/luQdnoaff70Rl1w9XARQymYh/AWHDIg" // as ssh-keygen -lf shows it
	if got := sshkey.Fingerprint(line); got != want {
		t.Errorf("got %q", got)
	}
	for _, bad := range []string{"", "ssh-ed25519", "ssh-ed25519 ???"} {
		if got := sshkey.Fingerprint(bad); got != "" {
			t.Errorf("%q has the fingerprint %q", bad, got)
		}
	}
}

func TestGenerate(t *testing.T) {
	for want, accepted := range map[string][]string{
		"ssh-ed25519":         nil,
		"ecdsa-sha2-nistp256": {"ssh-rsa", "ecdsa-sha2-nistp521", "ecdsa-sha2-nistp256"},
		"ecdsa-sha2-nistp384": {"ecdsa-sha2-nistp384", "sk-ssh-ed25519@openssh.com"},
		"ecdsa-sha2-nistp521": {"ecdsa-sha2-nistp521"},
		"ssh-rsa":             {"sk-ssh-ed25519@openssh.com", "ssh-rsa", "something-new"},
	} {
		t.Run(want, func(t *testing.T) { testGenerate(t, want, accepted) })
	}
	for _, accepted := range [][]string{{"sk-ssh-ed25519@openssh.com"}, {""}} {
		if pair, err := sshkey.Generate(rand.Reader, accepted...); !fault.Is(err, fault.Unsupported) {
			t.Errorf("of %q came %v, %v", accepted, pair, err)
		}
	}
}

func testGenerate(t *testing.T, want string, accepted []string) {
	pair, err := sshkey.Generate(rand.Reader, accepted...)
	if err != nil {
		t.Fatal(err)
	}
	if pair.Public.Type != want {
		t.Errorf("the key is a %s", pair.Public.Type)
	}
	pem, err := pair.PrivatePEM("sallyport")
	if err != nil {
		t.Fatal(err)
	}
	fromPEM, err := ssh.ParsePrivateKey(pem)
	if err != nil {
		t.Fatal(err)
	}
	fromMemory, err := ssh.NewSignerFromSigner(pair.Signer())
	if err != nil {
		t.Fatal(err)
	}
	for _, signer := range []ssh.Signer{fromPEM, fromMemory} {
		if got := strings.TrimSpace(string(ssh.MarshalAuthorizedKey(signer.PublicKey()))); got != pair.Public.Line {
			t.Errorf("the private key belongs to %s, not %s", got, pair.Public.Line)
		}
	}
	for _, printed := range []string{
		fmt.Sprint(pair), fmt.Sprintf("%+v", pair), fmt.Sprintf("%#v", pair), pair.LogValue().String(),
	} {
		if printed != pair.Public.Line {
			t.Errorf("the pair prints as %s", printed)
		}
	}
}

// TestCanonical: the line of a parsed key parses to itself, whatever was around the key.
func TestCanonical(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		seed := rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(rt, "seed")
		key := ed25519.NewKeyFromSeed(seed).Public()
		comment := rapid.StringMatching(`[!-~]{0,20}( [!-~]{1,20}){0,2}`).Draw(rt, "comment")
		first, err := sshkey.ParsePublic(line(t, key) + " " + comment + "\n")
		if err != nil {
			rt.Fatal(err)
		}
		again, err := sshkey.ParsePublic(first.Line)
		if err != nil || again.Comment != "" || again.Line != first.Line || again.Fingerprint() != first.Fingerprint() {
			rt.Fatalf("%v: %+v, then %+v", err, first, again)
		}
	})
}

// FuzzParsePublic: every accepted key is one line of a known type that OpenSSH's own rules read as the same key and
// without options.
func FuzzParsePublic(f *testing.F) {
	f.Add(ed25519Line(f) + " comment\n")
	f.Add(rsaLine(f, 2048))
	f.Add(ecdsaLine(f, elliptic.P256()))
	f.Add(ssh2(rsaLine(f, 2048), "Comment: x"))
	f.Add(`from="*" ` + ed25519Line(f))
	f.Fuzz(func(t *testing.T, text string) {
		public, err := sshkey.ParsePublic(text)
		if err != nil {
			if !fault.Is(err, fault.Invalid) {
				t.Fatalf("not an Invalid fault: %v", err)
			}
			return
		}
		key, comment, options, rest, err := ssh.ParseAuthorizedKey([]byte(public.Line))
		if err != nil || comment != "" || len(options) != 0 || len(rest) != 0 || key.Type() != public.Type {
			t.Fatalf("%q reads differently elsewhere: %v", public.Line, err)
		}
		if strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key))) != public.Line {
			t.Fatalf("%q is not canonical", public.Line)
		}
		if again, err := sshkey.ParsePublic(public.Line); err != nil || again.Line != public.Line {
			t.Fatalf("%q does not read as itself: %v", public.Line, err)
		}
	})
}
