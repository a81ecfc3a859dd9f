package gate

import (
	"crypto/subtle"
	"log/slog"
)

// Secret is a secret key or token. It prints as "[secret]"; only Reveal returns it.
type Secret string

// String implements fmt.Stringer.
func (Secret) String() string { return "[secret]" }

// GoString implements fmt.GoStringer.
func (Secret) GoString() string { return "[secret]" }

// LogValue implements slog.LogValuer.
func (Secret) LogValue() slog.Value { return slog.StringValue("[secret]") }

// MarshalText implements encoding.TextMarshaler.
func (Secret) MarshalText() ([]byte, error) { return []byte("[secret]"), nil }

// Reveal returns the secret itself.
func (s Secret) Reveal() string { return string(s) }

func equalSecrets(given string, want Secret) bool {
	return subtle.ConstantTimeCompare([]byte(given), []byte(want.Reveal())) == 1
}
