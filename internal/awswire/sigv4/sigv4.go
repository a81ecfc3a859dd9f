// Package sigv4 verifies AWS Signature Version 4, in the Authorization header and in presigned URLs. It holds no
// secrets and knows no users. Parse returns who a request claims to be from, the caller finds the secret of that
// access key, and Verify checks the claim with it.
//
// Source: "Signing AWS API requests" in AWS's IAM User Guide.
package sigv4

import (
	"encoding/hex"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport/sallyport/internal/fault"
)

const (
	algorithm  = "AWS4-HMAC-SHA256"
	terminator = "aws4_request"
	timeFormat = "20060102T150405Z"

	maxSkew    = 15 * time.Minute
	maxExpires = 7 * 24 * time.Hour
)

// Claim is what a request says about its signer. Nothing in it is proven until Verify returns nil. The zero Claim
// never verifies.
type Claim struct {
	AccessKeyID  string
	Date         string // the scope's day, "20261122"
	Region       string
	Service      string
	SessionToken string        // empty for long-term keys; the signature covers it
	Time         time.Time     // when it was signed, UTC
	Presigned    bool          // signed in the URL, not in the Authorization header
	Expires      time.Duration // the lifetime of a presigned request, from Time on

	signed    []string // the signed headers' names, in order
	signature []byte
}

// Parse reads the signature of a request and checks what needs no secret: its form, scope and time, and that the host
// and every x-amz- header are signed. Errors are Unauthenticated faults with Subject MissingToken (the request is not
// signed), Incomplete (the signature cannot be read), Skew (the clocks differ by more than 15 minutes) or
// ExpiredRequest (a presigned request is past its time).
func Parse(r *http.Request, now time.Time) (*Claim, error) {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, incomplete("The query string cannot be read.")
	}
	header := r.Header.Values("Authorization")
	presigned := query.Has("X-Amz-Algorithm") || query.Has("X-Amz-Signature")
	var c *Claim
	switch {
	case len(header) == 0 && !presigned:
		return nil, fault.New(fault.Unauthenticated, fault.MissingToken,
			"The request is not signed. Configure an access key, for example as a profile of the AWS CLI.")
	case len(header) > 1 || len(header) == 1 && presigned:
		return nil, incomplete("The request is signed more than once. Sign it in the Authorization header or in the URL.")
	case presigned:
		c, err = fromQuery(query)
	default:
		c, err = fromHeader(header[0], r.Header)
	}
	if err != nil {
		return nil, err
	}
	if err := c.checkSignedHeaders(r.Header); err != nil {
		return nil, err
	}
	if err := c.checkTime(now); err != nil {
		return nil, err
	}
	return c, nil
}

func incomplete(format string, args ...any) error {
	return fault.New(fault.Unauthenticated, fault.Incomplete, format, args...)
}

// fromHeader reads "AWS4-HMAC-SHA256 Credential=…, SignedHeaders=…, Signature=…".
func fromHeader(authorization string, header http.Header) (*Claim, error) {
	scheme, rest, _ := strings.Cut(authorization, " ")
	if scheme != algorithm {
		return nil, incomplete("The Authorization header must use %s.", algorithm)
	}
	parts := map[string]string{}
	for part := range strings.SplitSeq(rest, ",") {
		name, value, ok := strings.Cut(strings.TrimSpace(part), "=")
		if _, twice := parts[name]; !ok || twice || len(parts) == 3 {
			return nil, incomplete("The Authorization header must be Credential=…, SignedHeaders=…, Signature=….")
		}
		parts[name] = value
	}
	date, err := single(header, "X-Amz-Date")
	if err != nil {
		return nil, err
	}
	token, err := single(header, "X-Amz-Security-Token")
	if err != nil {
		return nil, err
	}
	return newClaim(parts["Credential"], parts["SignedHeaders"], parts["Signature"], date, token)
}

