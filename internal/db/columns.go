package db

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/sallyport/sallyport/internal/clock"
)

// Micros returns a time as it is stored: microseconds since 1970 UTC, 0 for the zero time.
func Micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

// Time is the inverse of Micros.
func Time(micros int64) time.Time {
	if micros == 0 {
		return time.Time{}
	}
	return time.UnixMicro(micros).UTC()
}

// Reading returns a reading of a machine's clocks from its three columns: Micros of the time, the boot, and the uptime
// in microseconds.
func Reading(at int64, boot string, uptime int64) clock.Reading {
	return clock.Reading{Time: Time(at), Boot: boot, Uptime: time.Duration(uptime) * time.Microsecond}
}

// Blob returns bytes as they are stored: no bytes as NULL, since SQLite's driver cannot tell an empty blob from NULL.
func Blob(b []byte) []byte {
	if len(b) == 0 {
		return nil
	}
	return b
}

// Text makes any text valid for a TEXT column: PostgreSQL accepts neither zero bytes nor invalid UTF-8.
func Text(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}

// Encode returns a value as it is stored: as JSON text.
func Encode(v any) (string, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return "", fmt.Errorf("encode %T for the database: %w", v, err)
	}
	return string(text), nil
}

// Decode is the inverse of Encode.
func Decode[T any](text []byte) (T, error) {
	var v T
	if err := json.Unmarshal(text, &v); err != nil {
		return v, fmt.Errorf("decode %T from the database: %w", v, err)
	}
	return v, nil
}
