package sshkey

import (
	"bytes"
	"crypto/rsa"
	"math/big"
	"math/bits"
)

// The accepted sizes of an RSA modulus, in bits. A smaller one can be factored; a larger one takes long to check.
const (
	minRSABits = 2048
	maxRSABits = 8192
)

// The limits of the checks for moduli that take no effort to factor. The checks take some milliseconds. No key that
// ssh-keygen, PuTTY or a reputable library makes fails one.
const (
	trialBound  = 1 << 16 // a modulus has no smaller factor
	fermatSteps = 100     // of Fermat's method
	rocaBound   = 167     // the largest prime that divides the generator's modulus for keys of every size
)

// checkRSA refuses RSA keys of a wrong size, and those with a modulus that anybody can factor. x/crypto has
// refused even and tiny exponents already. Small odd exponents (3, 35, 37) come from older programs and are as
// good as others.
func checkRSA(key *rsa.PublicKey) error {
	const another = "Make a new key: ssh-keygen -t ed25519, or ssh-keygen -t rsa -b 3072."
	n := key.N
	switch size := n.BitLen(); {
	case size < minRSABits:
		return invalid("The RSA key has %d bits; at least %d are needed. %s", size, minRSABits, another)
	case size > maxRSABits:
		return invalid("The RSA key has %d bits; at most %d are accepted. Make a new key: ssh-keygen -t ed25519.",
			size, maxRSABits)
	case key.E < 3 || key.E%2 == 0:
		return invalid("The RSA key's exponent %d is not one of a key: anybody could sign for it. %s", key.E, another)
	case hasSmallFactor(n), isPatterned(n), n.ProbablyPrime(0), isPower(n), hasCloseFactors(n):
		return invalid("The RSA key's modulus is not the product of two random primes: anybody could sign for it. %s",
			another)
	case isROCA(n):
		return invalid("The RSA key was made by a faulty chip (ROCA, CVE-2017-15361), "+
			"and its private half can be found from it. %s", another)
	}
	return nil
}

// hasSmallFactor reports whether a prime below trialBound divides n.
func hasSmallFactor(n *big.Int) bool {
	composite := make([]bool, trialBound)
	for p := 2; p < trialBound; p++ {
		if composite[p] {
			continue
		}
		if remainder(n, uint(p)) == 0 {
			return true
		}
		for multiple := p * p; multiple < trialBound; multiple += p {
			composite[multiple] = true
		}
	}
	return false
}

// remainder returns n modulo p.
func remainder(n *big.Int, p uint) uint {
	words, rest := n.Bits(), uint(0)
	for i := len(words) - 1; i >= 0; i-- {
		_, rest = bits.Div(rest, uint(words[i]), p)
	}
	return rest
}

// isPatterned reports whether n looks written rather than drawn at random: a run of bytes repeats, or there are far
// more bits of one value than of the other. Fewer than one random number in 2^50 looks so.
func isPatterned(n *big.Int) bool {
	text := n.Bytes()
	middle := text[1 : len(text)-1] // the first and last bytes may be forced
	for period := 1; period <= len(middle)/2; period++ {
		if bytes.Equal(middle[period:], middle[:len(middle)-period]) {
			return true
		}
	}
	ones := 0
	for _, b := range text {
		ones += bits.OnesCount8(b)
	}
	excess := 2*ones - 8*len(text) // its variance is the number of bits
	return excess*excess > 72*8*len(text)
}

// isPower reports whether n is a small power of a number. The root of such a number is found at once, though not by
// trial division.
func isPower(n *big.Int) bool {
	for _, k := range []int{2, 3, 5, 7} {
		if root := rootOf(n, k); new(big.Int).Exp(root, big.NewInt(int64(k)), nil).Cmp(n) == 0 {
			return true
		}
	}
	return false
}

// rootOf returns the k-th root of n, rounded down. It uses Newton's method.
func rootOf(n *big.Int, k int) *big.Int {
	root := new(big.Int).Lsh(big.NewInt(1), uint(n.BitLen()/k+1)) // above it
	power, exponent := big.NewInt(int64(k-1)), big.NewInt(int64(k))
	for {
		next := new(big.Int).Exp(root, power, nil)
		next.Quo(n, next)
		next.Add(next, new(big.Int).Mul(root, power))
		next.Quo(next, exponent)
		if next.Cmp(root) >= 0 {
			return root
		}
		root = next
	}
}

// hasCloseFactors reports whether Fermat's method factors n in a few steps, as it does if the second prime was
// searched from just after the first (CVE-2022-26320).
func hasCloseFactors(n *big.Int) bool {
	a := new(big.Int).Sqrt(n)
	for range fermatSteps {
		a.Add(a, big.NewInt(1))
		rest := new(big.Int).Mul(a, a)
		rest.Sub(rest, n)
		root := new(big.Int).Sqrt(rest)
		if root.Mul(root, root).Cmp(rest) == 0 {
			return true
		}
	}
	return false
}

// isROCA reports whether n is a power of 65537 modulo every small prime, as moduli from Infineon's faulty generator
// are. At most one other modulus in 2^27 is.
// https://crocs.fi.muni.cz/public/papers/rsa_ccs17
func isROCA(n *big.Int) bool {
	for p := uint(3); p <= rocaBound; p += 2 {
		if new(big.Int).SetUint64(uint64(p)).ProbablyPrime(0) && !isPowerOf65537(remainder(n, p), p) {
			return false
		}
	}
	return true
}

func isPowerOf65537(value, p uint) bool {
	for power := uint(1); ; {
		if power == value {
			return true
		}
		if power = power * 65537 % p; power == 1 {
			return false
		}
	}
}
