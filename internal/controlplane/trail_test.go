package controlplane_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2instanceconnect"
	"github.com/aws/smithy-go"

	"github.com/sallyport/sallyport/internal/testkit"
	"github.com/sallyport/sallyport/internal/testkit/wait"
	"github.com/sallyport/sallyport/internal/trail"
)

func parseEvent(t *testing.T, text string) trail.Event {
	t.Helper()
	var event trail.Event
	if err := json.Unmarshal([]byte(text), &event); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return event
}

// codeOf returns the error code of an API call.
func codeOf(err error) string {
	var refused smithy.APIError
	if errors.As(err, &refused) {
		return refused.ErrorCode()
	}
	return ""
}

// TestTrailTellsTheStory follows a key from the push to sshd. There is one event for the call and one for each release,
// joined by the request id. A denied and a failed call have an event too.
func TestTrailTellsTheStory(t *testing.T) {
	s := testkit.Start(t)
	machine := s.Host(t, "web", "debian")
	mina := s.Clients(s.User(t, "mina",
		`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"ec2-instance-connect:SendSSHPublicKey",
		"Resource":"arn:aws:ec2:*:123456789012:instance/*","Condition":{"StringEquals":{"ec2:osuser":["debian","ghost"]}}}}`))
	push := func(user string) (string, error) {
		out, err := mina.EIC.SendSSHPublicKey(t.Context(), &ec2instanceconnect.SendSSHPublicKeyInput{
			InstanceId: &machine.InstanceID, InstanceOSUser: &user, SSHPublicKey: aws.String(publicKey)})
		if err != nil {
			return "", err
		}
		return *out.RequestId, nil
	}
	granted, err := push("debian")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := push("root"); codeOf(err) != "AuthException" ||
		!strings.Contains(err.Error(), "no identity-based policy allows") {
		t.Errorf("another user: %v", err)
	}
	if _, err := push("ghost"); codeOf(err) != "InvalidArgsException" || !strings.Contains(err.Error(), "debian") {
		t.Errorf("a user the machine does not have: %v", err)
	}
	machine.Release(granted, "debian")
	machine.Release(granted, "debian")

	var pushes, releases []trail.Event
	deadline := time.Now().Add(wait.Patience)
	for ; len(releases) < 2 && time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		pushes, releases = nil, nil
		for _, e := range s.Events(t) {
			switch e.Name {
			case "SendSSHPublicKey":
				pushes = append(pushes, e)
			case "ReleaseSSHPublicKey":
				releases = append(releases, e)
			}
		}
	}
	if len(pushes) != 3 || len(releases) != 2 {
		t.Fatalf("%d pushes and %d releases in the trail", len(pushes), len(releases))
	}
	for i, want := range []string{"", "AccessDenied", "InvalidArgsException"} {
		e := pushes[i]
		if e.ErrorCode != want || e.Identity.UserName != "mina" ||
			e.Source != "ec2-instance-connect.amazonaws.com" || e.SourceIP != "127.0.0.1" ||
			!strings.Contains(e.UserAgent, "aws-sdk-go-v2") || e.Parameters["osUser"] == nil ||
			e.Response != nil || e.Parameters["instanceId"] != machine.InstanceID ||
			e.ReadOnly || e.Type != trail.AwsAPICall || len(e.Resources) != 1 || e.Resources[0].Name() != machine.InstanceID {
			t.Errorf("push %d: %+v", i, e)
		}
	}
	if pushes[0].RequestID != granted {
		t.Errorf("the call's event bears the request id %s, the caller got %s", pushes[0].RequestID, granted)
	}
	for _, e := range releases {
		if e.RequestID != granted || e.Identity.UserName != "mina" || e.Type != trail.AwsServiceEvent ||
			e.ServiceDetails["instanceOSUser"] != "debian" {
			t.Errorf("release: %+v", e)
		}
	}
}

// A push to a host that is not linked fails at once, and nothing is granted, not even for later.
func TestOfflineHost(t *testing.T) {
	s := testkit.Start(t)
	machine := s.Host(t, "web", "debian")
	api := s.Clients(s.Root)
	machine.Disconnect()
	push := &ec2instanceconnect.SendSSHPublicKeyInput{
		InstanceId: &machine.InstanceID, InstanceOSUser: aws.String("debian"), SSHPublicKey: aws.String(publicKey),
	}
	for deadline := time.Now().Add(wait.Patience); ; time.Sleep(20 * time.Millisecond) {
		out, err := api.EC2.DescribeInstances(t.Context(), &ec2.DescribeInstancesInput{})
		if err != nil {
			t.Fatal(err)
		}
		if out.Reservations[0].Instances[0].State.Name == "stopped" {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the host still counts as running")
		}
	}
	if _, err := api.EIC.SendSSHPublicKey(t.Context(), push); codeOf(err) != "EC2InstanceStateInvalidException" {
		t.Errorf("%v", err)
	}
	if err := machine.Connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	if grants, _ := machine.Grants.Find("debian", ""); len(grants) != 0 {
		t.Error("the refused key was granted when the host came back")
	}
	if _, err := api.EIC.SendSSHPublicKey(t.Context(), push); err != nil {
		t.Errorf("linked again: %v", err)
	}
}

// The agent of a terminated instance is told, its key is no longer valid, and the instance is visible for a while.
func TestTerminateUnenrolls(t *testing.T) {
	s := testkit.Start(t)
	machine := s.Host(t, "web", "debian")
	api := s.Clients(s.Root)
	out, err := api.EC2.TerminateInstances(t.Context(),
		&ec2.TerminateInstancesInput{InstanceIds: []string{machine.InstanceID}})
	if err != nil || out.TerminatingInstances[0].CurrentState.Name != "terminated" {
		t.Fatalf("%+v %v", out, err)
	}
	select {
	case <-machine.Stopped():
	case <-time.After(wait.Patience):
		t.Error("the agent goes on")
	}
	_, err = api.EIC.SendSSHPublicKey(t.Context(), &ec2instanceconnect.SendSSHPublicKeyInput{
		InstanceId: &machine.InstanceID, InstanceOSUser: aws.String("debian"), SSHPublicKey: aws.String(publicKey),
	})
	if codeOf(err) != "EC2InstanceStateInvalidException" {
		t.Errorf("a push to a terminated instance: %v", err)
	}
}
