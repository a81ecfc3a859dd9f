package sshd

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
)

// documentationAddress stands for an address elsewhere (RFC 5737).
const documentationAddress = "192.0.2.1"

// Untriable returns, as a sentence, why a login of the account cannot be tried from this machine by a key alone
// although sshd may let the account in, and an address from which it may. why is "" if there is no such reason. The
// settings must be those of the user.
func (s Settings) Untriable(a Account) (address, why string) {
	if s.Refusal(a) != "" {
		return "", ""
	}
	if methods := s.Get("authenticationmethods"); methods != "" && methods != "any" {
		return documentationAddress, fmt.Sprintf("sshd asks for more than a key: AuthenticationMethods is %s.", methods)
	}
	for _, pattern := range s["allowusers"] {
		name, addresses, _ := strings.Cut(pattern, "@")
		if addresses != "" && matchPattern(a.Name, name) {
			return addressWithin(addresses),
				fmt.Sprintf("sshd lets the user in from other addresses only: AllowUsers has %s.", pattern)
		}
	}
	for _, pattern := range s["denyusers"] {
		name, addresses, _ := strings.Cut(pattern, "@")
		if addresses != "" && matchPattern(a.Name, name) {
			return documentationAddress, fmt.Sprintf("sshd keeps the user out from some addresses: DenyUsers has %s.", pattern)
		}
	}
	return "", ""
}

// addressWithin returns an address that matches a pattern of AllowUsers: an address, a prefix, or an address with
// wildcards.
func addressWithin(pattern string) string {
	pattern = strings.TrimPrefix(pattern, "!")
	if prefix, err := netip.ParsePrefix(pattern); err == nil {
		if next := prefix.Masked().Addr().Next(); prefix.Contains(next) {
			return next.String()
		}
		return prefix.Addr().String()
	}
	text := strings.NewReplacer("*", "1", "?", "1").Replace(pattern)
	for strings.Count(text, ".") < 3 && !strings.Contains(text, ":") {
		text += ".1"
	}
	if address, err := netip.ParseAddr(text); err == nil {
		return address.String()
	}
	return documentationAddress // a host name
}

// Principals returns the principals of which a certificate needs one to let the user in: those that the
// AuthorizedPrincipalsFile holds and the AuthorizedPrincipalsCommand prints, or else the user's name. The settings must
// be those of the user. Principals that cannot be found out are left out.
func (s Settings) Principals(ctx context.Context, login string) []string {
	found := []string{login}
	add := func(text []byte) {
		for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
			// Options may precede the principal, and a comment line begins with "#".
			words := splitWords(lines.Text())
			if len(words) > 0 {
				found = append(found, words[len(words)-1])
			}
		}
	}
	if file := s.Get("authorizedprincipalsfile"); file != "" {
		words, err := KeysCommand{Command: "/ " + file}.expand(login)
		home, homeErr := KeysCommand{Command: "/ %h"}.expand(login)
		if err == nil && homeErr == nil {
			path := words[1]
			if !filepath.IsAbs(path) {
				path = filepath.Join(home[1], path)
			}
			text, _ := os.ReadFile(path)
			add(text)
		}
	}
	if command := s.PrincipalsCommand(); command.Command != "" {
		text, _ := command.Answer(ctx, login)
		add(text)
	}
	return found
}
