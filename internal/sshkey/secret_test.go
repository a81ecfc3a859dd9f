package sshkey_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"encoding/hex"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/internal/sshkey"
)

// refusedFor fails the test unless the line is refused with an error that contains the text.
func refusedFor(t *testing.T, name, line, want string) {
	t.Helper()
	if got, err := sshkey.ParsePublic(line); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("%s: %v %v, want a refusal that says %q", name, got.Line, err, want)
	}
}

// A caller who may push keys pushes one that keeps no secret. Whoever else reaches the machine in that minute can
// sign for it too, as the first lines show with Go's own verifier.
func TestEd25519KeysWithoutSecret(t *testing.T) {
	point := func(text string) []byte {
		p, err := hex.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	small := map[string][]byte{
		"order 1":            point("0100000000000000000000000000000000000000000000000000000000000000"),
		"order 2":            point("ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
		"order 4":            point("0000000000000000000000000000000000000000000000000000000000000000"),
		"order 8":            point("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"),
		"order 8, the other": point("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"),
	}
	forged := append(slices.Clone(small["order 1"]), make([]byte, 32)...) // R is the neutral point, S is 0
	for name, key := range small {
		signs := 0
		for i := range 200 {
			if ed25519.Verify(key, fmt.Append(nil, "session ", i), forged) {
				signs++
			}
		}
		if signs == 0 {
			t.Errorf("%s: no signature without a secret was found; the attack is not one", name)
		}
		for _, sign := range []byte{0, 0x80} {
			key = slices.Clone(key)
			key[31] |= sign
			refusedFor(t, name, wireLine("ssh-ed25519", key), "small order")
			refusedFor(t, name, wireLine("sk-ssh-ed25519@openssh.com", key, []byte("ssh:")), "small order")
		}
	}
	for low := 0xed; low <= 0xff; low++ { // y from 2^255-19 on, which stand for 0 to 18
		key := bytes.Repeat([]byte{0xff}, 32)
		key[0], key[31] = byte(low), 0x7f
		refusedFor(t, "not canonical", wireLine("ssh-ed25519", key), "not canonical")
	}
	refusedFor(t, "no point", wireLine("ssh-ed25519", append([]byte{2}, make([]byte, 31)...)), "not a point")
	for range 200 {
		public, _, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := sshkey.ParsePublic(line(t, public)); err != nil {
			t.Fatalf("a fresh key: %v", err)
		}
	}
}

// The same for RSA: moduli that anybody can factor, and exponents with which every message is its own signature.
func TestRSAKeysWithoutSecret(t *testing.T) {
	const size = 2048
	one := big.NewInt(1)
	power := func(base, exponent int64) *big.Int {
		return new(big.Int).Exp(big.NewInt(base), big.NewInt(exponent), nil)
	}
	p, q, prime := primeOf(t, size/2), primeOf(t, size/2), primeOf(t, size)
	good := new(big.Int).Mul(p, q)
	next := new(big.Int).Add(p, big.NewInt(2))
	for !next.ProbablyPrime(10) {
		next.Add(next, big.NewInt(2))
	}
	cube := new(big.Int).Exp(primeOf(t, 700), big.NewInt(3), nil)
	random := make([]byte, 32)
	rand.Read(random)
	random[0], random[31] = random[0]|0x80, random[31]|1
	sparse := new(big.Int).Add(new(big.Int).Lsh(one, size-1), primeOf(t, 400))
	for name, n := range map[string]*big.Int{
		"a power of two":          power(2, size),
		"even":                    new(big.Int).Lsh(good, 1),
		"a small factor":          new(big.Int).Mul(good, big.NewInt(65521)),
		"a prime":                 prime,
		"a square":                new(big.Int).Mul(p, p),
		"a cube":                  cube,
		"close factors":           new(big.Int).Mul(p, next),
		"ones only":               new(big.Int).Sub(power(2, size), one),
		"nothing but few ones":    sparse,
		"the same bytes repeated": new(big.Int).SetBytes(bytes.Repeat(random, size/8/len(random))),
	} {
		for _, exponent := range []int{3, 65537} {
			refusedFor(t, name, line(t, &rsa.PublicKey{N: n, E: exponent}), "not the product of two random primes")
		}
	}
	for _, exponent := range []int{1, 2, 65536} {
		refusedFor(t, fmt.Sprint("exponent ", exponent), line(t, &rsa.PublicKey{N: good, E: exponent}), "not a key of type")
	}
	for _, exponent := range []int{3, 35, 37, 65537} { // OpenSSH's and PuTTY's of old
		if _, err := sshkey.ParsePublic(line(t, &rsa.PublicKey{N: good, E: exponent})); err != nil {
			t.Errorf("exponent %d: %v", exponent, err)
		}
	}
	refusedFor(t, "ROCA", line(t, &rsa.PublicKey{N: rocaModulus(t), E: 65537}), "CVE-2017-15361")
}

// rocaModulus returns a product of two primes as Infineon's chips drew them: k·M + (65537^a mod M).
func rocaModulus(t *testing.T) *big.Int {
	t.Helper()
	m := big.NewInt(1)
	for p := int64(2); p <= 701; p++ {
		if big.NewInt(p).ProbablyPrime(10) {
			m.Mul(m, big.NewInt(p))
		}
	}
	n := big.NewInt(1)
	for range 2 {
		for {
			a, err := rand.Int(rand.Reader, m)
			if err != nil {
				t.Fatal(err)
			}
			k := primeOf(t, 1026-m.BitLen())
			p := new(big.Int).Mul(k, m)
			if p.Add(p, a.Exp(big.NewInt(65537), a, m)); p.BitLen() >= 1025 && p.ProbablyPrime(1) {
				n.Mul(n, p)
				break
			}
		}
	}
	return n
}

// No encoding of ECDSA's point at infinity is accepted.
func TestECDSAPointAtInfinity(t *testing.T) {
	for _, point := range [][]byte{{0}, {}, append([]byte{4}, make([]byte, 64)...)} {
		name := []byte("nistp256")
		refusedFor(t, "ecdsa", wireLine("ecdsa-sha2-nistp256", name, point)+" "+strings.Repeat("x", 80), "not a key of type")
		line := wireLine("sk-ecdsa-sha2-nistp256@openssh.com", name, point, []byte("ssh:"))
		refusedFor(t, "sk-ecdsa", line+" "+strings.Repeat("x", 80), "not a key of type")
	}
}

// The cost of a push is limited: checking the largest modulus is quick.
func BenchmarkParseRSA8192(b *testing.B) {
	line := rsaLine(b, 8192)
	for b.Loop() {
		if _, err := sshkey.ParsePublic(line); err != nil {
			b.Fatal(err)
		}
	}
}
