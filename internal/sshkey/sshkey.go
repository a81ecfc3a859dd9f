// Package sshkey reads SSH public keys as people paste them, and makes key pairs. Every key that it accepts is one
// line that holds nothing else, and sshd reads the same key from it.
package sshkey

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"strings"
	"unicode/utf8"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/internal/fault"
)

// The limits of a public key.
const (
	MaxLength = 4096 // characters, comment included; EC2 Instance Connect's own limit
	minLength = 80   // the shortest line of any type: an Ed25519 key without a comment
)

// Public is a public key that was checked. The zero Public is no key.
type Public struct {
	Type    string // "ssh-ed25519"
	Line    string // "TYPE BASE64", the canonical form, and nothing else
	Comment string // the text after the key; for people, never for sshd
}

// Fingerprint returns the fingerprint of the key. It is empty for the zero Public.
func (p Public) Fingerprint() string { return Fingerprint(p.Line) }

// Fingerprint returns the fingerprint of the key in a line "TYPE BASE64" as ssh-keygen prints it: "SHA256:" and
// unpadded base64. It is empty for a line of another form. Fingerprint does not check the key.
func Fingerprint(line string) string {
	_, text, _ := strings.Cut(line, " ")
	blob, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(blob) == 0 {
		return ""
	}
	sum := sha256.Sum256(blob)
	return "SHA256:" + base64.RawStdEncoding.EncodeToString(sum[:])
}

// dsa is the type of DSA keys, which are refused by name.
const dsa = "ssh-dss"

// supported ends every message that refuses a key for its type.
const supported = "Use ssh-ed25519 (ssh-keygen -t ed25519), ssh-rsa of 2048 bits or more, ecdsa-sha2-nistp256, " +
	"-nistp384 or -nistp521, sk-ssh-ed25519@openssh.com or sk-ecdsa-sha2-nistp256@openssh.com."

func isSupported(kind string) bool {
	switch kind {
	case ssh.KeyAlgoED25519, ssh.KeyAlgoSKED25519, ssh.KeyAlgoRSA, ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384,
		ssh.KeyAlgoECDSA521, ssh.KeyAlgoSKECDSA256:
		return true
	}
	return false
}

// ParsePublic reads one public key: a line "TYPE BASE64 [comment]", as in a .pub file, or the SSH2 form that EC2
// Instance Connect also documents. Errors are Invalid faults with Subject PublicKey. Their messages say what was
// given instead and what to do.
func ParsePublic(text string) (Public, error) {
	if n := utf8.RuneCountInString(text); n > MaxLength {
		return Public{}, invalid("The SSH public key has %d characters; at most %d are accepted. "+
			"Check that only one .pub file was given, or shorten its comment.", n, MaxLength)
	}
	line, err := oneLine(text)
	if err != nil {
		return Public{}, err
	}
	kind, blob, comment, err := fields(line)
	if err != nil {
		return Public{}, err
	}
	if err := checkType(kind, blob+" "+comment); err != nil {
		return Public{}, err
	}
	if len(line) < minLength {
		return Public{}, invalid("The SSH public key has only %d characters, and no key is shorter than %d: "+
			"a part of it is missing. Give the whole line of the .pub file.", len(line), minLength)
	}
	wire, err := base64.StdEncoding.Strict().DecodeString(blob)
	if err != nil {
		return Public{}, invalid("What follows %s in the SSH public key is not valid base64: "+
			"it was probably cut off or changed when it was copied. Give the whole line of the .pub file.", kind)
	}
	key, err := ssh.ParsePublicKey(wire)
	if err != nil || !bytes.Equal(key.Marshal(), wire) {
		return Public{}, invalid("The SSH public key's data is not a key of type %s: "+
			"it was probably cut off or changed when it was copied. Give the whole line of the .pub file.", kind)
	}
	if key.Type() != kind {
		return Public{}, invalid("The SSH public key says it is of type %s, but its data is of type %s. "+
			"Give the line of the .pub file unchanged.", kind, key.Type())
	}
	if err := checkSecret(key); err != nil {
		return Public{}, err
	}
	return Public{Type: kind, Line: kind + " " + blob, Comment: comment}, nil
}

// fields splits a line into its parts. It refuses characters that no line of a .pub file has.
func fields(line string) (kind, blob, comment string, err error) {
	for _, c := range []byte(line) {
		if c < ' ' && c != '\t' || c == 0x7f {
			return "", "", "", invalid(
				"The SSH public key has a control character (0x%02x). Give the line of the .pub file as it is.", c)
		}
	}
	cut := func(s string) (string, string) {
		i := strings.IndexAny(s, " \t")
		if i < 0 {
			return s, ""
		}
		return s[:i], strings.Trim(s[i:], " \t")
	}
	kind, rest := cut(strings.Trim(line, " \t"))
	blob, comment = cut(rest)
	return kind, blob, comment, nil
}

// checkType refuses types that are not supported. Each has its own message, since the remedies differ. rest is what
// follows the type.
func checkType(kind, rest string) error {
	switch {
	case isSupported(kind):
		return nil
	case kind == dsa:
		return invalid("DSA keys are not accepted: OpenSSH has dropped them as too weak. %s", supported)
	case strings.Contains(kind, "-cert-v0"):
		return invalid("This is an SSH certificate (%s); a plain public key is needed. "+
			"Give the .pub file without -cert in its name.", kind)
	case mentionsType(rest):
		return invalid("There is something before the key's type: %q. Options such as from= or command= are not accepted; "+
			"begin with the type, as in \"ssh-ed25519 AAAA…\".", clip(kind))
	case strings.HasPrefix(kind, "AAAA"):
		return invalid("The SSH public key lacks its type. Give the whole line of the .pub file, beginning with the type, " +
			"as in \"ssh-ed25519 AAAA…\".")
	case strings.HasPrefix(kind, "ssh-"), strings.HasPrefix(kind, "ecdsa-"), strings.HasPrefix(kind, "sk-"):
		return invalid("SSH keys of type %q are not accepted. %s", clip(kind), supported)
	}
	return invalid("This is not an SSH public key. Give the line of a .pub file, as in \"ssh-ed25519 AAAA… comment\".")
}

// mentionsType reports whether one of the words is the type of a key.
func mentionsType(text string) bool {
	for _, word := range strings.Fields(text) {
		if isSupported(word) || word == dsa {
			return true
		}
	}
	return false
}

// clip shortens text from the caller, so that a message is not mostly an echo.
func clip(s string) string {
	if len(s) > 64 {
		return s[:61] + "…"
	}
	return s
}

func invalid(format string, args ...any) error {
	return fault.New(fault.Invalid, fault.PublicKey, format, args...)
}
