package sshkey

import (
	"bytes"
	"crypto/rsa"
	"math/big"
	"math/bits"
)

// The size of an RSA modulus, in bits: what is smaller can be factored, what is larger takes long to check.
const (
	minRSABits = 2048
	maxRSABits = 8192
)

// The checks of an RSA modulus find those that take no effort to factor. They take some milliseconds, and no key that
// ssh-keygen, PuTTY or a library of repute makes fails one.
const (
	trialBound  = 1 << 16 // no factor is below
	fermatSteps = 100     // tried on the distance of two factors
	rocaBound   = 167     // the largest prime that divides the generator's modulus for keys of every size
)

// checkRSA refuses RSA keys of a wrong size, and those whose modulus everybody can factor. x/crypto has refused even
// and tiny exponents; small odd ones (3, 35, 37) are what older programs make, and as good as others.
func checkRSA(key *rsa.PublicKey) error {
	const another = "Make a new key: ssh-keygen -t ed25519, or ssh-keygen -t rsa -b 3072."
	n := key.N
	switch size := n.BitLen(); {
	case size < minRSABits:
		return invalid("The RSA key has %d bits; at least %d are needed. %s", size, minRSABits, another)
	case size > maxRSABits:
		return invalid("The RSA key has %d bits; at most %d are accepted. Make a new key: ssh-keygen -t ed25519.", size, maxRSABits)
	case key.E < 3 || key.E%2 == 0:
		return invalid("The RSA key's exponent %d is not one of a key: anybody could sign for it. %s", key.E, another)
	case hasSmallFactor(n), isPatterned(n), n.ProbablyPrime(0), isPower(n), hasCloseFactors(n):
		return invalid("The RSA key's modulus is not the product of two random primes: anybody could sign for it. %s", another)
	case isROCA(n):
		return invalid("The RSA key was made by a faulty chip (ROCA, CVE-2017-15361), and its private half can be found from it. %s", another)
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

// remainder is n modulo p.
func remainder(n *big.Int, p uint) uint {
	words, rest := n.Bits(), uint(0)
	for i := len(words) - 1; i >= 0; i-- {
		_, rest = bits.Div(rest, uint(words[i]), p)
	}
	return rest
}

// isPatterned reports whether n is one that somebody wrote down rather than drew: a run of bytes again and again, or
// far more of one bit than of the other. Of random numbers, fewer than one in 2^50 are.
func isPatterned(n *big.Int) bool {
	text := n.Bytes()
	middle := text[1 : len(text)-1] // the first and the last byte may be set by force
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

// isPower reports whether n is a small power of a number. Its root is then found at once, though not by trial division.
func isPower(n *big.Int) bool {
	for _, k := range []int{2, 3, 5, 7} {
		if root := rootOf(n, k); new(big.Int).Exp(root, big.NewInt(int64(k)), nil).Cmp(n) == 0 {
			return true
		}
	}
	return false
}

// rootOf is the k-th root of n, rounded down, by Newton's method.
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

// hasCloseFactors reports whether Fermat's method factors n in a few steps, as if the second prime had been looked for
// just after the first (CVE-2022-26320).
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

// isROCA reports whether n is, modulo every small prime, a power of 65537, as only moduli from Infineon's faulty
// generator are. Of others, one in 2^27 is at most. https://crocs.fi.muni.cz/public/papers/rsa_ccs17
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