// fromQuery reads a presigned URL.
func fromQuery(query url.Values) (*Claim, error) {
	for name, values := range query {
		if strings.HasPrefix(name, "X-Amz-") && len(values) > 1 {
			return nil, incomplete("The query parameter %s is given twice.", name)
		}
	}
	if query.Get("X-Amz-Algorithm") != algorithm {
		return nil, incomplete("X-Amz-Algorithm must be %s.", algorithm)
	}
	seconds, err := strconv.ParseUint(query.Get("X-Amz-Expires"), 10, 32)
	if err != nil || seconds == 0 || time.Duration(seconds)*time.Second > maxExpires {
		return nil, incomplete("X-Amz-Expires must be between 1 and %d seconds.", int(maxExpires.Seconds()))
	}
	c, err := newClaim(query.Get("X-Amz-Credential"), query.Get("X-Amz-SignedHeaders"), query.Get("X-Amz-Signature"),
		query.Get("X-Amz-Date"), query.Get("X-Amz-Security-Token"))
	if err != nil {
		return nil, err
	}
	c.Presigned, c.Expires = true, time.Duration(seconds)*time.Second
	return c, nil
}

// single returns the value of a header that may be given at most once.
func single(header http.Header, name string) (string, error) {
	values := header.Values(name)
	if len(values) > 1 {
		return "", incomplete("The header %s is given twice.", name)
	}
	return header.Get(name), nil
}

// newClaim reads what both ways of signing have in common.
func newClaim(credential, signedHeaders, signature, date, token string) (*Claim, error) {
	scope := strings.Split(credential, "/")
	if len(scope) != 5 || scope[4] != terminator ||
		slices.ContainsFunc(scope, func(part string) bool { return !isPlain(part) }) {
		return nil, incomplete("The credential must be ACCESSKEY/YYYYMMDD/REGION/SERVICE/%s.", terminator)
	}
	at, err := time.Parse(timeFormat, date)
	if err != nil {
		return nil, incomplete("X-Amz-Date must be a time as in 20261122T020210Z.")
	}
	if scope[1] != date[:8] {
		return nil, incomplete("The credential's day %s is not that of X-Amz-Date, %s.", scope[1], date)
	}
	sum, err := hex.DecodeString(signature)
	if err != nil || len(sum) != 32 {
		return nil, incomplete("The signature must be 64 hexadecimal digits.")
	}
	names := strings.Split(signedHeaders, ";")
	for i, name := range names {
		if name == "" || name != strings.ToLower(name) || i > 0 && names[i-1] >= name {
			return nil, incomplete("The signed headers must be in lower case, in order, each once, separated by semicolons.")
		}
	}
	return &Claim{
		AccessKeyID: scope[0], Date: scope[1], Region: scope[2], Service: scope[3], SessionToken: token, Time: at,
		signed: names, signature: sum,
	}, nil
}

// isPlain reports whether a part of a credential has only characters of access keys, regions and services.
func isPlain(part string) bool {
	return part != "" && len(part) <= 128 && !strings.ContainsFunc(part, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '_'
	})
}

// checkSignedHeaders refuses a request whose host or x-amz- headers somebody could have changed.
func (c *Claim) checkSignedHeaders(header http.Header) error {
	if _, ok := slices.BinarySearch(c.signed, "host"); !ok {
		return incomplete("The header host must be signed.")
	}
	for name := range header {
		name = strings.ToLower(name)
		if _, ok := slices.BinarySearch(c.signed, name); !ok && strings.HasPrefix(name, "x-amz-") {
			return incomplete("The header %s must be signed.", name)
		}
	}
	return nil
}

// checkTime refuses a request that is not valid at the time. The messages begin with AWS's own words, by which the
// SDK for JavaScript recognizes a wrong clock.
func (c *Claim) checkTime(now time.Time) error {
	now = now.UTC()
	skew := func(what string) error {
		return fault.New(fault.Unauthenticated, fault.Skew, "%s: the request was signed at %s; the time here is %s. "+
			"They may differ by %d minutes at most: set the machine's clock right.",
			what, c.Time.Format(time.RFC3339), now.Format(time.RFC3339), int(maxSkew.Minutes()))
	}
	switch ahead := c.Time.Sub(now); {
	case ahead > maxSkew:
		return skew("Signature not yet current")
	case ahead < -maxSkew && !c.Presigned:
		return skew("Signature expired")
	}
	if c.Presigned && now.After(c.Time.Add(c.Expires)) {
		return fault.New(fault.Unauthenticated, fault.ExpiredRequest,
			"The presigned request expired at %s; the time here is %s. Sign a new one.",
			c.Time.Add(c.Expires).Format(time.RFC3339), now.Format(time.RFC3339))
	}
	return nil
}
