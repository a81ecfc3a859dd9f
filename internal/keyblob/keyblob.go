// Package keyblob builds, signs and verifies the text that tells a host about a grant.
//
// The text is the one that EC2 Instance Connect serves to instances, with one more line. Comments give the expiry,
// the instance, the caller, the request and the OS user; then comes the key. The control plane signs the text. A host
// verifies it against the one root certificate that it pinned at enrollment. So a host can replay a grant until it
// expires, but it cannot make one.
//
// The package does no I/O and has no clock.
package keyblob

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Lifetime is how long a grant admits a key.
const Lifetime = 60 * time.Second

// Slack is how much longer than Lifetime a grant may seem to live. A verifier knows the signer's clock only from the
// signer's last message.
const Slack = 5 * time.Second

// Blob is a signed grant.
type Blob struct {
	Text      string `json:"text"`      // what is signed
	Signature []byte `json:"signature"` // over Text
	Signer    []byte `json:"signer"`    // DER of the signer's certificate
}

// Statement is what a blob says: PublicKey may log in as OSUser on the instance until Expires, because Caller asked
// for it in the request RequestID.
type Statement struct {
	Expires    time.Time // in whole seconds; Sign rounds down, so that a key never lives longer than asked
	InstanceID string
	Caller     string // ARN
	RequestID  string
	OSUser     string
	PublicKey  string // "TYPE BASE64", as sshkey.Public.Line has it
}

// format is the layout of a text: the names of the comment lines before the key, in order. The kind of the signer's
// key determines it (see formatOf), and nothing in the text can.
type format []string

// The names of the comment lines.
const (
	lineTimestamp = "Timestamp"
	lineInstance  = "Instance"
	lineCaller    = "Caller"
	lineRequest   = "Request"
	lineUser      = "User"
)

// boundToUser returns the format of Ed25519 signers: AWS's lines, and one that binds the blob to its OS user. AWS's
// own format, signed with RSA-PSS, has no such line, because the path that serves it names the user.
func boundToUser() format {
	return format{lineTimestamp, lineInstance, lineCaller, lineRequest, lineUser}
}

// render writes the statement as text. The error says which field cannot be written.
func (f format) render(s Statement) (string, error) {
	if s.Expires.Unix() <= 0 {
		return "", errors.New("keyblob: the statement has no expiry")
	}
	var text strings.Builder
	for _, name := range f {
		value := s.value(name)
		if !plain(value) {
			return "", fmt.Errorf("keyblob: the %s %q is empty or has characters that are not printable, or spaces", name, value)
		}
		text.WriteString("#" + name + "=" + value + "\n")
	}
	if !isKeyLine(s.PublicKey) {
		return "", errors.New("keyblob: the public key is not of the form TYPE BASE64")
	}
	text.WriteString(s.PublicKey + "\n")
	return text.String(), nil
}

// parse reads a text of exactly this format. It accepts only texts that render writes, byte for byte.
func (f format) parse(text string) (Statement, error) {
	var s Statement
	rest := text
	for _, name := range f {
		line, after, found := strings.Cut(rest, "\n")
		value, named := strings.CutPrefix(line, "#"+name+"=")
		if !found || !named {
			return Statement{}, fmt.Errorf("keyblob: the text lacks the line #%s where it belongs", name)
		}
		if err := s.setValue(name, value); err != nil {
			return Statement{}, err
		}
		rest = after
	}
	s.PublicKey = strings.TrimSuffix(rest, "\n")
	again, err := f.render(s)
	if err != nil {
		return Statement{}, err
	}
	if again != text {
		return Statement{}, errors.New("keyblob: the text is not in its canonical form")
	}
	return s, nil
}

func (s Statement) value(name string) string {
	switch name {
	case lineTimestamp:
		return strconv.FormatInt(s.Expires.Unix(), 10)
	case lineInstance:
		return s.InstanceID
	case lineCaller:
		return s.Caller
	case lineRequest:
		return s.RequestID
	case lineUser:
		return s.OSUser
	}
	return ""
}

func (s *Statement) setValue(name, value string) error {
	switch name {
	case lineTimestamp:
		seconds, err := strconv.ParseInt(value, 10, 64)
		if err != nil {
			return fmt.Errorf("keyblob: the timestamp %q is not a number of seconds", value)
		}
		s.Expires = time.Unix(seconds, 0).UTC()
	case lineInstance:
		s.InstanceID = value
	case lineCaller:
		s.Caller = value
	case lineRequest:
		s.RequestID = value
	case lineUser:
		s.OSUser = value
	}
	return nil
}

// plain reports whether the value is printable text of any script, is not empty and has no spaces. Such a value can
// neither end its line nor look like two fields.
func plain(value string) bool {
	unfit := func(r rune) bool { return r == ' ' || r == utf8.RuneError || !unicode.IsPrint(r) }
	return value != "" && !strings.ContainsFunc(value, unfit)
}

// isKeyLine reports whether the line is a key type and base64. sshd can read nothing in such a line as an option, a
// comment or a second line.
func isKeyLine(line string) bool {
	kind, blob, found := strings.Cut(line, " ")
	return found && only(kind, "-@.") && only(blob, "+/=")
}

func only(s, punctuation string) bool {
	for _, c := range []byte(s) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case strings.IndexByte(punctuation, c) >= 0:
		default:
			return false
		}
	}
	return s != ""
}
