package controlplane_test

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/sallyport/sallyport/internal/testkit"
)

// A user may tag machines as they like, but for the tag "tier", on which everybody's rights hang. They write it with
// letters of other alphabets, some of which are made i, k or s by one rule of upper and lower case and not by another:
// what passes the Deny must not count as the tag afterwards.
func TestTagKeyInOtherLetters(t *testing.T) {
	s := testkit.Start(t)
	web := s.Host(t, "web", "debian")
	eve := s.Clients(s.User(t, "eve", `{"Version":"2012-10-17","Statement":[
		{"Effect":"Allow","Action":"ec2:CreateTags","Resource":"*"},
		{"Effect":"Deny","Action":"ec2:CreateTags","Resource":"*",
			"Condition":{"ForAnyValue:StringEqualsIgnoreCase":{"aws:TagKeys":["tier","risk"]}}},
		{"Effect":"Deny","Action":"ec2:CreateTags","Resource":"*","Condition":{"Null":{"aws:RequestTag/tier":"false"}}},
		{"Effect":"Allow","Action":"ec2-instance-connect:SendSSHPublicKey","Resource":"*",
			"Condition":{"StringEquals":{"aws:ResourceTag/tier":"open"}}},
		{"Effect":"Allow","Action":"ec2-instance-connect:SendSSHPublicKey","Resource":"*",
			"Condition":{"StringEquals":{"aws:ResourceTag/risk":"open"}}}]}`))
	for _, key := range []string{"TİER", "tıer", "tieR", "Tier", "rİsk", "ri\u017fk", "ris\u212a", "RI\u017f\u212a"} {
		eve.EC2.CreateTags(t.Context(), &ec2.CreateTagsInput{
			Resources: []string{web.InstanceID}, Tags: []ec2types.Tag{{Key: &key, Value: aws.String("open")}},
		})
		if code := pushKey(t.Context(), eve, web.InstanceID, "debian"); code != "AuthException" {
			t.Errorf("tagged %q, and let in: %q", key, code)
		}
	}
}
