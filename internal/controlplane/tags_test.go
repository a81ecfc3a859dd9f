package controlplane_test

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/aws-sdk-go-v2/service/ec2instanceconnect"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	iamtypes "github.com/aws/aws-sdk-go-v2/service/iam/types"

	"github.com/sallyport/sallyport/internal/testkit"
)

// A condition on a resource's tags applies to instances and to users alike, whichever room keeps them.
func TestTagsOfEveryRoomReachTheGate(t *testing.T) {
	s := testkit.Start(t)
	root := s.Clients(s.Root)
	machine := s.Host(t, "web", "debian")
	mina := s.Clients(s.User(t, "mina", `{"Version":"2012-10-17","Statement":[
		{"Effect":"Allow","Action":"*","Resource":"*"},
		{"Effect":"Deny","Action":"*","Resource":"*","Condition":{"StringEquals":{"aws:ResourceTag/tier":"locked"}}}]}`))
	s.User(t, "victim", "")

	push := func() error {
		_, err := mina.EIC.SendSSHPublicKey(t.Context(), &ec2instanceconnect.SendSSHPublicKeyInput{
			InstanceId: &machine.InstanceID, InstanceOSUser: aws.String("debian"), SSHPublicKey: aws.String(publicKey),
		})
		return err
	}
	read := func() error {
		_, err := mina.IAM.GetUser(t.Context(), &iam.GetUserInput{UserName: aws.String("victim")})
		return err
	}
	if err := push(); err != nil {
		t.Errorf("an untagged instance: %v", err)
	}
	if err := read(); err != nil {
		t.Errorf("an untagged user: %v", err)
	}
	if _, err := root.EC2.CreateTags(t.Context(), &ec2.CreateTagsInput{
		Resources: []string{machine.InstanceID},
		Tags:      []ec2types.Tag{{Key: aws.String("tier"), Value: aws.String("locked")}},
	}); err != nil {
		t.Fatal(err)
	}
	if _, err := root.IAM.TagUser(t.Context(), &iam.TagUserInput{
		UserName: aws.String("victim"), Tags: []iamtypes.Tag{{Key: aws.String("tier"), Value: aws.String("locked")}},
	}); err != nil {
		t.Fatal(err)
	}
	if push() == nil {
		t.Error("a locked instance was reached")
	}
	if read() == nil {
		t.Error("a locked user was read")
	}
}
