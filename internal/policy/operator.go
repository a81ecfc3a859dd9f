package policy

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"fmt"
	"net/netip"
	"strings"
	"time"
)

// operator is a condition operator without its set operator and IfExists.
type operator struct {
	negated bool
	compile compiler
}

// compiler returns a comparison with one of the policy's values, or an error that says what is wrong with the value.
// The comparison resolves variables if the document's version has them and the operator allows them. It returns
// unsettled if the request's value is not of the operator's type.
type compiler func(value string, variables bool) (comparison, error)

// operatorNamed returns the operator with the name, in AWS's spelling.
func operatorNamed(name string) (operator, bool) {
	compile := compilerNamed(name)
	if compile != nil {
		return operator{compile: compile}, true
	}
	if positive, ok := positiveOf(name); ok {
		return operator{negated: true, compile: compilerNamed(positive)}, true
	}
	return operator{}, false
}

// positiveOf returns the operator that the negated one negates.
func positiveOf(negated string) (string, bool) {
	switch negated {
	case "StringNotEquals", "StringNotEqualsIgnoreCase", "StringNotLike", "NumericNotEquals", "DateNotEquals",
		"NotIpAddress", "ArnNotEquals", "ArnNotLike":
		return strings.Replace(negated, "Not", "", 1), true
	}
	return "", false
}

func compilerNamed(name string) compiler {
	switch name {
	case "StringEquals":
		return compileString(func(value, want string) bool { return value == want })
	case "StringEqualsIgnoreCase":
		return compileString(strings.EqualFold)
	case "StringLike":
		return compileLike
	case "ArnEquals", "ArnLike": // the same, as AWS documents
		return compileARN
	case "Bool":
		return compileBool
	case "BinaryEquals":
		return compileBinary
	case "IpAddress":
		return compileAddress
	}
	if relation, ok := strings.CutPrefix(name, "Numeric"); ok {
		return compileNumber(relationNamed(relation))
	}
	if relation, ok := strings.CutPrefix(name, "Date"); ok {
		return compileDate(relationNamed(relation))
	}
	return nil
}

// relation reports whether an operator accepts the order of two values.
type relation func(order int) bool

// relationNamed returns the relation with the name, or nil. The order that it accepts is negative, zero or positive
// if the request's value is less than, equal to or greater than the policy's.
func relationNamed(name string) relation {
	switch name {
	case "Equals":
		return func(order int) bool { return order == 0 }
	case "LessThan":
		return func(order int) bool { return order < 0 }
	case "LessThanEquals":
		return func(order int) bool { return order <= 0 }
	case "GreaterThan":
		return func(order int) bool { return order > 0 }
	case "GreaterThanEquals":
		return func(order int) bool { return order >= 0 }
	}
	return nil
}

func compileString(equal func(value, want string) bool) compiler {
	return func(source string, variables bool) (comparison, error) {
		t, err := parseTemplate(source, syntax{variables: variables})
		if err != nil {
			return nil, err
		}
		return func(value string, context Context) verdict {
			want, answer := t.plain(context)
			if answer != yes {
				return answer
			}
			return verdictOf(equal(value, want))
		}, nil
	}
}

func compileLike(source string, variables bool) (comparison, error) {
	t, err := parseTemplate(source, syntax{variables: variables, wildcards: true})
	if err != nil {
		return nil, err
	}
	return func(value string, context Context) verdict { return t.matches(value, context) }, nil
}

// arnParts is the number of parts of an ARN. The last part may have colons of its own.
const arnParts = 6

// compileARN compares ARNs part by part, so that a wildcard or a variable's value never reaches into the next part.
// "*" alone matches every ARN.
func compileARN(source string, variables bool) (comparison, error) {
	if source == "*" {
		source = "arn:*:*:*:*:*"
	}
	parts := splitTemplate(source, variables)
	if len(parts) != arnParts || parts[0] != "arn" {
		return nil, fmt.Errorf("the value %q is not an ARN, which has six parts: arn:aws:SERVICE:REGION:ACCOUNT:RESOURCE; "+
			"parts may be empty or have wildcards", source)
	}
	var templates [arnParts]template
	for i, part := range parts {
		t, err := parseTemplate(part, syntax{variables: variables, wildcards: true})
		if err != nil {
			return nil, err
		}
		templates[i] = t
	}
	return func(value string, context Context) verdict {
		if !strings.HasPrefix(value, "arn:") || strings.Count(value, ":") < arnParts-1 {
			return unsettled
		}
		answer := yes
		for _, t := range templates[:arnParts-1] {
			part, rest, _ := strings.Cut(value, ":")
			answer = min(answer, t.matches(part, context))
			value = rest
		}
		return min(answer, templates[arnParts-1].matches(value, context))
	}, nil
}

// splitTemplate splits an ARN at its first five colons outside of variables, whose keys have colons too.
func splitTemplate(source string, variables bool) []string {
	var parts []string
	begin, inside := 0, false
	for i := 0; i < len(source) && len(parts) < arnParts-1; i++ {
		switch {
		case variables && strings.HasPrefix(source[i:], "${"):
			inside = true
		case source[i] == '}':
			inside = false
		case source[i] == ':' && !inside:
			parts = append(parts, source[begin:i])
			begin = i + 1
		}
	}
	return append(parts, source[begin:])
}

