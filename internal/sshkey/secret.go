package sshkey

import (
	"crypto/ed25519"
	"crypto/rsa"
	"math/big"
	"slices"

	"golang.org/x/crypto/ssh"
)

// checkSecret refuses a key that keeps no secret: one for which anybody who knows the public key can sign, or
// nobody can. Points of ECDSA need no check, since x/crypto accepts only those on the curve, and infinity has no
// encoding there.
func checkSecret(key ssh.PublicKey) error {
	wrapped, ok := key.(ssh.CryptoPublicKey)
	if !ok {
		return nil
	}
	switch public := wrapped.CryptoPublicKey().(type) {
	case ed25519.PublicKey:
		return checkPoint(public)
	case *rsa.PublicKey:
		return checkRSA(public)
	}
	return nil
}

// checkPoint refuses an Ed25519 key that is not the canonical encoding of a point on the curve, or is a point of
// small order. With a point of small order, at least every eighth message has a signature that needs no secret.
// RFC 8032, section 5.1.3; https://eprint.iacr.org/2020/1244 lists the points.
func checkPoint(key ed25519.PublicKey) error {
	y := littleEndian(key)
	y.SetBit(y, 255, 0) // the sign of x
	switch {
	case y.Cmp(fieldPrime()) >= 0:
		return invalid("The Ed25519 key is written in a way that is not canonical. Make a new key: ssh-keygen -t ed25519.")
	case slices.ContainsFunc(smallOrder(), func(small *big.Int) bool { return y.Cmp(small) == 0 }):
		return invalid("The Ed25519 key is a point of small order: anybody could sign for it. " +
			"Make a new key: ssh-keygen -t ed25519.")
	case !isPoint(y):
		return invalid("The Ed25519 key is not a point on the curve: nobody could sign for it. " +
			"Make a new key: ssh-keygen -t ed25519.")
	}
	return nil
}

// fieldPrime returns 2^255 - 19.
func fieldPrime() *big.Int {
	p := new(big.Int).Lsh(big.NewInt(1), 255)
	return p.Sub(p, big.NewInt(19))
}

// smallOrder returns the y of the eight points whose order divides 8: 1, -1, 0, and two of order 8.
func smallOrder() []*big.Int {
	last := new(big.Int).Sub(fieldPrime(), big.NewInt(1))
	eight, _ := new(big.Int).SetString("05fc536d880238b13933c6d305acdfd5f098eff289f4c345b027b2c28f95e826", 16)
	return []*big.Int{new(big.Int), big.NewInt(1), last, eight, new(big.Int).Sub(fieldPrime(), eight)}
}

// isPoint reports whether the curve has a point with the y: whether x² = (y² - 1) / (dy² + 1) has a root.
func isPoint(y *big.Int) bool {
	p := fieldPrime()
	d := new(big.Int).ModInverse(big.NewInt(121666), p) // d = -121665/121666
	d.Mul(d, big.NewInt(-121665))
	square := new(big.Int).Mul(y, y)
	above := new(big.Int).Sub(square, big.NewInt(1))
	below := d.Add(d.Mul(d, square), big.NewInt(1))
	ratio := above.Mul(above, below) // is a square if the quotient is
	return big.Jacobi(ratio.Mod(ratio, p), p) >= 0
}

// littleEndian reads a number whose lowest byte comes first.
func littleEndian(text []byte) *big.Int {
	text = slices.Clone(text)
	slices.Reverse(text)
	return new(big.Int).SetBytes(text)
}
