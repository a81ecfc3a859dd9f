package sigv4_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/sallyport/sallyport/internal/awswire/sigv4"
	"github.com/sallyport/sallyport/internal/fault"
	"pgregory.net/rapid"
)

// The credentials and the moment of AWS's published examples.
const (
	keyID  = "AKIDEXAMPLE"
	secret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
)

var moment = time.Date(2015, 8, 30, 12, 36, 0, 0, time.UTC)

// request returns a request as a server receives it.
func request(method, target, host, body string, header http.Header) *http.Request {
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	r.Host = host
	for name, values := range header {
		r.Header[http.CanonicalHeaderKey(name)] = values
	}
	return r
}

// check parses and verifies a request. It returns the Subject of the fault, or "".
func check(t interface{ Fatalf(string, ...any) }, r *http.Request, body, secret string, now time.Time) string {
	claim, err := sigv4.Parse(r, now)
	if err == nil {
		err = claim.Verify(secret, r, []byte(body))
	}
	if err == nil {
		return ""
	}
	if f := fault.Of(err); f.Kind == fault.Unauthenticated && f.Subject.String() != "" {
		return f.Subject.String()
	}
	t.Fatalf("not an Unauthenticated fault: %v", err)
	return ""
}

// AWS's published examples: the Signature Version 4 test suite, for the service "service", and the guide's, for IAM.
func TestPublishedExamples(t *testing.T) {
	suite := func(signedHeaders, signature string) string {
		return "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, SignedHeaders=" +
			signedHeaders + ", Signature=" + signature
	}
	const form = "application/x-www-form-urlencoded"
	for name, test := range map[string]struct {
		method, target, host, body string
		header                     http.Header
		authorization              string
	}{
		"get-vanilla": {"GET", "/", "example.amazonaws.com", "", nil,
			suite("host;x-amz-date", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31")},
		"post-vanilla": {"POST", "/", "example.amazonaws.com", "", nil,
			suite("host;x-amz-date", "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b")},
		"get-vanilla-query-order-key-case": {"GET", "/?Param2=value2&Param1=value1", "example.amazonaws.com", "", nil,
			suite("host;x-amz-date", "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500")},
		"get-relative (normalized)": {"GET", "/example/..", "example.amazonaws.com", "", nil,
			suite("host;x-amz-date", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31")},
		"get-slash-dot-slash (normalized)": {"GET", "/./", "example.amazonaws.com", "", nil,
			suite("host;x-amz-date", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31")},
		"post-x-www-form-urlencoded": {"POST", "/", "example.amazonaws.com", "Param1=value1",
			http.Header{"Content-Type": {form}},
			suite("content-type;host;x-amz-date", "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a")},
		"IAM ListUsers": {"GET", "/?Action=ListUsers&Version=2010-05-08", "iam.amazonaws.com", "",
			http.Header{"Content-Type": {form + "; charset=utf-8"}},
			"AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/iam/aws4_request, " +
				"SignedHeaders=content-type;host;x-amz-date, " +
				"Signature=5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7"},
	} {
		t.Run(name, func(t *testing.T) {
			r := request(test.method, test.target, test.host, test.body, test.header)
			r.Header.Set("X-Amz-Date", moment.Format("20060102T150405Z"))
			r.Header.Set("Authorization", test.authorization)
			if got := check(t, r, test.body, secret, moment); got != "" {
				t.Errorf("refused: %s", got)
			}
			if got := check(t, r, test.body, secret+"x", moment); got != "signature" {
				t.Errorf("another secret: %q", got)
			}
		})
	}
}

// signed is a request that the SDK's signer signed, and its parts.
type signed struct {
	method, target, body string
	header               http.Header
}

// sign has the SDK sign a request in its header or, if presigned, in its URL.
func sign(method, target, body string, header http.Header, token string, presign bool, at time.Time) (signed, error) {
	r, err := http.NewRequest(method, "http://sallyport.test:7443"+target, strings.NewReader(body))
	if err != nil {
		return signed{}, err
	}
	r.Header = header.Clone()
	sum := sha256.Sum256([]byte(body))
	signer, id := v4.NewSigner(), aws.Credentials{AccessKeyID: keyID, SecretAccessKey: secret, SessionToken: token}
	if !presign {
		err = signer.SignHTTP(context.Background(), id, r, hex.EncodeToString(sum[:]), "ec2", "on-prem-1", at)
		return signed{method, r.URL.RequestURI(), body, r.Header}, err
	}
	query := r.URL.Query()
	query.Set("X-Amz-Expires", "60")
	r.URL.RawQuery = query.Encode()
	uri, extra, err := signer.PresignHTTP(context.Background(), id, r, hex.EncodeToString(sum[:]), "ec2", "on-prem-1", at)
	if err != nil {
		return signed{}, err
	}
	u, err := url.Parse(uri)
	if err != nil {
		return signed{}, err
	}
	for name, values := range extra {
		r.Header[name] = values
	}
	return signed{method, u.RequestURI(), body, r.Header}, nil
}

// received returns the request as the server sees it.
func (s signed) received() *http.Request {
	return request(s.method, s.target, "sallyport.test:7443", s.body, s.header)
}

// anyRequest draws a request and signs it. Names of query parameters have only unreserved characters and do not repeat,
// because the SDK sorts others differently from AWS's documentation.
func anyRequest(t *rapid.T, presign bool) signed {
	segment := rapid.StringMatching(`[a-zA-Z0-9_~ é%+&=:@-]{1,8}`)
	path := "/"
	if segments := rapid.SliceOfN(segment, 0, 3).Draw(t, "path"); len(segments) > 0 {
		path = (&url.URL{Path: "/" + strings.Join(segments, "/")}).EscapedPath()
	}
	query := url.Values{}
	parameter := rapid.StringMatching(`[A-Za-z0-9._~-]{1,12}`)
	for name, value := range rapid.MapOfN(parameter, rapid.String(), 0, 5).Draw(t, "query") {
		query.Set(name, value)
	}
	header := http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}
	names, values := rapid.StringMatching(`X-Amz-Meta-[a-z]{1,5}|X-[a-z]{1,5}`), rapid.StringMatching(`[ -~]{1,20}`)
	for name, value := range rapid.MapOfN(names, values, 0, 3).Draw(t, "headers") {
		header.Set(name, value)
	}
	method := rapid.SampledFrom([]string{"GET", "POST", "PUT", "DELETE"}).Draw(t, "method")
	body := rapid.String().Draw(t, "body")
	token := rapid.SampledFrom([]string{"", "token/+=with odd%characters"}).Draw(t, "token")
	s, err := sign(method, path+"?"+query.Encode(), body, header, token, presign, moment)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// Every request that the SDK signs verifies, and the Claim says who signed it for what.
func TestSDKSignatures(t *testing.T) {
	for name, presign := range map[string]bool{"header": false, "presigned": true} {
		t.Run(name, rapid.MakeCheck(func(t *rapid.T) {
			s := anyRequest(t, presign)
			r := s.received()
			claim, err := sigv4.Parse(r, moment)
			if err != nil {
				t.Fatalf("Parse: %v", err)
			}
			if err := claim.Verify(secret, r, []byte(s.body)); err != nil {
				t.Fatalf("Verify: %v", err)
			}
			if claim.AccessKeyID != keyID || claim.Region != "on-prem-1" || claim.Service != "ec2" ||
				claim.Presigned != presign || !claim.Time.Equal(moment) {
				t.Fatalf("claim %+v", claim)
			}
		}))
	}
}

// A signed request no longer verifies after a change to any part of it.
func TestTampering(t *testing.T) {
	for name, presign := range map[string]bool{"header": false, "presigned": true} {
		t.Run(name, rapid.MakeCheck(func(t *rapid.T) {
			s := anyRequest(t, presign)
			r, body := s.received(), s.body
			switch rapid.IntRange(0, 7).Draw(t, "change") {
			case 0:
				r.Method = "PATCH"
			case 1:
				r.Host = "elsewhere.test:7443"
			case 2:
				r.URL.Path, r.URL.RawPath = r.URL.Path+"/x", ""
			case 3:
				r.URL.RawQuery += "&Added=1"
			case 4:
				body += "x"
			case 5:
				r.Header.Set("X-Amz-Added", "1")
			case 6:
				r.Header.Add("Content-Type", "text/plain")
			case 7:
				flip(r, presign)
			}
			if got := check(t, r, body, secret, moment); got == "" {
				t.Fatalf("verified: %s %s", r.Method, r.URL)
			}
		}))
	}
}

// flip changes the last digit of a signature.
func flip(r *http.Request, presign bool) {
	change := func(text string) string {
		last := map[bool]string{true: "1", false: "0"}[text[len(text)-1] == '0']
		return text[:len(text)-1] + last
	}
	if !presign {
		r.Header.Set("Authorization", change(r.Header.Get("Authorization")))
		return
	}
	query := r.URL.Query()
	query.Set("X-Amz-Signature", change(query.Get("X-Amz-Signature")))
	r.URL.RawQuery = query.Encode()
}

// Each mistake in a signature has its own answer.
func TestRefusals(t *testing.T) {
	const minute = time.Minute
	for name, test := range map[string]struct {
		presign bool
		change  func(r *http.Request)
		body    string // "" for the one that was signed
		after   time.Duration
		want    string
		says    string
	}{
		"as signed":               {want: ""},
		"presigned, as signed":    {presign: true, want: ""},
		"clocks 15 minutes apart": {after: 15 * minute, want: ""},
		"signed too long ago": {after: 15*minute + 1, want: "skew",
			says: "Signature expired: the request was signed at 2015-08-30T12:36:00Z; the time here is 2015-08-30T12:51:00Z"},
		"signed in the future":       {after: -16 * minute, want: "skew", says: "Signature not yet current"},
		"presigned, its last moment": {presign: true, after: minute, want: ""},
		"presigned, too late": {presign: true, after: minute + 1, want: "expired-request",
			says: "expired at 2015-08-30T12:37:00Z"},
		"presigned in the future": {presign: true, after: -16 * minute, want: "skew"},
		"not signed":              {change: func(r *http.Request) { r.Header = http.Header{} }, want: "missing-token"},
		"signed twice": {change: func(r *http.Request) {
			r.Header.Add("Authorization", r.Header.Get("Authorization"))
		}, want: "incomplete"},
		"signed in both ways": {presign: true,
			change: func(r *http.Request) { r.Header.Set("Authorization", "AWS4-HMAC-SHA256 x=y") }, want: "incomplete"},
		"basic authentication": {change: setHeader("Authorization", "Basic dXNlcjpwYXNz"), want: "incomplete"},
		"signature version 4A": {change: replaceAuthorization("AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256"),
			want: "incomplete"},
		"no date": {change: func(r *http.Request) { r.Header.Del("X-Amz-Date") }, want: "incomplete"},
		"a date of another day": {change: setHeader("X-Amz-Date", "20150831T000000Z"), want: "incomplete",
			says: "20150830"},
		"two dates": {change: func(r *http.Request) { r.Header.Add("X-Amz-Date", "20150830T123600Z") },
			want: "incomplete"},
		"another moment of the day": {change: setHeader("X-Amz-Date", "20150830T123601Z"), want: "signature"},
		"another service":           {change: replaceAuthorization("/ec2/", "/iam/"), want: "signature"},
		"another region":            {change: replaceAuthorization("/on-prem-1/", "/on-prem-2/"), want: "signature"},
		"a scope without end":       {change: replaceAuthorization("/aws4_request", ""), want: "incomplete"},
		"a scope with a line feed":  {change: replaceAuthorization("/ec2/", "/ec2\n/"), want: "incomplete"},
		"an empty access key":       {change: replaceAuthorization(keyID, ""), want: "incomplete"},
		"host not signed": {change: replaceAuthorization("host;", ""), want: "incomplete",
			says: "host must be signed"},
		"headers out of order": {change: replaceAuthorization("host;x-amz-date", "x-amz-date;host"),
			want: "incomplete"},
		"a header in upper case": {change: replaceAuthorization("host;", "Host;"), want: "incomplete"},
		"an x-amz header not signed": {change: setHeader("X-Amz-Target", "Service.Operation"), want: "incomplete",
			says: "x-amz-target must be signed"},
		"a signed header lost": {change: func(r *http.Request) { r.Header.Del("Content-Type") }, want: "signature",
			says: "content-type"},
		"a short signature": {change: func(r *http.Request) {
			a := r.Header.Get("Authorization")
			r.Header.Set("Authorization", a[:len(a)-2])
		}, want: "incomplete"},
		"another body":                {body: "Action=TerminateInstances", want: "signature"},
		"presigned, another body":     {presign: true, body: "Action=TerminateInstances", want: "signature"},
		"presigned for ever":          {presign: true, change: setQuery("X-Amz-Expires", "604801"), want: "incomplete"},
		"presigned for no time":       {presign: true, change: setQuery("X-Amz-Expires", "0"), want: "incomplete"},
		"presigned for negative time": {presign: true, change: setQuery("X-Amz-Expires", "-1"), want: "incomplete"},
		"presigned, no expiry":        {presign: true, change: setQuery("X-Amz-Expires", ""), want: "incomplete"},
		"presigned for longer": {presign: true, change: setQuery("X-Amz-Expires", "120"), after: 90 * time.Second,
			want: "signature"},
		"presigned, another algorithm": {presign: true, change: setQuery("X-Amz-Algorithm", "none"), want: "incomplete"},
		"presigned, a parameter twice": {presign: true,
			change: func(r *http.Request) { r.URL.RawQuery += "&X-Amz-Date=20150830T123600Z" }, want: "incomplete"},
		"presigned, token added": {presign: true, change: setQuery("X-Amz-Security-Token", "stolen"),
			want: "signature"},
		"a query string that is broken":  {change: func(r *http.Request) { r.URL.RawQuery = "a=%zz" }, want: "incomplete"},
		"a query string with semicolons": {change: func(r *http.Request) { r.URL.RawQuery = "a=1;b=2" }, want: "incomplete"},
	} {
		t.Run(name, func(t *testing.T) {
			const body = "Action=DescribeInstances&Version=2016-11-15"
			s, err := sign("POST", "/", body, http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}, "",
				test.presign, moment)
			if err != nil {
				t.Fatal(err)
			}
			r, sent := s.received(), body
			if test.change != nil {
				test.change(r)
			}
			if test.body != "" {
				sent = test.body
			}
			if got := check(t, r, sent, secret, moment.Add(test.after)); got != test.want {
				t.Fatalf("got %q, want %q", got, test.want)
			}
			if test.says == "" {
				return
			}
			claim, err := sigv4.Parse(r, moment.Add(test.after))
			if err == nil {
				err = claim.Verify(secret, r, []byte(sent))
			}
			if !strings.Contains(fault.Of(err).Message, test.says) {
				t.Errorf("message %q does not say %q", fault.Of(err).Message, test.says)
			}
		})
	}
}

func setHeader(name, value string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set(name, value) }
}

func replaceAuthorization(old, new string) func(*http.Request) {
	return func(r *http.Request) {
		r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), old, new, 1))
	}
}

func setQuery(name, value string) func(*http.Request) {
	return func(r *http.Request) {
		query := r.URL.Query()
		query.Set(name, value)
		r.URL.RawQuery = query.Encode()
	}
}

// The body must be signed as a whole; only a presigned GET has none to sign.
func TestPayload(t *testing.T) {
	for name, test := range map[string]struct {
		method  string
		presign bool
		hash    string // as signed and, unless presigned, as sent in x-amz-content-sha256
		body    string
		want    string
	}{
		"declared":               {method: "POST", hash: sum("a body"), body: "a body"},
		"declared, another body": {method: "POST", hash: sum("a body"), body: "another", want: "signature"},
		"unsigned":               {method: "POST", hash: "UNSIGNED-PAYLOAD", body: "a body", want: "incomplete"},
		"unsigned, empty":        {method: "GET", hash: "UNSIGNED-PAYLOAD", want: "incomplete"},
		"streaming": {method: "PUT", hash: "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
			body: "4;chunk-signature=…", want: "incomplete"},
		"presigned GET, unsigned": {method: "GET", presign: true, hash: "UNSIGNED-PAYLOAD"},
		"presigned GET, empty":    {method: "GET", presign: true, hash: sum("")},
		"presigned GET, then a body": {method: "GET", presign: true, hash: "UNSIGNED-PAYLOAD", body: "Action=X",
			want: "signature"},
		"presigned POST, unsigned": {method: "POST", presign: true, hash: "UNSIGNED-PAYLOAD", body: "Action=X",
			want: "signature"},
		"presigned POST, body signed": {method: "POST", presign: true, hash: sum("Action=X"), body: "Action=X"},
	} {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequest(test.method, "http://sallyport.test/", nil)
			signer, id := v4.NewSigner(), aws.Credentials{AccessKeyID: keyID, SecretAccessKey: secret}
			if test.presign {
				r.URL.RawQuery = "X-Amz-Expires=60"
				uri, _, err := signer.PresignHTTP(context.Background(), id, r, test.hash, "ec2", "on-prem-1", moment)
				if err != nil {
					t.Fatal(err)
				}
				r = httptest.NewRequest(test.method, uri, nil)
			} else {
				r.Header.Set("X-Amz-Content-Sha256", test.hash)
				if err := signer.SignHTTP(context.Background(), id, r, test.hash, "ec2", "on-prem-1", moment); err != nil {
					t.Fatal(err)
				}
			}
			if got := check(t, r, test.body, secret, moment); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func sum(body string) string {
	s := sha256.Sum256([]byte(body))
	return hex.EncodeToString(s[:])
}

// Nothing verifies by default: neither a Claim that was not parsed nor a user without a secret.
func TestZeroRefuses(t *testing.T) {
	r := httptest.NewRequest("GET", "/", nil)
	var none *sigv4.Claim
	for name, err := range map[string]error{
		"zero": (&sigv4.Claim{}).Verify(secret, r, nil),
		"nil":  none.Verify(secret, r, nil),
	} {
		if fault.Of(err).Subject.String() != "signature" {
			t.Errorf("%s claim: %v", name, err)
		}
	}
	s, err := sign("GET", "/", "", http.Header{}, "", false, moment)
	if err != nil {
		t.Fatal(err)
	}
	if got := check(t, s.received(), "", "", moment); got != "signature" {
		t.Errorf("empty secret: %q", got)
	}
}

// No Authorization header and no query string crashes the parser or verifies, and every refusal has its Subject.
func FuzzParse(f *testing.F) {
	for _, presign := range []bool{false, true} {
		s, err := sign("POST", "/a%20b?x=y", "body", http.Header{}, "token", presign, moment)
		if err != nil {
			f.Fatal(err)
		}
		_, query, _ := strings.Cut(s.target, "?")
		f.Add(s.header.Get("Authorization"), query, s.header.Get("X-Amz-Date"))
	}
	f.Add("AWS4-HMAC-SHA256 Credential=/,SignedHeaders=;,Signature=", "X-Amz-Algorithm=&X-Amz-Expires=1", "")
	f.Fuzz(func(t *testing.T, authorization, query, date string) {
		r := httptest.NewRequest("POST", "/", bytes.NewReader(nil))
		r.URL.RawQuery = query
		if authorization != "" {
			r.Header["Authorization"] = []string{authorization}
		}
		r.Header["X-Amz-Date"] = []string{date}
		claim, err := sigv4.Parse(r, moment)
		if err == nil {
			if claim.AccessKeyID == "" || claim.Service == "" {
				t.Fatalf("parsed without who or what: %+v", claim)
			}
			err = claim.Verify("a secret no seed was signed with", r, nil)
		}
		var refusal *fault.Error
		if !errors.As(err, &refusal) || refusal.Kind != fault.Unauthenticated {
			t.Fatalf("%v", err)
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	body := strings.Repeat("x", 600)
	header := http.Header{
		"Content-Type": {"application/x-amz-json-1.1"},
		"X-Amz-Target": {"AWSEC2InstanceConnectService.SendSSHPublicKey"},
	}
	s, err := sign("POST", "/", body, header, "", false, moment)
	if err != nil {
		b.Fatal(err)
	}
	r := s.received()
	b.ReportAllocs()
	for b.Loop() {
		if got := check(b, r, body, secret, moment); got != "" {
			b.Fatal(got)
		}
	}
}
