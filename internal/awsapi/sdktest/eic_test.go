package sdktest

import (
	"crypto/rand"
	"crypto/rsa"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
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
	if !out.Success || *out.RequestId != delivered.RequestID {
		t.Errorf("answered %+v", out)
	}
	if delivered.OSUser != "admin" || delivered.PublicKey != strings.TrimSpace(key) {
		t.Errorf("delivered %+v", delivered)
	}
	e := w.last()
	if e.Name != "SendSSHPublicKey" || e.Source != "ec2-instance-connect.amazonaws.com" || e.RequestID != *out.RequestId ||
		e.ReadOnly || e.Response != nil || len(e.Resources) != 1 {
		t.Errorf("the event is %+v", e)
	}
	want := map[string]any{
		"instanceId": id, "osUser": "admin", "availabilityZone": "on-prem-1a", "SSHKey": map[string]any{"publicKey": key},
	}
	if diff := cmp.Diff(want, e.Parameters); diff != "" {
		t.Errorf("requestParameters (-want +got):\n%s", diff)
	}
}

// Each refusal has AWS's code and a text that says what to do.
func TestSendSSHPublicKeyErrors(t *testing.T) {
	w := newWorld(t)
	id, gone, offline := w.enroll(nil), w.enroll(nil), w.enroll(nil)
	if _, err := ec2Client(w.root()).TerminateInstances(t.Context(), terminating(gone)); err != nil {
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
	const (
		args   = "InvalidArgsException"
		absent = "EC2InstanceNotFoundException"
		state  = "EC2InstanceStateInvalidException"
	)
	key := func(text string) func(*input) { return func(in *input) { in.SSHPublicKey = &text } }
	instance := func(id string) func(*input) { return func(in *input) { in.InstanceId = &id } }
	zone := func(name string) func(*input) { return func(in *input) { in.AvailabilityZone = &name } }
	user := func(name string) func(*input) { return func(in *input) { in.InstanceOSUser = &name } }
	for name, test := range map[string]struct {
		spoil  func(*input)
		status int
		code   string
		says   string
	}{
		"several lines":    {key(publicKey() + publicKey()), 400, args, "line"},
		"5 KB":             {key(strings.TrimSpace(publicKey()) + strings.Repeat("x", 5000)), 400, args, "4096"},
		"DSA":              {key("ssh-dss " + strings.Repeat("AAAA", 30)), 400, args, "ssh-keygen"},
		"RSA 1024":         {key(rsaKey(1024)), 400, args, "2048"},
		"empty key":        {key(""), 400, args, "SSHPublicKey"},
		"malformed id":     {instance("web-1"), 400, args, "describe-instances"},
		"unknown instance": {instance("i-00000000000000000"), 404, absent, "does not exist"},
		"odd id":           {instance("i-000000000"), 404, absent, "does not exist"},
		"wrong zone":       {zone("on-prem-1b"), 400, args, "on-prem-1a"},
		"long user":        {user(strings.Repeat("u", 33)), 400, args, "32"},
		"user with slash":  {user("a/b"), 400, args, "OS user"},
		"unknown user":     {user("nobody-here"), 400, args, "admin, root"},
		"terminated":       {instance(gone), 400, state, "un-enrolled"},
		"offline":          {instance(offline), 400, state, "Nothing was granted"},
	} {
		t.Run(name, func(t *testing.T) {
			in := &input{InstanceId: &id, InstanceOSUser: aws.String("admin"), SSHPublicKey: aws.String(publicKey())}
			test.spoil(in)
			_, err := eicClient(w.root()).SendSSHPublicKey(t.Context(), in)
			refused(t, err, test.status, test.code, test.says)
			if e := w.last(); e.ErrorCode != test.code || e.Response != nil {
				t.Errorf("the event is %+v", e)
			}
		})
	}

	send := &input{InstanceId: &id, InstanceOSUser: aws.String("root"), SSHPublicKey: aws.String(publicKey())}
	alice := w.user("alice", allow("ec2-instance-connect:SendSSHPublicKey", "arn:aws:ec2:*:*:instance/*",
		`"StringEquals":{"ec2:osuser":"admin"}`))
	_, err := eicClient(alice).SendSSHPublicKey(t.Context(), send)
	refused(t, err, 403, "AuthException", "ec2-instance-connect:SendSSHPublicKey", id)
	send.InstanceOSUser = aws.String("admin")
	if _, err := eicClient(alice).SendSSHPublicKey(t.Context(), send); err != nil {
		t.Error(err)
	}
	root := w.root()
	w.mu.Lock()
	w.ahead = 20 * time.Minute
	w.mu.Unlock()
	_, err = eicClient(root).SendSSHPublicKey(t.Context(), send)
	refused(t, err, 400, "InvalidSignatureException", "clock")
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
