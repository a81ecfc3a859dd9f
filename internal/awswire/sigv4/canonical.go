package sigv4

import (
	"cmp"
	"net/http"
	"net/textproto"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// canonicalRequest returns the canonical request that the signer signed.
func (c *Claim) canonicalRequest(r *http.Request, payloadHash string) (string, error) {
	query, err := canonicalQuery(r.URL.RawQuery, c.Presigned)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	b.Grow(512)
	for _, line := range []string{r.Method, canonicalPath(r.URL.EscapedPath()), query} {
		b.WriteString(line + "\n")
	}
	for _, name := range c.signed {
		value, ok := headerValue(r, name)
		if !ok {
			return "", mismatch("The signed header %q did not arrive; a proxy may have removed it.", name)
		}
		b.WriteString(name + ":" + value + "\n")
	}
	b.WriteString("\n" + strings.Join(c.signed, ";") + "\n" + payloadHash)
	return b.String(), nil
}

// canonicalPath removes redundant slashes and dots from the path of a request line, and encodes it once more, as
// every service but S3 does.
func canonicalPath(escaped string) string {
	var kept []string
	parts := strings.Split(escaped, "/")
	for _, part := range parts {
		switch part {
		case "", ".":
		case "..":
			kept = kept[:max(len(kept)-1, 0)]
		default:
			kept = append(kept, encode(part))
		}
	}
	path := "/" + strings.Join(kept, "/")
	if last := parts[len(parts)-1]; len(kept) > 0 && (last == "" || last == "." || last == "..") {
		path += "/"
	}
	return path
}

// canonicalQuery sorts the parameters by their encoded names, then values. It omits a presigned request's own
// signature. It reads a plus sign as a space, as the parameters are decoded.
func canonicalQuery(raw string, presigned bool) (string, error) {
	if raw == "" {
		return "", nil
	}
	values, err := url.ParseQuery(raw)
	if err != nil {
		return "", incomplete("The query string cannot be read.")
	}
	type parameter struct{ name, value string }
	var parameters []parameter
	for name, given := range values {
		if presigned && name == "X-Amz-Signature" {
			continue
		}
		for _, value := range given {
			parameters = append(parameters, parameter{encode(name), encode(value)})
		}
	}
	slices.SortFunc(parameters, func(a, b parameter) int {
		return cmp.Or(strings.Compare(a.name, b.name), strings.Compare(a.value, b.value))
	})
	var b strings.Builder
	for i, p := range parameters {
		if i > 0 {
			b.WriteByte('&')
		}
		b.WriteString(p.name + "=" + p.value)
	}
	return b.String(), nil
}

// headerValue returns a header's values, joined by commas. Each is trimmed and has single spaces.
func headerValue(r *http.Request, name string) (string, bool) {
	if name == "host" {
		return r.Host, true
	}
	values, ok := r.Header[textproto.CanonicalMIMEHeaderKey(name)]
	if !ok {
		if name == "content-length" && r.ContentLength >= 0 { // not every server keeps it among the headers
			return strconv.FormatInt(r.ContentLength, 10), true
		}
		return "", false
	}
	if len(values) == 1 {
		return trim(values[0]), true
	}
	trimmed := make([]string, len(values))
	for i, value := range values {
		trimmed[i] = trim(value)
	}
	return strings.Join(trimmed, ","), true
}

func trim(value string) string {
	value = strings.Trim(value, " \t")
	for strings.Contains(value, "  ") {
		value = strings.ReplaceAll(value, "  ", " ")
	}
	return value
}

// encode percent-encodes all characters but the unreserved ones of RFC 3986.
func encode(text string) string {
	const hex = "0123456789ABCDEF"
	plain := func(c byte) bool {
		return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-._~", c) >= 0
	}
	more := 0
	for i := range len(text) {
		if !plain(text[i]) {
			more += 2
		}
	}
	if more == 0 {
		return text
	}
	b := make([]byte, 0, len(text)+more)
	for i := range len(text) {
		if c := text[i]; plain(c) {
			b = append(b, c)
		} else {
			b = append(b, '%', hex[c>>4], hex[c&15])
		}
	}
	return string(b)
}
