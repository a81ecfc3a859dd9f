package hostproto

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/url"
	"strings"

	"github.com/sallyport/sallyport/internal/fault"
)

// tokenPrefix lets people and secret scanners recognize an enrollment token, and names its version.
const tokenPrefix = "sallyport-host-token-v1."

// Bounds on a token.
const (
	maxToken    = 2048 // characters of the whole text
	fingerprint = 43   // characters: a SHA-256 in unpadded base64url
	maxTokenID  = 64   // characters
	minSecret   = 16   // bytes
	maxSecret   = 64   // bytes
)

// Token permits one machine to enroll, once. It pins the control plane: the machine talks only to a server whose
// certificate chains to the authority with this fingerprint.
type Token struct {
	Server      string // base URL of the control plane: https://host:port, without path
	Fingerprint string // ca.Fingerprint of the authority: base64url SHA-256 of its SubjectPublicKeyInfo
	ID          string // 1 to 64 letters, digits, '-' and '_'
	Secret      []byte // 16 to 64 random bytes; the control plane keeps only their SHA-256
}

// tokenBody is encoded in the token's text as base64url of JSON.
type tokenBody struct {
	Server      string `json:"s"`
	Fingerprint string `json:"f"`
	ID          string `json:"i"`
	Secret      []byte `json:"k"`
}

// String returns the token without its secret, for logs.
func (t Token) String() string { return "host token " + t.ID + " of " + t.Server }

// GoString keeps the secret out of %#v too.
func (t Token) GoString() string { return t.String() }

// FormatToken returns the token as one line of text, which ParseToken parses. The text is a secret. The error is an
// Invalid fault that names the invalid field.
func FormatToken(t Token) (string, error) {
	if err := t.check(); err != nil {
		return "", err
	}
	body, err := json.Marshal(tokenBody(t))
	if err != nil {
		return "", err
	}
	text := tokenPrefix + base64.RawURLEncoding.EncodeToString(body)
	if len(text) > maxToken {
		return "", invalidToken("is longer than %d characters", maxToken)
	}
	return text, nil
}

// ParseToken parses an enrollment token and ignores white space around it. It accepts only what FormatToken writes, so
// that a token has exactly one spelling. Errors are Invalid faults and never quote the token.
func ParseToken(text string) (Token, error) {
	text = strings.TrimSpace(text)
	encoded, ok := strings.CutPrefix(text, tokenPrefix)
	switch {
	case text == "":
		return Token{}, invalidToken("is empty")
	case !ok:
		return Token{}, invalidToken("does not begin with %q", tokenPrefix)
	case len(text) > maxToken:
		return Token{}, invalidToken("is longer than %d characters", maxToken)
	}
	raw, err := base64.RawURLEncoding.DecodeString(encoded)
	if err != nil {
		return Token{}, invalidToken("is damaged")
	}
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.DisallowUnknownFields()
	var body tokenBody
	if err := decoder.Decode(&body); err != nil {
		return Token{}, invalidToken("is damaged")
	}
	if _, err := decoder.Token(); err != io.EOF {
		return Token{}, invalidToken("is damaged")
	}
	token := Token(body)
	again, err := FormatToken(token)
	if err != nil {
		return Token{}, err
	}
	if again != text {
		return Token{}, invalidToken("is damaged")
	}
	return token, nil
}

func (t Token) check() error {
	server, err := url.Parse(t.Server)
	switch {
	case err != nil || server.Scheme != "https" || server.Host == "" || server.Hostname() == "":
		return invalidToken("names no https:// server")
	case server.String() != t.Server || server.Path != "" || server.User != nil || server.RawQuery != "" ||
		server.Fragment != "":
		return invalidToken("has a server that is more than https://host:port")
	case len(t.Fingerprint) != fingerprint || strings.ContainsFunc(t.Fingerprint, notInTokenID):
		return invalidToken("has a fingerprint that is not a SHA-256")
	case t.ID == "" || len(t.ID) > maxTokenID || strings.ContainsFunc(t.ID, notInTokenID):
		return invalidToken("has an unusable id")
	case len(t.Secret) < minSecret || len(t.Secret) > maxSecret:
		return invalidToken("has a secret that is not %d to %d bytes", minSecret, maxSecret)
	}
	return nil
}

func notInTokenID(r rune) bool {
	return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '_'
}

func invalidToken(format string, args ...any) error {
	return fault.New(fault.Invalid, fault.HostToken,
		"The enrollment token "+format+". Copy it whole from `sallyport host-token`, or make another.", args...)
}
