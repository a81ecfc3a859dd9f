package hostproto

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/internal/fault"
)

func exampleToken() Token {
	return Token{
		Server:      "https://sallyport.example:8443",
		Fingerprint: strings.Repeat("Fa-", 14) + "E",
		ID:          "ht-0123456789abcdef0",
		Secret:      bytes.Repeat([]byte{0x5e}, 32),
	}
}

func TestTokenRoundTrip(t *testing.T) {
	want := exampleToken()
	text, err := FormatToken(want)
	if err != nil {
		t.Fatal(err)
	}
	got, err := ParseToken("  " + text + "\n")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatal(diff)
	}
	for _, shown := range []string{fmt.Sprint(got), fmt.Sprintf("%#v", got), fmt.Sprintf("%+v", got)} {
		if strings.Contains(shown, "94") || strings.Contains(shown, "5e5e") {
			t.Errorf("the secret shows in %q", shown)
		}
	}
}

func TestFormatTokenRefuses(t *testing.T) {
	for name, spoil := range map[string]func(*Token){
		"plain http":        func(t *Token) { t.Server = "http://sallyport.example" },
		"no server":         func(t *Token) { t.Server = "" },
		"a path":            func(t *Token) { t.Server += "/x" },
		"a user":            func(t *Token) { t.Server = "https://me@sallyport.example" },
		"only a port":       func(t *Token) { t.Server = "https://:8443" },
		"short fingerprint": func(t *Token) { t.Fingerprint = t.Fingerprint[1:] },
		"no id":             func(t *Token) { t.ID = "" },
		"id with a space":   func(t *Token) { t.ID = "a b" },
		"long id":           func(t *Token) { t.ID = strings.Repeat("a", 65) },
		"short secret":      func(t *Token) { t.Secret = t.Secret[:15] },
		"long secret":       func(t *Token) { t.Secret = make([]byte, 65) },
	} {
		token := exampleToken()
		spoil(&token)
		if _, err := FormatToken(token); !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestParseTokenRefuses(t *testing.T) {
	good, err := FormatToken(exampleToken())
	if err != nil {
		t.Fatal(err)
	}
	pack := func(body string) string { return tokenPrefix + base64.RawURLEncoding.EncodeToString([]byte(body)) }
	for name, text := range map[string]string{
		"empty":         "",
		"no prefix":     "hello",
		"cut short":     good[:len(good)-1],
		"padded":        good + "==",
		"other version": strings.Replace(good, "-v1.", "-v2.", 1),
		"line break":    good[:40] + "\n" + good[40:],
		"unknown field": pack(`{"s":"https://a","x":1}`),
		"two values":    pack(`{}{}`),
		"too long":      tokenPrefix + strings.Repeat("A", maxToken),
	} {
		if _, err := ParseToken(text); !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// FuzzParseToken checks that a token that is accepted has exactly one spelling.
func FuzzParseToken(f *testing.F) {
	good, err := FormatToken(exampleToken())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add(good[:30])
	f.Add("sallyport-host-token-v1.e30")
	f.Fuzz(func(t *testing.T, text string) {
		token, err := ParseToken(text)
		if err != nil {
			return
		}
		again, err := FormatToken(token)
		if err != nil || again != strings.TrimSpace(text) {
			t.Fatalf("%q was accepted and formats as %q, %v", text, again, err)
		}
	})
}
