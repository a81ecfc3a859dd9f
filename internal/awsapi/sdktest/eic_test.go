package sdktest

import (
	"crypto/rand"
	"crypto/rsa"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsec2 "github.com/aws/aws-sdk-go-v2/service/ec2"
	awseic "github.com/aws/aws-sdk-go-v2/service/ec2instanceconnect"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/internal/access"
	"github.com/sallyport/sallyport/internal/fault"
)

func TestSendSSHPublicKey(t *testing.T) {
	w := newWorld(t)
	id := w.enroll(nil)
	var delivered access.Grant
	w.deliver = func(g access.Grant) error { delivered = g; return nil }
	key := publicKey()
	out, err := eicClient(w.root()).SendSSHPublicKey(t.Context(), &awseic.SendSSHPublicKeyInput{
		InstanceId: &id, InstanceOSUser: aws.String("admin"), SSHPublicKey: &key, AvailabilityZone: aws.String("on-prem-1a"),
	})
	if err != nil {
		t.Fatal(err)
	}
	if !out.Success || *out.RequestId != delivered.RequestID || delivered.OSUser != "admin" || delivered.PublicKey != strings.TrimSpace(key) {
		t.Errorf("answered %+v, delivered %+v", out, delivered)
	}
	e := w.last()
	if e.Name != "SendSSHPublicKey" || e.Source != "ec2-instance-connect.amazonaws.com" || e.RequestID != *out.RequestId || e.ReadOnly ||
		e.Response != nil || len(e.Resources) != 1 {
		t.Errorf("the event is %+v", e)
	}
	want := map[string]any{
		"instanceId": id, "osUser": "admin", "availabilityZone": "on-prem-1a", "SSHKey": map[string]any{"publicKey": key},
	}
	if diff := cmp.Diff(want, e.Parameters); diff != "" {
		t.Errorf("requestParameters (-want +got):\n%s", diff)
	}
}

// Every way to be refused, each with AWS's code and a text that says what to do.
func TestSendSSHPublicKeyErrors(t *testing.T) {
	w := newWorld(t)
	id, gone, offline := w.enroll(nil), w.enroll(nil), w.enroll(nil)
	if _, err := ec2Client(w.root()).TerminateInstances(t.Context(), &awsec2.TerminateInstancesInput{InstanceIds: []string{gone}}); err != nil {
		t.Fatal(err)
	}
	w.Dismiss(t.Context(), offline)
	w.deliver = func(g access.Grant) error {
		if g.OSUser == "nobody-here" {
			return fault.New(fault.NotFound, fault.OSUser, "no such user")
		}
		return nil
	}
	type input = awseic.SendSSHPublicKeyInput
	for name, test := range map[string]struct {
		spoil  func(*input)
		status int
		code   string
		says   string
	}{
		"several lines": {func(in *input) { in.SSHPublicKey = aws.String(publicKey() + publicKey()) }, 400, "InvalidArgsException", "line"},
		"5 KB": {func(in *input) {
			in.SSHPublicKey = aws.String(strings.TrimSpace(publicKey()) + strings.Repeat("x", 5000))
		}, 400, "InvalidArgsException", "4096"},
		"DSA":              {func(in *input) { in.SSHPublicKey = aws.String("ssh-dss " + strings.Repeat("AAAA", 30)) }, 400, "InvalidArgsException", "ssh-keygen"},
		"RSA 1024":         {func(in *input) { in.SSHPublicKey = aws.String(rsaKey(1024)) }, 400, "InvalidArgsException", "2048"},
		"empty key":        {func(in *input) { in.SSHPublicKey = aws.String("") }, 400, "InvalidArgsException", "SSHPublicKey"},
		"malformed id":     {func(in *input) { in.InstanceId = aws.String("web-1") }, 400, "InvalidArgsException", "describe-instances"},
		"unknown instance": {func(in *input) { in.InstanceId = aws.String("i-00000000000000000") }, 404, "EC2InstanceNotFoundException", "does not exist"},
		"odd id":           {func(in *input) { in.InstanceId = aws.String("i-000000000") }, 404, "EC2InstanceNotFoundException", "does not exist"},
		"wrong zone":       {func(in *input) { in.AvailabilityZone = aws.String("on-prem-1b") }, 400, "InvalidArgsException", "on-prem-1a"},
		"long user":        {func(in *input) { in.InstanceOSUser = aws.String(strings.Repeat("u", 33)) }, 400, "InvalidArgsException", "32"},
		"user with slash":  {func(in *input) { in.InstanceOSUser = aws.String("a/b") }, 400, "InvalidArgsException", "OS user"},
		"unknown user":     {func(in *input) { in.InstanceOSUser = aws.String("nobody-here") }, 400, "InvalidArgsException", "admin, root"},
		"terminated":       {func(in *input) { in.InstanceId = &gone }, 400, "EC2InstanceStateInvalidException", "un-enrolled"},
		"offline":          {func(in *input) { in.InstanceId = &offline }, 400, "EC2InstanceStateInvalidException", "Nothing was granted"},
	} {
		t.Run(name, func(t *testing.T) {
			in := &input{InstanceId: &id, InstanceOSUser: aws.String("admin"), SSHPublicKey: aws.String(publicKey())}
			test.spoil(in)
			_, err := eicClient(w.root()).SendSSHPublicKey(t.Context(), in)
			if says := refused(t, err, test.status, test.code); !strings.Contains(says, test.says) {
				t.Errorf("%q does not say %q", says, test.says)
			}
			if e := w.last(); e.ErrorCode != test.code || e.Response != nil {
				t.Errorf("the event is %+v", e)
			}
		})
	}

	send := &input{InstanceId: &id, InstanceOSUser: aws.String("root"), SSHPublicKey: aws.String(publicKey())}
	alice := w.user("alice", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"ec2-instance-connect:SendSSHPublicKey","Resource":"arn:aws:ec2:*:*:instance/*","Condition":{"StringEquals":{"ec2:osuser":"admin"}}}]}`)
	_, err := eicClient(alice).SendSSHPublicKey(t.Context(), send)
	if says := refused(t, err, 403, "AuthException"); !strings.Contains(says, "ec2-instance-connect:SendSSHPublicKey") || !strings.Contains(says, id) {
		t.Errorf("it says %q", says)
	}
	send.InstanceOSUser = aws.String("admin")
	if _, err := eicClient(alice).SendSSHPublicKey(t.Context(), send); err != nil {
		t.Error(err)
	}
	root := w.root()
	w.mu.Lock()
	w.ahead = 20 * time.Minute
	w.mu.Unlock()
	_, err = eicClient(root).SendSSHPublicKey(t.Context(), send)
	if says := refused(t, err, 400, "InvalidSignatureException"); !strings.Contains(says, "clock") {
		t.Errorf("it says %q", says)
	}
	w.mu.Lock()
	w.ahead = 0
	clear(w.principals)
	w.mu.Unlock()
	_, err = eicClient(root).SendSSHPublicKey(t.Context(), send)
	refused(t, err, 400, "UnrecognizedClientException")
}

// rsaKey makes a public key of the size.
func rsaKey(bits int) string {
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		panic(err)
	}
	public, err := ssh.NewPublicKey(key.Public())
	if err != nil {
		panic(err)
	}
	return string(ssh.MarshalAuthorizedKey(public))
}
