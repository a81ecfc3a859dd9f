// Package uuid makes the ids of requests and events.
//
// The ids are of version 7, which begins with the time. Rows written one after the other are therefore neighbours in
// every index, while random ids would each touch another page of the database.
package uuid

import (
	"encoding/hex"
	"fmt"
	"io"
	"time"
)

// New returns a UUID of version 7 (RFC 9562, section 5.7): the milliseconds since 1970, then 74 random bits. It
// panics if random fails, as crypto/rand does.
func New(at time.Time, random io.Reader) string {
	var b [16]byte
	if _, err := io.ReadFull(random, b[6:]); err != nil {
		panic(fmt.Sprintf("uuid: no randomness: %v", err))
	}
	for i, ms := 5, at.UnixMilli(); i >= 0; i, ms = i-1, ms>>8 {
		b[i] = byte(ms)
	}
	b[6] = b[6]&0x0f | 0x70
	b[8] = b[8]&0x3f | 0x80
	text := hex.EncodeToString(b[:])
	return text[:8] + "-" + text[8:12] + "-" + text[12:16] + "-" + text[16:20] + "-" + text[20:]
}
