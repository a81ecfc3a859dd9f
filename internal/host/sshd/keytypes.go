package sshd

import (
	"cmp"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/internal/fault"
)

// KeyTypes returns the types of public keys that sshd accepts from users, named as at the start of a .pub file; none if
// the settings do not say. A type that signs by several algorithms, for instance ssh-rsa, is accepted if one of them
// is.
func (s Settings) KeyTypes() []string {
	var types []string
	for _, algorithm := range s.accepted() {
		switch algorithm {
		case ssh.KeyAlgoRSASHA256, ssh.KeyAlgoRSASHA512:
			algorithm = ssh.KeyAlgoRSA
		}
		if !strings.Contains(algorithm, "-cert-v") && !slices.Contains(types, algorithm) {
			types = append(types, algorithm)
		}
	}
	return types
}

// accepted returns the algorithms by which users may sign; none if the settings do not say.
func (s Settings) accepted() []string {
	list := cmp.Or(s.Get("pubkeyacceptedalgorithms"), s.Get("pubkeyacceptedkeytypes")) // the latter before OpenSSH 8.5
	return strings.FieldsFunc(list, func(r rune) bool { return r == ',' })
}

// algorithms returns the accepted algorithms by which a key of the type signs.
func (s Settings) algorithms(keyType string) []string {
	if keyType != ssh.KeyAlgoRSA {
		return []string{keyType}
	}
	modern := []string{ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256}
	if accepted := s.accepted(); len(accepted) > 0 {
		modern = slices.DeleteFunc(modern, func(name string) bool { return !slices.Contains(accepted, name) })
	}
	return modern
}

// leastRSABits is the size of the RSA keys that newKey makes unless sshd requires larger ones.
const leastRSABits = 3072

// newKey makes a key of a type that sshd accepts. The error is an Unsupported fault if this program can make no
// accepted type.
func (s Settings) newKey(random io.Reader) (ssh.Signer, error) {
	var key crypto.Signer
	var err error
	types := s.KeyTypes()
	takes := func(keyType string) bool { return len(types) == 0 || slices.Contains(types, keyType) }
	switch {
	case takes(ssh.KeyAlgoED25519):
		_, key, err = ed25519.GenerateKey(random)
	case takes(ssh.KeyAlgoECDSA256):
		key, err = ecdsa.GenerateKey(elliptic.P256(), random)
	case takes(ssh.KeyAlgoECDSA384):
		key, err = ecdsa.GenerateKey(elliptic.P384(), random)
	case takes(ssh.KeyAlgoECDSA521):
		key, err = ecdsa.GenerateKey(elliptic.P521(), random)
	case takes(ssh.KeyAlgoRSA) && len(s.algorithms(ssh.KeyAlgoRSA)) > 0:
		bits, _ := strconv.Atoi(s.Get("requiredrsasize"))
		key, err = rsa.GenerateKey(random, max(bits, leastRSABits))
	default:
		return nil, fault.New(fault.Unsupported, fault.Sshd,
			"No login can be tried: sshd accepts keys of the types %s only.", strings.Join(types, ", "))
	}
	if err != nil {
		return nil, err
	}
	signer, err := ssh.NewSignerFromSigner(key)
	if err != nil || signer.PublicKey().Type() != ssh.KeyAlgoRSA {
		return signer, err
	}
	return ssh.NewSignerWithAlgorithms(signer.(ssh.AlgorithmSigner), s.algorithms(ssh.KeyAlgoRSA))
}

// publicOnly is a key without its private half. A call of its Sign method shows that sshd would accept the key.
type publicOnly struct {
	key        ssh.PublicKey
	algorithms []string
	asked      bool
}

func (p *publicOnly) PublicKey() ssh.PublicKey { return p.key }

func (p *publicOnly) Algorithms() []string { return p.algorithms }

func (p *publicOnly) Sign(random io.Reader, data []byte) (*ssh.Signature, error) {
	return p.SignWithAlgorithm(random, data, "")
}

func (p *publicOnly) SignWithAlgorithm(io.Reader, []byte, string) (*ssh.Signature, error) {
	p.asked = true
	return nil, errors.New("sshd: the key has no private half")
}

// RefusesKey returns, as a sentence, why sshd would refuse the key, "TYPE BASE64", of any user; "" if it would not.
func (s Settings) RefusesKey(line string) string {
	key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(line))
	if err != nil {
		return "It is no public key."
	}
	types := s.KeyTypes()
	if len(types) > 0 && !slices.Contains(types, key.Type()) {
		return fmt.Sprintf("sshd takes no keys of type %s: its PubkeyAcceptedAlgorithms allow keys of type %s.",
			key.Type(), strings.Join(types, ", "))
	}
	if least, err := strconv.Atoi(s.Get("requiredrsasize")); err == nil && rsaBits(key) > 0 && rsaBits(key) < least {
		return fmt.Sprintf("sshd takes no RSA keys of fewer than %d bits, and it has %d.", least, rsaBits(key))
	}
	return ""
}

// rsaBits returns the size of an RSA key; 0 for any other key.
func rsaBits(key ssh.PublicKey) int {
	if wrapped, ok := key.(ssh.CryptoPublicKey); ok {
		if public, ok := wrapped.CryptoPublicKey().(*rsa.PublicKey); ok {
			return public.N.BitLen()
		}
	}
	return 0
}
