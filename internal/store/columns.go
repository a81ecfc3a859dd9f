package store

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/sallyport/sallyport/internal/clock"
	"github.com/sallyport/sallyport/internal/policy"
)

// micros is how a time is stored: microseconds since 1970 UTC, 0 for the zero time.
func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

// timeOf is the inverse of micros.
func timeOf(micros int64) time.Time {
	if micros == 0 {
		return time.Time{}
	}
	return time.UnixMicro(micros).UTC()
}

// readingOf is the inverse of micros of the time, the boot, and the uptime's microseconds.
func readingOf(at int64, boot string, uptime int64) clock.Reading {
	return clock.Reading{Time: timeOf(at), Boot: boot, Uptime: time.Duration(uptime) * time.Microsecond}
}

// blob is how bytes are stored: none as NULL.
func blob(b []byte) []byte {
	if len(b) == 0 {
		return nil
	}
	return b
}

// fold is the form in which names are compared.
func fold(name string) string { return policy.Fold(name) }

// cleanText makes text that somebody unknown has sent fit for a TEXT column: PostgreSQL takes neither a zero
// byte nor broken UTF-8.
func cleanText(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}

// encode is how a structure is stored: as JSON text.
func encode(v any) (string, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return "", fmt.Errorf("encode %T for the database: %w", v, err)
	}
	return string(text), nil
}

// encodeTags stores no tags as an empty object.
func encodeTags(tags map[string]string) (string, error) {
	if len(tags) == 0 {
		return "{}", nil
	}
	return encode(tags)
}

// decode is the inverse of encode.
func decode[T any](text []byte) (T, error) {
	var v T
	if err := json.Unmarshal(text, &v); err != nil {
		return v, fmt.Errorf("decode %T from the database: %w", v, err)
	}
	return v, nil
}

// decodeTags is the inverse of encodeTags; no tags are nil.
func decodeTags(text string) (map[string]string, error) {
	if text == "{}" {
		return nil, nil
	}
	return decode[map[string]string]([]byte(text))
}
