package awsapi

import (
	"encoding/base64"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/sallyport/sallyport/internal/awswire"
	"github.com/sallyport/sallyport/internal/fault"
	"github.com/sallyport/sallyport/internal/sshkey"
)

// People paste secrets into the wrong fields, so requests are redacted before they are recorded or logged. redact
// hides what no call may show. redactRefused hides what a call that was refused as malformed could show.

// redact hides, in the parameters of any call, public keys that are not valid and everything that holds a private
// key. It changes the parameters in place and returns the texts that it hid.
func redact(parameters map[string]any) (removed []string) {
	rewrite(parameters, "", func(name, text string) string {
		shown := text
		switch {
		case isKeyField(name):
			shown = shownKey(text)
		case holdsPrivateKey(text):
			shown = awswire.Hidden
		}
		if shown == awswire.Hidden {
			removed = append(removed, text)
		}
		return shown
	})
	return removed
}

func isKeyField(name string) bool { return strings.HasSuffix(name, "ublicKey") }

// recordable returns the message of a refusal for the trail and the log. It hides, in the message and in the
// parameters, what the refused call should not have held.
func (x *exchange) recordable(kind fault.Kind, message string) string {
	for _, text := range x.removed {
		message = without(message, text)
	}
	if kind == fault.Invalid {
		message = redactRefused(x.call.Parameters, message)
	}
	return message
}

// shownKey returns what the trail shows of a text that should be a public key. A valid key is shown, without its
// comment if that could be a secret. Anything else is hidden.
func shownKey(text string) string {
	key, err := sshkey.ParsePublic(text)
	switch {
	case err != nil:
		return awswire.Hidden
	case !isPlain(strings.ReplaceAll(key.Comment, " ", "")):
		return key.Line
	}
	return text
}

// redactRefused redacts a call that was refused as malformed. In the parameters it hides, in place, every text that
// the message repeats and every text that is not a plain name. It returns the message without the hidden texts. It
// does not know which field was refused, so it treats all fields alike.
func redactRefused(parameters map[string]any, message string) string {
	rewrite(parameters, "", func(name, text string) string {
		if text == awswire.Hidden || isKeyField(name) { // judged by redact
			return text
		}
		repeated := len(text) > 2 && strings.Contains(message, text)
		if !repeated && isPlain(text) {
			return text
		}
		message = without(message, text)
		return awswire.Hidden
	})
	return redactText(message)
}

// without returns the message with the text hidden. If a part of the text is left, it hides the whole message.
func without(message, text string) string {
	message = strings.ReplaceAll(message, text, awswire.Hidden)
	text = keyType.ReplaceAllString(text, "") // refusals may name the type
	if first, _, several := strings.Cut(text, " "); several && first != "" {
		message = strings.ReplaceAll(message, strconv.Quote(first), awswire.Hidden)
	}
	const part = 8
	parts := map[string]bool{}
	for i := 0; i+part <= len(message); i++ {
		parts[message[i:i+part]] = true
	}
	for i := 0; i+part <= len(text); i++ {
		if parts[text[i:i+part]] && !strings.Contains(awswire.Hidden, text[i:i+part]) {
			return awswire.Hidden
		}
	}
	return message
}

// keyType matches the type at the beginning of a public key.
var keyType = regexp.MustCompile(`^\s*(ssh|ecdsa|sk)-[a-z0-9@.-]{1,60}\s`)

// redactText hides what looks like a secret in a text for the trail or the log. Such a text can repeat names of
// operations, parameters and headers from the request.
func redactText(text string) string {
	return words.ReplaceAllStringFunc(text, func(word string) string {
		if isRandom(word) {
			return awswire.Hidden
		}
		return word
	})
}

// words matches runs of the characters that base64, keys and tokens are written in.
var words = regexp.MustCompile(`[A-Za-z0-9+/=_-]{20,}`)

// isPlain reports whether a text looks like a name, an id, an ARN or a number, and not like a password, a
// key or a token.
func isPlain(text string) bool {
	odd := func(r rune) bool { return r > unicode.MaxASCII || !strings.ContainsRune(plain, r) }
	if len(text) > 256 || strings.ContainsFunc(text, odd) {
		return false
	}
	return !slices.ContainsFunc(words.FindAllString(text, -1), isRandom)
}

// isRandom reports whether a word looks random rather than chosen: it has digits and letters of both cases, or it is
// long and has digits and letters.
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

// holdsPrivateKey reports whether a text contains a private key, with or without its first and last lines.
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

// beginsPrivateKey reports whether base64 begins like OpenSSH's format, or like the DER of PKCS #1, PKCS #8 or SEC 1:
// a sequence whose first element is the version 0 or 1.
func beginsPrivateKey(word string) bool {
	if strings.Contains(word, "b3BlbnNzaC1rZXktdjE") { // openssh-key-v1
		return true
	}
	start, err := base64.StdEncoding.DecodeString(word[:min(len(word), 64)/4*4])
	if err != nil || len(start) < 8 || start[0] != 0x30 {
		return false
	}
	content := start[2:] // after the tag and the length, which may take more bytes
	if start[1] > 0x80 && int(start[1]-0x80) < len(content)-3 {
		content = content[start[1]-0x80:]
	}
	return content[0] == 2 && content[1] == 1 && content[2] <= 1
}

// rewrite replaces, in place, every text in the value with what as returns. name is the nearest name above the value.
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
