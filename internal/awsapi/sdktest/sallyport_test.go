package sdktest

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/sallyport/sallyport/internal/awsapi/sallyport"
	"github.com/sallyport/sallyport/internal/ca"
	"github.com/sallyport/sallyport/internal/gate"
	"github.com/sallyport/sallyport/internal/hostproto"
)

// call calls an operation of our own service, for which there is no SDK. It returns the status and the error's code.
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
	sign(t, config, sallyport.Name, r, body)
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

// answered calls an operation and fails the test unless the answer has the status and the error's code.
func answered(t *testing.T, config aws.Config, operation string, in any, status int, code string) {
	t.Helper()
	if got, gotCode := call(t, config, operation, in, new(any)); got != status || gotCode != code {
		t.Errorf("%s of %+v: %d %s, want %d %s", operation, in, got, gotCode, status, code)
	}
}

func TestCreateHostToken(t *testing.T) {
	w := newWorld(t)
	var out sallyport.CreateHostTokenOutput
	in := sallyport.CreateHostTokenInput{
		Name: "web", AvailabilityZone: "on-prem-1b", Tags: []sallyport.Tag{{Key: "team", Value: "a"}}, DurationSeconds: 600,
	}
	if status, code := call(t, w.root(), "CreateHostToken", in, &out); status != 200 {
		t.Fatal(status, code)
	}
	token, err := hostproto.ParseToken(out.Token)
	if err != nil {
		t.Fatal(err)
	}
	fingerprint, _ := ca.Fingerprint(w.authority.Certificate().Raw)
	if token.ID != out.TokenId || token.Server != "https://sallyport.example:8443" || token.Fingerprint != fingerprint {
		t.Errorf("token %+v", token)
	}
	if left := time.Until(time.Unix(out.Expires, 0)); left > 10*time.Minute || left < 5*time.Minute {
		t.Errorf("the token expires in %v", left)
	}
	e := w.last()
	record, _ := e.Record()
	if strings.Contains(string(record), out.Token) || e.Name != "CreateHostToken" || e.Response["tokenId"] != out.TokenId {
		t.Errorf("the event is %s", record)
	}
	host := w.redeem(token.ID, gate.Secret(token.Secret))
	if host.Tags["Name"] != "web" || host.Tags["team"] != "a" || host.Zone != "on-prem-1b" {
		t.Errorf("enrolled as %+v", host)
	}

	for _, bad := range []sallyport.CreateHostTokenInput{
		{AvailabilityZone: "us-east-1a"},
		{DurationSeconds: 86401},
		{DurationSeconds: 1 << 60},
		{DurationSeconds: -1},
		{Name: "a", Tags: []sallyport.Tag{{Key: "Name", Value: "b"}}},
	} {
		answered(t, w.root(), "CreateHostToken", bad, 400, "ValidationException")
	}
	alice := w.user("alice", allow("sallyport:CreateHostToken", "*", `"StringEquals":{"aws:RequestTag/team":"a"}`))
	answered(t, alice, "CreateHostToken", sallyport.CreateHostTokenInput{Name: "x"}, 403, "AccessDeniedException")
	answered(t, alice, "CreateHostToken", sallyport.CreateHostTokenInput{Tags: in.Tags}, 200, "")
}

func TestDescribeHosts(t *testing.T) {
	w := newWorld(t)
	id := w.enroll(nil)
	for range 6 {
		w.enroll(nil)
	}
	var out sallyport.DescribeHostsOutput
	one := sallyport.DescribeHostsInput{InstanceIds: []string{id}}
	if status, code := call(t, w.root(), "DescribeHosts", one, &out); status != 200 || len(out.Hosts) != 1 {
		t.Fatal(status, code)
	}
	h := out.Hosts[0]
	if h.InstanceId != id || h.SshPort != 22 || len(h.HostKeys) != 1 || len(h.Addresses) != 3 || len(h.Users) != 2 ||
		!h.Linked || h.State != "running" || h.OperatingSystem == "" {
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
	// A page of 0 was once a page of all hosts, here and not in EC2.
	for _, size := range []int32{0, 4, 1001} {
		in := sallyport.DescribeHostsInput{MaxResults: &size}
		answered(t, w.root(), "DescribeHosts", in, 400, "ValidationException")
	}
	malformed := sallyport.DescribeHostsInput{InstanceIds: []string{"x"}}
	answered(t, w.root(), "DescribeHosts", malformed, 400, "ValidationException")
	missing := sallyport.DescribeHostsInput{InstanceIds: []string{"i-00000000"}}
	answered(t, w.root(), "DescribeHosts", missing, 404, "ResourceNotFoundException")
	answered(t, w.root(), "DeleteHosts", struct{}{}, 400, "UnknownOperationException")
	alice := w.user("alice", allow("sallyport:DescribeHosts", "arn:aws:ec2:*:*:instance/"+id, ""))
	answered(t, alice, "DescribeHosts", one, 200, "")
	answered(t, alice, "DescribeHosts", sallyport.DescribeHostsInput{}, 403, "AccessDeniedException")
}
