package sshd

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// Settings is the output of sshd -T: lower-case keywords, each with its values in order.
type Settings map[string][]string

func parseSettings(text string) Settings {
	settings := Settings{}
	for line := range strings.Lines(text) {
		keyword, value, _ := strings.Cut(strings.TrimRight(line, "\r\n"), " ")
		if keyword != "" {
			settings[keyword] = append(settings[keyword], value)
		}
	}
	return settings
}

// Get returns the first value of a keyword; "" if there is none or it is sshd's "none".
func (s Settings) Get(keyword string) string {
	values := s[strings.ToLower(keyword)]
	if len(values) == 0 || strings.EqualFold(values[0], "none") {
		return ""
	}
	return values[0]
}

// Equal reports whether both hold the same values.
func (s Settings) Equal(other Settings) bool { return s.Difference(other) == "" }

// Difference returns a keyword whose values differ, ignoring those in passedOver; "" if there is none.
func (s Settings) Difference(other Settings, passedOver ...string) string {
	for keyword, values := range s {
		if slices.Contains(passedOver, keyword) {
			continue
		}
		if strings.Join(values, "\n") != strings.Join(other[keyword], "\n") {
			return keyword
		}
	}
	for keyword := range other {
		if _, ok := s[keyword]; !ok && !slices.Contains(passedOver, keyword) {
			return keyword
		}
	}
	return ""
}

// Listens returns an address of this machine at which the server should answer, or an invalid one.
func (s Settings) Listens() netip.AddrPort {
	for _, value := range s["listenaddress"] {
		if address, err := netip.ParseAddrPort(value); err == nil {
			return reachable(address)
		}
	}
	if port, err := strconv.ParseUint(s.Get("port"), 10, 16); err == nil {
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), uint16(port))
	}
	return netip.AddrPort{}
}

// Addresses returns the addresses that the server is bound to; none if it listens on all of the machine's.
func (s Settings) Addresses() []netip.Addr {
	var found []netip.Addr
	for _, value := range s["listenaddress"] {
		address, err := netip.ParseAddrPort(value)
		if err != nil || address.Addr().IsUnspecified() {
			return nil
		}
		found = append(found, address.Addr())
	}
	return found
}

// reachable replaces an unspecified address by loopback.
func reachable(address netip.AddrPort) netip.AddrPort {
	switch {
	case !address.Addr().IsUnspecified():
		return address
	case address.Addr().Is4():
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), address.Port())
	}
	return netip.AddrPortFrom(netip.IPv6Loopback(), address.Port())
}
