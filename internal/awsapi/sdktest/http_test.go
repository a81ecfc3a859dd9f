package sdktest

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/sallyport/sallyport/internal/awsapi"
)

const form = "application/x-www-form-urlencoded; charset=utf-8"

// sent is what a client of the service sends, signed by the root user, and how it is answered: status and body.
func (w *world) sent(service, method, body string, header http.Header) (int, string) {
	w.t.Helper()
	r, err := http.NewRequestWithContext(w.t.Context(), method, w.url+"/", strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	for name, values := range header {
		r.Header[http.CanonicalHeaderKey(name)] = values
	}
	sum := sha256.Sum256([]byte(body))
	config := w.root()
	who, err := config.Credentials.Retrieve(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	if err := v4.NewSigner().SignHTTP(w.t.Context(), who, r, hex.EncodeToString(sum[:]), service, region, time.Now()); err != nil {
		w.t.Fatal(err)
	}
	return answer(w.t, r)
}

func answer(t *testing.T, r *http.Request) (int, string) {
	t.Helper()
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatalf("the connection ended without an answer: %v", err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(text)
}

// With one endpoint URL for all of AWS, calls of every service arrive here. Their clients must be able to read the
// refusal: botocore ended in a parser's error when CloudFormation was answered in JSON.
func TestServicesNotServed(t *testing.T) {
	w := newWorld(t)
	for service, test := range map[string]struct {
		method, body string
		header       http.Header
		want         string
	}{
		"cloudformation": {"POST", "Action=ListStacks&Version=2010-05-15", http.Header{"Content-Type": {form}}, "<ErrorResponse"},
		"s3":             {"GET", "", nil, "<ErrorResponse"},
		"dynamodb":       {"POST", "{}", http.Header{"Content-Type": {"application/x-amz-json-1.0"}, "X-Amz-Target": {"DynamoDB_20120810.ListTables"}}, `{"__type":"UnknownOperationException"`},
		"eks":            {"GET", "", nil, `{"__type":"UnknownOperationException"`},
	} {
		status, body := w.sent(service, test.method, test.body, test.header)
		if status != 400 || !strings.Contains(body, test.want) || !strings.Contains(body, "not served here. Served are: cloudtrail, ec2, ") {
			t.Errorf("%s is answered with %d %s", service, status, body)
		}
	}
}

// Whatever comes gets an answer, in the dialect of whoever sent it. A body over the limit once ended the
// connection: there was no service yet to say so.
func TestBodiesThatCannotBeRead(t *testing.T) {
	w := newWorld(t)
	target := http.Header{"X-Amz-Target": {"CloudTrail_20131101.LookupEvents"}}
	tooLarge := strings.Repeat("a", awsapi.MaxBody+1)
	zipped := http.Header{"Content-Type": {form}, "Content-Encoding": {"gzip"}}
	chunked := http.Header{"Content-Type": {form}, "Content-Encoding": {"aws-chunked"}, "X-Amz-Content-Sha256": {"STREAMING-UNSIGNED-PAYLOAD-TRAILER"}}
	for name, test := range map[string]struct {
		service, body string
		header        http.Header
		want          []string
	}{
		"too large, ec2":        {"ec2", tooLarge, http.Header{"Content-Type": {form}}, []string{"<Response><Errors>", "InvalidRequest", "larger than 1048576 bytes"}},
		"too large, cloudtrail": {"cloudtrail", tooLarge, target, []string{`{"__type":"SerializationException"`, "larger than 1048576 bytes"}},
		"too large, no service": {"s3", tooLarge, nil, []string{"<ErrorResponse", "larger than 1048576 bytes"}},
		"compressed":            {"ec2", "\x1f\x8b", zipped, []string{"<Response><Errors>", "Content-Encoding: gzip"}},
		"in chunks":             {"ec2", "0\r\n\r\n", chunked, []string{"<Response><Errors>", "aws-chunked"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, body := w.sent(test.service, "POST", test.body, test.header)
			for _, want := range test.want {
				if !strings.Contains(body, want) {
					t.Errorf("no %q in %s", want, body)
				}
			}
		})
	}
}

// Nothing signed, nothing asked: probes and browsers get an answer as well.
func TestBareRequests(t *testing.T) {
	w := newWorld(t)
	for _, method := range []string{"GET", "HEAD", "OPTIONS", "POST", "PUT", "DELETE"} {
		r, err := http.NewRequestWithContext(t.Context(), method, w.url+"/favicon.ico", nil)
		if err != nil {
			t.Fatal(err)
		}
		status, body := answer(t, r)
		if status != 400 || method != "HEAD" && !strings.Contains(body, "The request is not signed.") {
			t.Errorf("%s: %d %s", method, status, body)
		}
	}
}

// Who comes from another machine without TLS is told so in their own dialect. A line of plain text, which it once
// was, is a parser's error to most clients.
func TestPlainHTTPFromElsewhere(t *testing.T) {
	w := newWorld(t)
	for want, header := range map[string]http.Header{
		"<Code>UnauthorizedOperation</Code>":    {"Content-Type": {form}},
		`{"__type":"AccessDeniedException"`:     {"X-Amz-Target": {"CloudTrail_20131101.LookupEvents"}},
		`{"__type":"AuthException","Message":"`: {"X-Amz-Target": {"AWSEC2InstanceConnectService.SendSSHPublicKey"}},
	} {
		r := httptest.NewRequest("POST", "http://sallyport.example/", strings.NewReader("Action=DescribeRegions&Version=2016-11-15"))
		r.Header, r.RemoteAddr = header, "192.0.2.1:12345"
		answer := httptest.NewRecorder()
		w.pipeline.ServeHTTP(answer, r)
		if body := answer.Body.String(); !strings.Contains(body, want) || !strings.Contains(body, "Use https://") {
			t.Errorf("%d %s, want %s", answer.Code, body, want)
		}
	}
}
