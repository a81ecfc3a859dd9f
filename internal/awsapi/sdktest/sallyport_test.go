package sdktest

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/sallyport/sallyport/internal/awsapi/sallyport"
	"github.com/sallyport/sallyport/internal/ca"
	"github.com/sallyport/sallyport/internal/gate"
	"github.com/sallyport/sallyport/internal/hostproto"
)

// call makes a signed request to our own service, for which there is no SDK, and returns the status and the
// error's code.
func call(t *testing.T, config aws.Config, operation string, in, out any) (int, string) {
	t.Helper()
	body, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(t.Context(), "POST", *config.BaseEndpoint, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-amz-json-1.1")
	r.Header.Set("X-Amz-Target", sallyport.Target+"."+operation)
	sum := sha256.Sum256(body)
	keys, err := config.Credentials.Retrieve(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := v4.NewSigner().SignHTTP(t.Context(), keys, r, hex.EncodeToString(sum[:]), sallyport.Name, config.Region, time.Now()); err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	if response.StatusCode == 200 {
		if err := json.Unmarshal(answer, out); err != nil {
			t.Fatalf("%v: %s", err, answer)
		}
	}
	return response.StatusCode, response.Header.Get("X-Amzn-Errortype")
}

func TestCreateHostToken(t *testing.T) {
	w := newWorld(t)
	var out sallyport.CreateHostTokenOutput
	in := sallyport.CreateHostTokenInput{Name: "web", AvailabilityZone: "on-prem-1b", Tags: []sallyport.Tag{{Key: "team", Value: "a"}}, DurationSeconds: 600}
	if status, code := call(t, w.root(), "CreateHostToken", in, &out); status != 200 {
		t.Fatal(status, code)
	}
	token, err := hostproto.ParseToken(out.Token)
	if err != nil {
		t.Fatal(err)
	}
	fingerprint, _ := ca.Fingerprint(w.authority.Certificate().Raw)
	left := time.Until(time.Unix(out.Expires, 0))
	if token.ID != out.TokenId || token.Server != "https://sallyport.example:8443" || token.Fingerprint != fingerprint || left > 10*time.Minute || left < 5*time.Minute {
		t.Errorf("token %+v, expires in %v", token, left)
	}
	e := w.last()
	if record, _ := e.Record(); strings.Contains(string(record), out.Token) || e.Name != "CreateHostToken" || e.Response["tokenId"] != out.TokenId {
		t.Errorf("the event is %s", record)
	}
	host := w.redeem(token.ID, gate.Secret(token.Secret))
	if host.Tags["Name"] != "web" || host.Tags["team"] != "a" || host.Zone != "on-prem-1b" {
		t.Errorf("enrolled as %+v", host)
	}

	for name, bad := range map[string]sallyport.CreateHostTokenInput{
		"zone":      {AvailabilityZone: "us-east-1a"},
		"too long":  {DurationSeconds: 86401},
		"overflow":  {DurationSeconds: 1 << 60},
		"negative":  {DurationSeconds: -1},
		"two names": {Name: "a", Tags: []sallyport.Tag{{Key: "Name", Value: "b"}}},
	} {
		if status, code := call(t, w.root(), "CreateHostToken", bad, &out); status != 400 || code != "ValidationException" {
			t.Errorf("%s: %d %s", name, status, code)
		}
	}
	alice := w.user("alice", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"sallyport:CreateHostToken","Resource":"*","Condition":{"StringEquals":{"aws:RequestTag/team":"a"}}}]}`)
	if status, code := call(t, alice, "CreateHostToken", sallyport.CreateHostTokenInput{Name: "x"}, &out); status != 403 || code != "AccessDeniedException" {
		t.Errorf("without the tag: %d %s", status, code)
	}
	if status, code := call(t, alice, "CreateHostToken", sallyport.CreateHostTokenInput{Tags: in.Tags}, &out); status != 200 {
		t.Errorf("with the tag: %d %s", status, code)
	}
}

func TestDescribeHosts(t *testing.T) {
	w := newWorld(t)
	id := w.enroll(nil)
	for range 6 {
		w.enroll(nil)
	}
	var out sallyport.DescribeHostsOutput
	if status, code := call(t, w.root(), "DescribeHosts", sallyport.DescribeHostsInput{InstanceIds: []string{id}}, &out); status != 200 || len(out.Hosts) != 1 {
		t.Fatal(status, code)
	}
	h := out.Hosts[0]
	if h.InstanceId != id || h.SshPort != 22 || len(h.HostKeys) != 1 || len(h.Addresses) != 3 || len(h.Users) != 2 || !h.Linked || h.State != "running" || h.OperatingSystem == "" {
		t.Errorf("the host is %+v", h)
	}
	seen := map[string]bool{}
	in := sallyport.DescribeHostsInput{MaxResults: aws.Int32(5)}
	for {
		out = sallyport.DescribeHostsOutput{}
		if status, code := call(t, w.root(), "DescribeHosts", in, &out); status != 200 {
			t.Fatal(status, code)
		}
		for _, h := range out.Hosts {
			seen[h.InstanceId] = true
		}
		if in.NextToken = out.NextToken; in.NextToken == "" {
			break
		}
	}
	if len(seen) != 7 {
		t.Errorf("%d hosts of 7", len(seen))
	}
	// Zero results asked for once meant all of them, here and not in EC2.
	for _, size := range []int32{0, 4, 1001} {
		if status, code := call(t, w.root(), "DescribeHosts", sallyport.DescribeHostsInput{MaxResults: &size}, &out); status != 400 || code != "ValidationException" {
			t.Errorf("a page of %d: %d %s", size, status, code)
		}
	}
	if status, code := call(t, w.root(), "DescribeHosts", sallyport.DescribeHostsInput{InstanceIds: []string{"x"}}, &out); status != 400 || code != "ValidationException" {
		t.Errorf("malformed: %d %s", status, code)
	}
	if status, code := call(t, w.root(), "DescribeHosts", sallyport.DescribeHostsInput{InstanceIds: []string{"i-00000000"}}, &out); status != 404 || code != "ResourceNotFoundException" {
		t.Errorf("missing: %d %s", status, code)
	}
	if status, code := call(t, w.root(), "DeleteHosts", struct{}{}, &out); status != 400 || code != "UnknownOperationException" {
		t.Errorf("unknown: %d %s", status, code)
	}
	alice := w.user("alice", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"sallyport:DescribeHosts","Resource":"arn:aws:ec2:*:*:instance/`+id+`"}]}`)
	if status, code := call(t, alice, "DescribeHosts", sallyport.DescribeHostsInput{InstanceIds: []string{id}}, &out); status != 200 {
		t.Errorf("one's own: %d %s", status, code)
	}
	if status, code := call(t, alice, "DescribeHosts", sallyport.DescribeHostsInput{}, &out); status != 403 || code != "AccessDeniedException" {
		t.Errorf("all: %d %s", status, code)
	}
}
