package awsapi

import (
	"encoding/base64"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/sallyport/sallyport/internal/fault"
	"github.com/sallyport/sallyport/internal/sshkey"
)

// hidden stands where a secret was or could be, in AWS's own words.
const hidden = "HIDDEN_DUE_TO_SECURITY_REASONS"

// People paste a secret into the wrong field. What a request says is therefore looked at before it is recorded or
// logged: redact hides what no call may show, and redactRefused what one that was refused as malformed could show.

// redact hides, in the parameters of any call, public keys that are none, and whatever holds a private key. It changes
// them in place, and returns what it hid.
func redact(parameters map[string]any) (removed []string) {
	rewrite(parameters, "", func(name, text string) string {
		shown := text
		switch {
		case isKeyField(name):
			shown = shownKey(text)
		case holdsPrivateKey(text):
			shown = hidden
		}
		if shown == hidden {
			removed = append(removed, text)
		}
		return shown
	})
	return removed
}

func isKeyField(name string) bool { return strings.HasSuffix(name, "ublicKey") }

// recordable is a refusal's message for the trail and the log. It hides, in the parameters too, what the refused call
// should not have held.
func (x *exchange) recordable(kind fault.Kind, message string) string {
	for _, text := range x.removed {
		message = without(message, text)
	}
	if kind == fault.Invalid {
		message = redactRefused(x.call.Parameters, message)
	}
	return message
}

// shownKey is what the trail shows of a text that should be a public key: itself, without a comment that could be more
// than one, if it is.
func shownKey(text string) string {
	key, err := sshkey.ParsePublic(text)
	switch {
	case err != nil:
		return hidden
	case !isPlain(strings.ReplaceAll(key.Comment, " ", "")):
		return key.Line
	}
	return text
}

// redactRefused hides in the parameters of a call that was refused as malformed, in place, every text that its refusal
// repeats and every one that is no plain name; and returns the message without what was hidden. Which field was refused
// is not known here: all are judged alike.
func redactRefused(parameters map[string]any, message string) string {
	rewrite(parameters, "", func(name, text string) string {
		if text == hidden || isKeyField(name) { // judged by redact
			return text
		}
		repeated := len(text) > 2 && strings.Contains(message, text)
		if !repeated && isPlain(text) {
			return text
		}
		message = without(message, text)
		return hidden
	})
	return redactText(message)
}

// without returns the message with its repetitions of the text hidden; all of it is if it repeats a part.
func without(message, text string) string {
	message = strings.ReplaceAll(message, text, hidden)
	text = keyType.ReplaceAllString(text, "") // which refusals name of themselves
	if first, _, several := strings.Cut(text, " "); several && first != "" {
		message = strings.ReplaceAll(message, strconv.Quote(first), hidden)
	}
	const part = 8
	parts := map[string]bool{}
	for i := 0; i+part <= len(message); i++ {
		parts[message[i:i+part]] = true
	}
	for i := 0; i+part <= len(text); i++ {
		if parts[text[i:i+part]] && !strings.Contains(hidden, text[i:i+part]) {
			return hidden
		}
	}
	return message
}

// keyType is the type at the beginning of a public key.
var keyType = regexp.MustCompile(`^\s*(ssh|ecdsa|sk)-[a-z0-9@.-]{1,60}\s`)

// redactText hides what looks like a secret in a text for the trail or the log, as names of operations, parameters and
// headers are repeated there too.
func redactText(text string) string {
	return words.ReplaceAllStringFunc(text, func(word string) string {
		if isRandom(word) {
			return hidden
		}
		return word
	})
}

// words are runs of what base64, and keys and tokens in general, are written with.
var words = regexp.MustCompile(`[A-Za-z0-9+/=_-]{20,}`)

// isPlain reports whether a text is a name, id, ARN, number or the like, and looks like no password, key or token.
func isPlain(text string) bool {
	if len(text) > 256 || strings.ContainsFunc(text, func(r rune) bool { return r > unicode.MaxASCII || !strings.ContainsRune(plain, r) }) {
		return false
	}
	return !slices.ContainsFunc(words.FindAllString(text, -1), isRandom)
}

// isRandom reports whether a word is more like something drawn than like something named: letters of both cases and
// digits, or many letters and digits.
func isRandom(word string) bool {
	digits := len(word) - len(strings.Map(notDigit, word))
	lower, upper := strings.ContainsFunc(word, unicode.IsLower), strings.ContainsFunc(word, unicode.IsUpper)
	if len(word) >= 32 {
		return digits >= 1 && (lower || upper)
	}
	return digits >= 2 && lower && upper
}

func notDigit(r rune) rune {
	if unicode.IsDigit(r) {
		return -1
	}
	return r
}

const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.:/@+=,*"

// holdsPrivateKey reports whether a text has a private key in it, with or without its first and last line.
func holdsPrivateKey(text string) bool {
	if strings.Contains(text, "PRIVATE KEY") || strings.Contains(text, "PuTTY-User-Key-File") {
		return true
	}
	joined := strings.Map(func(r rune) rune { // base64 may be wrapped
		if unicode.IsSpace(r) {
			return -1
		}
		return r
	}, text)
	for _, word := range words.FindAllString(joined, -1) {
		if beginsPrivateKey(word) {
			return true
		}
	}
	return false
}

// beginsPrivateKey reports whether base64 begins as OpenSSH's format does, or as the DER of PKCS #1, PKCS #8 and SEC 1: a
// sequence that begins with the version 0 or 1.
func beginsPrivateKey(word string) bool {
	if strings.Contains(word, "b3BlbnNzaC1rZXktdjE") { // openssh-key-v1
		return true
	}
	start, err := base64.StdEncoding.DecodeString(word[:min(len(word), 64)/4*4])
	if err != nil || len(start) < 8 || start[0] != 0x30 {
		return false
	}
	content := start[2:] // after tag and length, which may take more bytes
	if start[1] > 0x80 && int(start[1]-0x80) < len(content)-3 {
		content = content[start[1]-0x80:]
	}
	return content[0] == 2 && content[1] == 1 && content[2] <= 1
}

// rewrite replaces every text beneath the value, of which name is the nearest name, in place.
func rewrite(value any, name string, as func(name, text string) string) any {
	switch value := value.(type) {
	case string:
		return as(name, value)
	case map[string]any:
		for name, inner := range value {
			value[name] = rewrite(inner, name, as)
		}
	case []any:
		for i, inner := range value {
			value[i] = rewrite(inner, name, as)
		}
	}
	return value
}
