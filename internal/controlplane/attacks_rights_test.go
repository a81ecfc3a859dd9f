package controlplane_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/aws-sdk-go-v2/service/ec2instanceconnect"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/sallyport/sallyport/internal/controlplane"
	"github.com/sallyport/sallyport/internal/testkit"
	"github.com/sallyport/sallyport/internal/testkit/wait"
)

const pushAsDebian = `{"Version":"2012-10-17","Statement":{"Effect":"Allow",
	"Action":"ec2-instance-connect:SendSSHPublicKey","Resource":"*","Condition":{"StringEquals":{"ec2:osuser":"debian"}}}}`

// pushKey pushes publicKey and returns the call's error code, or "".
func pushKey(ctx context.Context, who testkit.Clients, instance, user string) string {
	_, err := push(ctx, who, instance, user, publicKey)
	if err != nil && codeOf(err) == "" {
		return err.Error()
	}
	return codeOf(err)
}

// push pushes key.
func push(
	ctx context.Context, who testkit.Clients, instance, user, key string,
) (*ec2instanceconnect.SendSSHPublicKeyOutput, error) {
	return who.EIC.SendSSHPublicKey(ctx, &ec2instanceconnect.SendSSHPublicKeyInput{
		InstanceId: &instance, InstanceOSUser: &user, SSHPublicKey: &key,
	})
}

// A user may tag machines as they like, except with the tag "tier", on which everybody's permissions depend. They write
// it with letters of other alphabets, some of which are folded to i, k or s by one rule of upper and lower case and not
// by another: a key that passes the Deny must not count as the tag afterwards.
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

// A user whose policy is about one region signs for another, so that the policy is asked about an ARN that is not the
// instance's.
func TestInstanceOfAnotherRegion(t *testing.T) {
	s := testkit.Start(t, func(c *controlplane.Config) { c.Regions = []string{testkit.Region, "on-prem-2"} })
	web := s.Host(t, "web", "debian")
	mina := s.Clients(s.User(t, "mina", `{"Version":"2012-10-17","Statement":[
		{"Effect":"Allow","Action":["ec2-instance-connect:*","ec2:*"],"Resource":"arn:aws:ec2:on-prem-2:*:instance/*"},
		{"Effect":"Allow","Action":"ec2:Describe*","Resource":"*"}]}`))
	if code := pushKey(t.Context(), mina, web.InstanceID, "debian"); code != "AuthException" {
		t.Errorf("its own region: %q", code)
	}
	there := mina.Config.Copy()
	there.Region = "on-prem-2"
	from := testkit.Clients{EIC: ec2instanceconnect.NewFromConfig(there)}
	if code := pushKey(t.Context(), from, web.InstanceID, "debian"); code != "EC2InstanceNotFoundException" {
		t.Errorf("another region: %q", code)
	}
	terminate := &ec2.TerminateInstancesInput{InstanceIds: []string{web.InstanceID}}
	_, err := ec2.NewFromConfig(there).TerminateInstances(t.Context(), terminate)
	if codeOf(err) != "InvalidInstanceID.NotFound" {
		t.Errorf("terminate from another region: %v", err)
	}
	there.Region = "on-prem-3"
	if _, err := ec2.NewFromConfig(there).DescribeInstances(t.Context(), nil); codeOf(err) != "AuthFailure" {
		t.Errorf("a region that does not exist: %v", err)
	}
}

