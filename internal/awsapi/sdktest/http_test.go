package sdktest

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/internal/awsapi"
)

const form = "application/x-www-form-urlencoded; charset=utf-8"

// sent sends a request as the service's client does, signed by the root user. It returns the status and the body of the
// answer.
func (w *world) sent(service, method, body string, header http.Header) (int, string) {
	w.t.Helper()
	r, err := http.NewRequestWithContext(w.t.Context(), method, w.url+"/", strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	for name, values := range header {
		r.Header[http.CanonicalHeaderKey(name)] = values
	}
	sign(w.t, w.root(), service, r, []byte(body))
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

// If a client has one endpoint URL for all of AWS, calls of every service arrive here. Their clients must be able to
// read the refusal: botocore ended in a parser's error when CloudFormation was answered in JSON.
func TestServicesNotServed(t *testing.T) {
	w := newWorld(t)
	forms := http.Header{"Content-Type": {form}}
	json := http.Header{
		"Content-Type": {"application/x-amz-json-1.0"}, "X-Amz-Target": {"DynamoDB_20120810.ListTables"},
	}
	const inXML, inJSON = "<ErrorResponse", `{"__type":"UnknownOperationException"`
	for service, test := range map[string]struct {
		method, body string
		header       http.Header
		want         string
	}{
		"cloudformation": {"POST", "Action=ListStacks&Version=2010-05-15", forms, inXML},
		"s3":             {"GET", "", nil, inXML},
		"dynamodb":       {"POST", "{}", json, inJSON},
		"eks":            {"GET", "", nil, inJSON},
	} {
		status, body := w.sent(service, test.method, test.body, test.header)
		served := strings.Contains(body, "not served here. Served are: cloudtrail, ec2, ")
		if status != 400 || !strings.Contains(body, test.want) || !served {
			t.Errorf("%s is answered with %d %s", service, status, body)
		}
	}
}

// A body that cannot be read is refused in the protocol of its sender. A body over the limit once ended the connection
// without an answer, because the service was not known yet.
func TestBodiesThatCannotBeRead(t *testing.T) {
	w := newWorld(t)
	target := http.Header{"X-Amz-Target": {"CloudTrail_20131101.LookupEvents"}}
	tooLarge := strings.Repeat("a", awsapi.MaxBody+1)
	forms := http.Header{"Content-Type": {form}}
	zipped := http.Header{"Content-Type": {form}, "Content-Encoding": {"gzip"}}
	chunked := http.Header{
		"Content-Type": {form}, "Content-Encoding": {"aws-chunked"},
		"X-Amz-Content-Sha256": {"STREAMING-UNSIGNED-PAYLOAD-TRAILER"},
	}
	const limit = "larger than 1048576 bytes"
	for name, test := range map[string]struct {
		service, body string
		header        http.Header
		want          []string
	}{
		"too large, ec2":        {"ec2", tooLarge, forms, []string{"<Response><Errors>", "InvalidRequest", limit}},
		"too large, cloudtrail": {"cloudtrail", tooLarge, target, []string{`{"__type":"SerializationException"`, limit}},
		"too large, no service": {"s3", tooLarge, nil, []string{"<ErrorResponse", limit}},
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

// Probes and browsers send requests that are not signed and name no operation. They get an answer as well.
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

// A client that comes from another machine without TLS is told so in its own protocol. The answer was once a line of
// plain text, on which most clients end in a parser's error.
func TestPlainHTTPFromElsewhere(t *testing.T) {
	w := newWorld(t)
	const regions = "Action=DescribeRegions&Version=2016-11-15"
	for want, header := range map[string]http.Header{
		"<Code>UnauthorizedOperation</Code>":    {"Content-Type": {form}},
		`{"__type":"AccessDeniedException"`:     {"X-Amz-Target": {"CloudTrail_20131101.LookupEvents"}},
		`{"__type":"AuthException","Message":"`: {"X-Amz-Target": {"AWSEC2InstanceConnectService.SendSSHPublicKey"}},
	} {
		r := httptest.NewRequest("POST", "http://sallyport.example/", strings.NewReader(regions))
		r.Header, r.RemoteAddr = header, "192.0.2.1:12345"
		answer := httptest.NewRecorder()
		w.pipeline.ServeHTTP(answer, r)
		if body := answer.Body.String(); !strings.Contains(body, want) || !strings.Contains(body, "Use https://") {
			t.Errorf("%d %s, want %s", answer.Code, body, want)
		}
	}
}
