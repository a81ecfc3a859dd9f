package controlplane_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/internal/awsapi"
	"github.com/sallyport/sallyport/internal/testkit"
)

const allowAll = `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}`

// record is an event as a log pipeline gets it: JSON, without knowledge of its fields.
type record map[string]any

// records returns the newest page of the trail, newest first.
func records(t *testing.T, s *testkit.System) []record {
	t.Helper()
	page, err := s.Clients(s.Root).Trail.LookupEvents(t.Context(), &cloudtrail.LookupEventsInput{})
	if err != nil {
		t.Fatal(err)
	}
	var found []record
	for _, e := range page.Events {
		var r record
		if err := json.Unmarshal([]byte(*e.CloudTrailEvent), &r); err != nil {
			t.Fatal(err)
		}
		found = append(found, r)
	}
	return found
}

// at returns the value at a path of names with dots between, nil if there is none.
func (r record) at(path string) any {
	var value any = map[string]any(r)
	for name := range strings.SplitSeq(path, ".") {
		object, _ := value.(map[string]any)
		value = object[name]
	}
	return value
}

func (r record) text(path string) string {
	text, _ := r.at(path).(string)
	return text
}

func (r record) is(source, name string) bool {
	return r.text("eventSource") == source && r.text("eventName") == name
}

