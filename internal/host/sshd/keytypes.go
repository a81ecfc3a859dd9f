package sshd

import (
	"crypto/rsa"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/crypto/ssh"
)

// KeyTypes returns the types of public keys, as they begin a .pub file, that sshd accepts from users; none if it does
// not say. A type that signs by several algorithms, as ssh-rsa, is accepted if one of them is.
func (s Settings) KeyTypes() []string {
	accepted := s.Get("pubkeyacceptedalgorithms")
	if accepted == "" {
		accepted = s.Get("pubkeyacceptedkeytypes") // before OpenSSH 8.5
	}
	var types []string
	for algorithm := range strings.SplitSeq(accepted, ",") {
		switch algorithm {
		case ssh.KeyAlgoRSASHA256, ssh.KeyAlgoRSASHA512:
			algorithm = ssh.KeyAlgoRSA
		}
		if algorithm != "" && !strings.Contains(algorithm, "-cert-v") && !slices.Contains(types, algorithm) {
			types = append(types, algorithm)
		}
	}
	return types
}

// RefusesKey returns, as a sentence, why sshd would not take the key, "TYPE BASE64", whoever's it is; "" if it would.
func (s Settings) RefusesKey(line string) string {
	key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(line))
	if err != nil {
		return "It is no public key."
	}
	types := s.KeyTypes()
	if len(types) > 0 && !slices.Contains(types, key.Type()) {
		return fmt.Sprintf("sshd takes no keys of type %s: its PubkeyAcceptedAlgorithms allow %s.",
			key.Type(), strings.Join(types, ", "))
	}
	if least, err := strconv.Atoi(s.Get("requiredrsasize")); err == nil && rsaBits(key) > 0 && rsaBits(key) < least {
		return fmt.Sprintf("sshd takes no RSA keys of fewer than %d bits, and it has %d.", least, rsaBits(key))
	}
	return ""
}

// rsaBits is the size of an RSA key; 0 for any other.
func rsaBits(key ssh.PublicKey) int {
	if wrapped, ok := key.(ssh.CryptoPublicKey); ok {
		if public, ok := wrapped.CryptoPublicKey().(*rsa.PublicKey); ok {
			return public.N.BitLen()
		}
	}
	return 0
}
