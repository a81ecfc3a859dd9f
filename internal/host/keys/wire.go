package keys

import (
	"bufio"
	"bytes"
	"errors"
	"strconv"
	"strings"
	"time"
)

// Question asks which keys let the user in now, or whether the one with the fingerprint does.
type Question struct {
	User        string // sshd's %u
	Fingerprint string // sshd's %f: "SHA256:…"; empty for all keys
}

// Key is a public key that lets its user in.
type Key struct {
	Ends time.Duration // the machine's uptime at which it ends, whatever its clock is set to
	Line string        // "TYPE BASE64", as in authorized_keys(5)
}

// About is the first part of the helper's question. The agent's socket answers other questions, too.
const About = "keys\x00"

// text returns the question as it is sent. Each part ends in a zero byte, which no argument of a process contains.
func (q Question) text() []byte { return []byte(About + q.User + "\x00" + q.Fingerprint + "\x00") }

// ReadQuestion reads the question after About.
func ReadQuestion(r *bufio.Reader) (Question, error) {
	user, err := r.ReadString(0)
	if err != nil {
		return Question{}, err
	}
	fingerprint, err := r.ReadString(0)
	return Question{User: strings.TrimSuffix(user, "\x00"), Fingerprint: strings.TrimSuffix(fingerprint, "\x00")}, err
}

// AppendAnswer appends the keys as they are sent: one line for each, and an empty line, without which the answer is
// incomplete.
func AppendAnswer(to []byte, keys []Key) []byte {
	for _, key := range keys {
		to = strconv.AppendInt(to, int64(key.Ends), 10)
		to = append(append(append(to, ' '), key.Line...), '\n')
	}
	return append(to, '\n')
}

// isWhole reports whether the text ends with the empty line that ends an answer.
func isWhole(text []byte) bool { return string(text) == "\n" || bytes.HasSuffix(text, []byte("\n\n")) }

// parseAnswer parses what AppendAnswer made.
func parseAnswer(text string) ([]Key, error) {
	if !isWhole([]byte(text)) {
		return nil, errors.New("the agent's answer is cut off")
	}
	var keys []Key
	for line := range strings.Lines(text[:len(text)-1]) {
		ends, key, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		uptime, err := strconv.ParseInt(ends, 10, 64)
		if err != nil || !isKey(key) {
			return nil, errors.New("the agent answers in another way than this helper reads")
		}
		keys = append(keys, Key{Ends: time.Duration(uptime), Line: key})
	}
	return keys, nil
}

// isKey reports whether the text consists of a type and a key in base64: no options, no comment.
func isKey(text string) bool {
	kind, key, _ := strings.Cut(text, " ")
	return kind != "" && key != "" && !strings.ContainsFunc(kind+key, func(r rune) bool {
		return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("+/=@.-", r))
	})
}