func parseBool(value string) (b, ok bool) {
	return strings.EqualFold(value, "true"), strings.EqualFold(value, "true") || strings.EqualFold(value, "false")
}

func compileBool(source string, _ bool) (comparison, error) {
	want, ok := parseBool(source)
	if !ok {
		return nil, fmt.Errorf("the value must be true or false, not %q", source)
	}
	return func(value string, _ Context) verdict {
		b, ok := parseBool(value)
		if !ok {
			return unsettled
		}
		return verdictOf(b == want)
	}, nil
}

// compileBinary compares bytes, which policies and requests write in base64.
func compileBinary(source string, _ bool) (comparison, error) {
	want, err := base64.StdEncoding.DecodeString(source)
	if err != nil {
		return nil, fmt.Errorf("the value must be base64, and %q is not", source)
	}
	return func(value string, _ Context) verdict {
		got, err := base64.StdEncoding.DecodeString(value)
		if err != nil {
			return unsettled
		}
		return verdictOf(bytes.Equal(got, want))
	}, nil
}

// compileAddress accepts an address or a range in CIDR notation. An IPv4 range contains only IPv4 addresses.
func compileAddress(source string, _ bool) (comparison, error) {
	prefix, err := netip.ParsePrefix(source)
	if err != nil {
		address, err := netip.ParseAddr(source)
		if err != nil || address.Zone() != "" {
			return nil, fmt.Errorf("%q is neither an IP address nor a range such as 203.0.113.0/24 or 2001:db8::/32", source)
		}
		prefix = netip.PrefixFrom(address, address.BitLen())
	}
	if address := prefix.Addr(); address.Is4In6() {
		if prefix.Bits() < 96 {
			return nil, fmt.Errorf("the range %q mixes IPv4 and IPv6; write the IPv4 range by itself", source)
		}
		prefix = netip.PrefixFrom(address.Unmap(), prefix.Bits()-96)
	}
	prefix = prefix.Masked()
	return func(value string, _ Context) verdict {
		address, err := netip.ParseAddr(value)
		if err != nil {
			return unsettled
		}
		return verdictOf(prefix.Contains(address.Unmap().WithZone("")))
	}, nil
}

func compileNumber(holds relation) compiler {
	if holds == nil {
		return nil
	}
	return func(source string, _ bool) (comparison, error) {
		want, ok := parseDecimal(source)
		if !ok {
			return nil, fmt.Errorf("%q is not a number, as in 42 or -0.5", source)
		}
		return func(value string, _ Context) verdict {
			got, ok := parseDecimal(value)
			if !ok {
				return unsettled
			}
			return verdictOf(holds(got.compare(want)))
		}, nil
	}
}

// decimal is a number in the digits that were written. A float64 would lose some: ids can have more than it holds.
type decimal struct {
	negative bool
	whole    string // without leading zeros
	fraction string // without trailing zeros
}

func parseDecimal(s string) (decimal, bool) {
	d := decimal{negative: strings.HasPrefix(s, "-")}
	if d.negative || strings.HasPrefix(s, "+") {
		s = s[1:]
	}
	whole, fraction, point := strings.Cut(s, ".")
	if !isDigits(whole) || (point && !isDigits(fraction)) {
		return decimal{}, false
	}
	d.whole, d.fraction = strings.TrimLeft(whole, "0"), strings.TrimRight(fraction, "0")
	if d.whole == "" && d.fraction == "" {
		d.negative = false
	}
	return d, true
}

func isDigits(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }

// compare returns a negative number if d is less than e, zero if they are equal, and a positive number otherwise.
func (d decimal) compare(e decimal) int {
	if d.negative != e.negative {
		if d.negative {
			return -1
		}
		return 1
	}
	order := cmp.Or(cmp.Compare(len(d.whole), len(e.whole)), strings.Compare(d.whole, e.whole),
		strings.Compare(d.fraction, e.fraction))
	if d.negative {
		return -order
	}
	return order
}

func compileDate(holds relation) compiler {
	if holds == nil {
		return nil
	}
	return func(source string, _ bool) (comparison, error) {
		want, err := parseDate(source)
		if err != nil {
			return nil, err
		}
		return func(value string, _ Context) verdict {
			got, err := parseDate(value)
			if err != nil {
				return unsettled
			}
			return verdictOf(holds(got.Compare(want)))
		}, nil
	}
}

// parseDate reads epoch seconds or W3C's profile of ISO 8601: a day or a month, which begins at midnight UTC, or a
// time with its offset from UTC. A time may have seconds and a fraction of them.
func parseDate(s string) (time.Time, error) {
	if digits := strings.TrimPrefix(s, "-"); isDigits(digits) && len(digits) <= 12 {
		d := int64(0)
		for _, c := range digits {
			d = 10*d + int64(c-'0')
		}
		if digits != s {
			d = -d
		}
		return time.Unix(d, 0), nil
	}
	for _, layout := range []string{
		time.RFC3339, "2006-01-02T15:04Z07:00", "2006-01-02T15:04:05Z0700", "2006-01-02T15:04Z0700", time.DateOnly, "2006-01",
	} {
		if t, err := time.Parse(layout, s); err == nil {
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf(
		"\"%s\" is not a date, as in 2026-11-22T08:00:00Z, 2026-11-22 or 1795334400 (epoch seconds)", s)
}