// A user may delete the tag "note" and nothing else. Deleting all tags, by naming none, would also delete the tag on
// which everybody's permissions depend.
func TestDeletingAllTags(t *testing.T) {
	s := testkit.Start(t)
	web := s.Host(t, "web", "debian")
	root := s.Clients(s.Root).EC2
	tag := func(key string) {
		t.Helper()
		_, err := root.CreateTags(t.Context(), &ec2.CreateTagsInput{
			Resources: []string{web.InstanceID}, Tags: []ec2types.Tag{{Key: &key, Value: aws.String("yes")}},
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	tag("protected")
	mina := s.Clients(s.User(t, "mina", `{"Version":"2012-10-17","Statement":{"Effect":"Allow",
		"Action":"ec2:DeleteTags","Resource":"*",
		"Condition":{"ForAllValues:StringEquals":{"aws:TagKeys":["note","Name"]}}}}`)).EC2
	all := &ec2.DeleteTagsInput{Resources: []string{web.InstanceID}}
	if _, err := mina.DeleteTags(t.Context(), all); codeOf(err) != "UnauthorizedOperation" {
		t.Errorf("all tags: %v", err)
	}
	_, err := root.DeleteTags(t.Context(), &ec2.DeleteTagsInput{
		Resources: []string{web.InstanceID}, Tags: []ec2types.Tag{{Key: aws.String("protected")}},
	})
	if err != nil {
		t.Fatal(err)
	}
	tag("note")
	if _, err := mina.DeleteTags(t.Context(), all); err != nil {
		t.Errorf("all tags, each of which may be deleted: %v", err)
	}
}

// A thief has an access key for a moment and makes a session with it. The session outlives the key, as on AWS. What
// ends it is the same as on AWS: a Deny of sessions issued before a time, deleting the user's policies, or deleting the
// user.
func TestSessionOfAStolenKey(t *testing.T) {
	s := testkit.Start(t)
	root := s.Clients(s.Root).IAM
	mina := s.User(t, "mina", `{"Version":"2012-10-17","Statement":{"Effect":"Allow",
		"Action":"iam:ListAccountAliases","Resource":"*"}}`)
	out, err := s.Clients(mina).STS.GetSessionToken(t.Context(), &sts.GetSessionTokenInput{})
	if err != nil {
		t.Fatal(err)
	}
	c := out.Credentials
	thief := s.Clients(credentials.NewStaticCredentialsProvider(*c.AccessKeyId, *c.SecretAccessKey, *c.SessionToken))
	uses := func() string {
		_, err := thief.IAM.ListAccountAliases(t.Context(), nil)
		return codeOf(err)
	}
	keys, _ := mina.Retrieve(t.Context())
	_, err = root.DeleteAccessKey(t.Context(), &iam.DeleteAccessKeyInput{
		UserName: aws.String("mina"), AccessKeyId: &keys.AccessKeyID,
	})
	if err != nil {
		t.Fatal(err)
	}
	if code := uses(); code != "" {
		t.Errorf("sessions end with the access key now (%s): say so in docs/THREATMODEL.md", code)
	}
	put := func(document string) {
		t.Helper()
		_, err := root.PutUserPolicy(t.Context(), &iam.PutUserPolicyInput{
			UserName: aws.String("mina"), PolicyName: aws.String("revoke"), PolicyDocument: &document,
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	revoke := func(before time.Time) string {
		return fmt.Sprintf(`{"Version":"2012-10-17","Statement":{"Effect":"Deny","Action":"*","Resource":"*",
			"Condition":{"DateLessThan":{"aws:TokenIssueTime":%q}}}}`, before.UTC().Format(time.RFC3339))
	}
	put(revoke(time.Now().Add(-time.Hour)))
	if code := uses(); code != "" {
		t.Errorf("a session made after the time: %s", code)
	}
	put(revoke(time.Now().Add(time.Minute)))
	if code := uses(); code != "AccessDenied" {
		t.Errorf("a session made before the time: %q", code)
	}
	again, err := root.CreateAccessKey(t.Context(), &iam.CreateAccessKeyInput{UserName: aws.String("mina")})
	if err != nil {
		t.Fatal(err)
	}
	key := again.AccessKey
	fresh := s.Clients(credentials.NewStaticCredentialsProvider(*key.AccessKeyId, *key.SecretAccessKey, ""))
	if _, err := fresh.IAM.ListAccountAliases(t.Context(), nil); err != nil {
		t.Errorf("the user's new access key: %v", err)
	}
}

// Users push keys without pause while their permission is taken away: no call that begins after that has returned may
// succeed.
func TestRightsEndAtOnce(t *testing.T) {
	s := testkit.Start(t)
	web := s.Host(t, "web", "debian")
	root := s.Clients(s.Root).IAM
	must := func(_ any, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	ctx := t.Context()
	ways := map[string]struct {
		give, take func(name *string, key *string) error
	}{
		"the group is left": {
			func(name, _ *string) error {
				_, err := root.AddUserToGroup(ctx, &iam.AddUserToGroupInput{GroupName: aws.String("team"), UserName: name})
				return err
			},
			func(name, _ *string) error {
				_, err := root.RemoveUserFromGroup(ctx, &iam.RemoveUserFromGroupInput{
					GroupName: aws.String("team"), UserName: name,
				})
				return err
			},
		},
		"the policy is detached": {
			func(name, _ *string) error {
				_, err := root.AttachUserPolicy(ctx, &iam.AttachUserPolicyInput{
					PolicyArn: aws.String("arn:aws:iam::aws:policy/EC2InstanceConnect"), UserName: name,
				})
				return err
			},
			func(name, _ *string) error {
				_, err := root.DetachUserPolicy(ctx, &iam.DetachUserPolicyInput{
					PolicyArn: aws.String("arn:aws:iam::aws:policy/EC2InstanceConnect"), UserName: name,
				})
				return err
			},
		},
		"the access key is deleted": {
			func(name, _ *string) error {
				_, err := root.PutUserPolicy(ctx, &iam.PutUserPolicyInput{
					PolicyName: aws.String("p"), PolicyDocument: aws.String(pushAsDebian), UserName: name,
				})
				return err
			},
			func(name, key *string) error {
				_, err := root.DeleteAccessKey(ctx, &iam.DeleteAccessKeyInput{UserName: name, AccessKeyId: key})
				return err
			},
		},
	}
	must(root.CreateGroup(ctx, &iam.CreateGroupInput{GroupName: aws.String("team")}))
	must(root.PutGroupPolicy(ctx, &iam.PutGroupPolicyInput{
		GroupName: aws.String("team"), PolicyName: aws.String("p"), PolicyDocument: aws.String(pushAsDebian),
	}))
	for i, name := range slices.Sorted(maps.Keys(ways)) {
		t.Run(name, func(t *testing.T) {
			user := fmt.Sprint("user-", i)
			provider := s.User(t, user, "")
			keys, _ := provider.Retrieve(ctx)
			if err := ways[name].give(&user, &keys.AccessKeyID); err != nil {
				t.Fatal(err)
			}
			who := s.Clients(provider)
			var taken atomic.Bool
			var allowed, late atomic.Int32
			var pushing sync.WaitGroup
			for range 4 {
				pushing.Go(func() {
					for refused := 0; refused < 3; {
						after := taken.Load()
						switch code := pushKey(ctx, who, web.InstanceID, "debian"); {
						case code != "":
							refused++
						case after:
							late.Add(1)
							refused++
						default:
							allowed.Add(1)
						}
					}
				})
			}
			for deadline := time.Now().Add(wait.Patience); allowed.Load() < 20 && time.Now().Before(deadline); {
				time.Sleep(time.Millisecond)
			}
			err := ways[name].take(&user, &keys.AccessKeyID)
			taken.Store(true)
			if err != nil {
				t.Error(err)
			}
			pushing.Wait()
			if allowed.Load() < 20 || late.Load() != 0 {
				t.Errorf("%d pushes before, %d after", allowed.Load(), late.Load())
			}
		})
	}
}