// Security teams have rules for CloudTrail's events. The rules must match ours: each condition here restates a public
// rule, and is tried on the events of real calls.
func TestDetectionRulesMatch(t *testing.T) {
	s := testkit.Start(t)
	var machines []string
	for _, name := range []string{"web", "db", "mail"} {
		machines = append(machines, s.Host(t, name, "debian").InstanceID)
	}
	mina := s.Clients(s.User(t, "mina", allowAll))
	eve := s.Clients(s.User(t, "eve", allowAll))
	nobody := s.Clients(s.User(t, "nobody", ""))
	for _, machine := range machines {
		if code := pushKey(t.Context(), eve, machine, "debian"); code != "" {
			t.Fatal(code)
		}
	}
	for range 3 {
		if code := pushKey(t.Context(), mina, machines[0], "debian"); code != "" {
			t.Fatal(code)
		}
	}
	if code := pushKey(t.Context(), nobody, machines[0], "debian"); code != "AuthException" {
		t.Fatal(code)
	}
	for _, call := range []func() error{
		func() error { _, err := nobody.EC2.DescribeInstances(t.Context(), nil); return err },
		func() error { _, err := nobody.IAM.ListUsers(t.Context(), nil); return err },
		func() error { _, err := nobody.Trail.LookupEvents(t.Context(), nil); return err },
	} {
		if call() == nil {
			t.Fatal("a user without a policy is answered")
		}
	}
	another := &iam.CreateAccessKeyInput{UserName: aws.String("nobody")}
	if _, err := eve.IAM.CreateAccessKey(t.Context(), another); err != nil {
		t.Fatal(err)
	}
	if _, err := mina.IAM.CreateAccessKey(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if _, err := eve.STS.GetSessionToken(t.Context(), nil); err != nil {
		t.Fatal(err)
	}

	const connect = "ec2-instance-connect.amazonaws.com"
	// Elastic, "AWS EC2 Instance Connect SSH Public Key Uploaded": pushes that succeeded.
	uploaded := func(r record) bool { return r.is(connect, "SendSSHPublicKey") && r.at("errorCode") == nil }
	// Sigma, "AWS IAM Backdoor Users Keys": an access key that another user has made.
	backdoor := func(r record) bool {
		return r.is("iam.amazonaws.com", "CreateAccessKey") && r.at("errorCode") == nil &&
			!strings.Contains(r.text("userIdentity.arn"), r.text("responseElements.accessKey.userName"))
	}
	// Sigma, "AWS STS GetSessionToken Misuse".
	sessions := func(r record) bool {
		return r.is("sts.amazonaws.com", "GetSessionToken") && r.text("userIdentity.type") == "IAMUser"
	}
	// CIS AWS Foundations Benchmark, "unauthorized API calls": either of two error names, with anything before or after
	// it.
	denied := func(r record) bool {
		code := r.text("errorCode")
		return strings.HasSuffix(code, "UnauthorizedOperation") || strings.HasPrefix(code, "AccessDenied")
	}
	// Sigma, "AWS Root Credentials".
	root := func(r record) bool {
		return r.text("userIdentity.type") == "Root" && r.text("eventType") != "AwsServiceEvent"
	}
	alerts := map[string]map[string]int{"uploaded": {}, "backdoor": {}, "sessions": {}, "denied": {}, "root": {}}
	// Stratus Red Team, "Usage of EC2 Instance Connect on multiple instances": who pushed keys to which instances.
	spread := map[string]map[string]bool{}
	for _, r := range records(t, s) {
		who := r.text("userIdentity.userName")
		for name, rule := range map[string]func(record) bool{
			"uploaded": uploaded, "backdoor": backdoor, "sessions": sessions, "denied": denied, "root": root,
		} {
			if rule(r) {
				alerts[name][who]++
			}
		}
		if uploaded(r) {
			if spread[who] == nil {
				spread[who] = map[string]bool{}
			}
			spread[who][r.text("requestParameters.instanceId")] = true
		}
	}
	if alerts["root"][""] == 0 {
		t.Error("no call of the root user was noticed")
	}
	delete(alerts, "root")
	want := map[string]map[string]int{
		"uploaded": {"mina": 3, "eve": 3}, "sessions": {"eve": 1}, "denied": {"nobody": 4},
		"backdoor": {"eve": 1, "": 3}, // root made the users' first keys
	}
	if diff := cmp.Diff(want, alerts); diff != "" {
		t.Errorf("alerts (-want +got):\n%s", diff)
	}
	if len(spread["eve"]) != 3 || len(spread["mina"]) != 1 {
		t.Errorf("keys were spread to %v", spread)
	}
}

// An EC2 call by temporary credentials over TLS is recorded as CloudTrail would: sets, session context, TLS details.
func TestRecordOfACall(t *testing.T) {
	s := testkit.Start(t)
	machine := s.Host(t, "web", "debian").InstanceID
	session, err := s.Clients(s.User(t, "mina", allowAll)).STS.GetSessionToken(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	c := session.Credentials
	temporary := credentials.NewStaticCredentialsProvider(*c.AccessKeyId, *c.SecretAccessKey, *c.SessionToken)
	roots, authority := x509.NewCertPool(), filepath.Join(s.Data, "ca.pem")
	if text, err := os.ReadFile(authority); err != nil || !roots.AppendCertsFromPEM(text) {
		t.Fatalf("%s: %v", authority, err)
	}
	host := strings.TrimPrefix(s.Endpoint, "http://")
	mina := testkit.NewClients("https://"+host, temporary)
	mina.Config.HTTPClient = &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}}
	api := ec2.NewFromConfig(mina.Config)
	if _, err := api.CreateTags(t.Context(), &ec2.CreateTagsInput{
		Resources: []string{machine}, Tags: []ec2types.Tag{{Key: aws.String("tier"), Value: aws.String("prod")}},
	}); err != nil {
		t.Fatal(err)
	}
	r := records(t, s)[0]
	created := r.text("userIdentity.sessionContext.attributes.creationDate")
	for path, want := range map[string]any{
		"eventVersion": "1.11", "eventName": "CreateTags", "eventType": "AwsApiCall",
		"requestParameters": map[string]any{
			"resourcesSet": map[string]any{"items": []any{map[string]any{"resourceId": machine}}},
			"tagSet":       map[string]any{"items": []any{map[string]any{"key": "tier", "value": "prod"}}},
		},
		"responseElements":         map[string]any{"_return": true, "requestId": r.text("requestID")},
		"userIdentity.accessKeyId": *c.AccessKeyId,
		"userIdentity.sessionContext": map[string]any{
			"attributes": map[string]any{"creationDate": created, "mfaAuthenticated": "false"},
		},
		"tlsDetails": map[string]any{
			"tlsVersion": "TLSv1.3", "cipherSuite": "TLS_AES_128_GCM_SHA256", "clientProvidedHostHeader": host,
		},
	} {
		if diff := cmp.Diff(want, r.at(path)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", path, diff)
		}
	}
	if len(created) != len("2026-11-22T02:02:10Z") {
		t.Errorf("the session began at %q", created)
	}
	if _, err := s.Clients(s.Root).IAM.ListUsers(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	r = records(t, s)[0]
	if r.at("resources") != nil || r.at("tlsDetails") != nil || r.at("userIdentity.sessionContext") != nil {
		t.Errorf("a listing with a long-lived key on plain HTTP: %v", r)
	}
}

// A user makes calls that are refused before it is known what they ask for. Each is an event of theirs, which is small,
// and what they wrote does not become the name of anything.
func TestCallsThatAreRefusedEarly(t *testing.T) {
	s := testkit.Start(t)
	mina := s.User(t, "mina", allowAll)
	form := func(service, body string) captured { return capture(t, s, mina, service, formHeader, body) }
	odd := "Console\n\"Login" + strings.Repeat("x", 10_000)
	json := func(target string) captured {
		return capture(t, s, mina, "ec2-instance-connect", map[string]string{"X-Amz-Target": target}, "{}")
	}
	const ec2, iam, unknown = "ec2.amazonaws.com", "iam.amazonaws.com", "UnknownOperation"
	for name, attempt := range map[string]struct {
		call               captured
		source, event, who string
	}{
		"an odd name":         {form("iam", "Version=2010-05-08&Action="+url.QueryEscape(odd)), iam, unknown, "mina"},
		"no name":             {form("iam", "Version=2010-05-08"), iam, unknown, "mina"},
		"two names":           {form("iam", "Action=GetUser&Action=ListUsers&Version=2010-05-08"), iam, unknown, "mina"},
		"another version":     {form("ec2", "Action=DescribeInstances&Version=2006-06-26"), ec2, unknown, "mina"},
		"not served":          {form("ec2", "Action=DescribeVpcs&Version=2016-11-15"), ec2, "DescribeVpcs", "mina"},
		"a service not ours":  {form("rds", "Action=DescribeDBInstances&Version=2014-10-31"), "unknown", unknown, "mina"},
		"a body too large":    {form("iam", strings.Repeat("x", awsapi.MaxBody+1)), iam, unknown, ""},
		"another JSON target": {json("Other.ConsoleLogin"), "ec2-instance-connect.amazonaws.com", unknown, "mina"},
	} {
		before := len(s.Events(t))
		if status, answer := attempt.call.send(t); status != http.StatusBadRequest {
			t.Errorf("%s: %d %s", name, status, answer)
		}
		events := s.Events(t)
		e := events[len(events)-1]
		if len(events) != before+2 { // reading the trail before left one, too
			t.Errorf("%s: %d events", name, len(events)-before-1)
		}
		if e.Source != attempt.source || e.Name != attempt.event || e.Identity.UserName != attempt.who || e.ErrorCode == "" ||
			e.Identity.AccessKeyID == "" {
			t.Errorf("%s: %+v", name, e)
		}
		if text, err := e.Record(); err != nil || len(text) > 4<<10 {
			t.Errorf("%s takes %d bytes, %v", name, len(text), err)
		}
	}
}
