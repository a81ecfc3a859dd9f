package awswire_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/aws-sdk-go-v2/service/ec2instanceconnect"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	iamtypes "github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	ststypes "github.com/aws/aws-sdk-go-v2/service/sts/types"
	"github.com/google/go-cmp/cmp"
	"github.com/sallyport/sallyport/internal/awswire"
)

// items returns a set as EC2's records in the trail have it.
func items(items ...any) map[string]any { return map[string]any{"items": items} }

func TestParameters(t *testing.T) {
	at := time.Date(2026, 11, 22, 2, 2, 10, 5e6, time.UTC)
	inEC2, inQuery, inJSON := awswire.EC2(), iamCodec(), awswire.JSON("Service", "message")
	for name, test := range map[string]struct {
		codec awswire.Codec
		in    any
		want  map[string]any
	}{
		"nothing": {inEC2, &ec2.DescribeInstancesInput{}, nil},
		"names": {inJSON, &ec2instanceconnect.SendSSHPublicKeyInput{InstanceId: aws.String("i-1")},
			map[string]any{"instanceId": "i-1"}},
		"sets": {inEC2, &ec2.DescribeInstancesInput{
			DryRun: aws.Bool(false), InstanceIds: []string{"i-1", "i-2"},
			Filters: []ec2types.Filter{{Name: aws.String("n"), Values: []string{"v"}}},
		}, map[string]any{
			"dryRun":       false,
			"instancesSet": items(map[string]any{"instanceId": "i-1"}, map[string]any{"instanceId": "i-2"}),
			"filterSet":    items(map[string]any{"name": "n", "valueSet": items(map[string]any{"value": "v"})}),
		}},
		"an empty set": {inEC2, &ec2.TerminateInstancesInput{InstanceIds: []string{}},
			map[string]any{"instancesSet": map[string]any{}}},
		"tags": {inEC2, &ec2.CreateTagsInput{
			Resources: []string{"i-1"}, Tags: []ec2types.Tag{{Key: aws.String("k"), Value: aws.String("")}},
		}, map[string]any{
			"resourcesSet": items(map[string]any{"resourceId": "i-1"}),
			"tagSet":       items(map[string]any{"key": "k", "value": ""}),
		}},
		"places": {inEC2, &ec2.DescribeAvailabilityZonesInput{ZoneNames: []string{"a"}, ZoneIds: []string{"1"}},
			map[string]any{
				"availabilityZoneSet":   items(map[string]any{"zoneName": "a"}),
				"availabilityZoneIdSet": items(map[string]any{"zoneId": "1"}),
			}},
		"regions": {inEC2, &ec2.DescribeRegionsInput{RegionNames: []string{"r"}},
			map[string]any{"regionSet": items(map[string]any{"regionName": "r"})}},
		"permissions": {inEC2, &ec2.AuthorizeSecurityGroupIngressInput{IpPermissions: []ec2types.IpPermission{{
			IpProtocol: aws.String("tcp"), FromPort: aws.Int32(22),
			IpRanges:         []ec2types.IpRange{{CidrIp: aws.String("0.0.0.0/0")}},
			UserIdGroupPairs: []ec2types.UserIdGroupPair{{GroupId: aws.String("sg-1")}},
			PrefixListIds:    []ec2types.PrefixListId{},
		}}}, map[string]any{"ipPermissions": items(map[string]any{
			"ipProtocol": "tcp", "fromPort": int64(22), "ipRanges": items(map[string]any{"cidrIp": "0.0.0.0/0"}),
			"groups": items(map[string]any{"groupId": "sg-1"}), "prefixListIds": map[string]any{},
		})}},
		"a launch": {inEC2, &ec2.RunInstancesInput{
			SecurityGroupIds: []string{"sg-1"}, UserData: aws.String("s3cr3t"),
			BlockDeviceMappings: []ec2types.BlockDeviceMapping{},
			TagSpecifications: []ec2types.TagSpecification{{
				ResourceType: "instance", Tags: []ec2types.Tag{{Key: aws.String("k"), Value: aws.String("v")}},
			}, {ResourceType: "volume"}},
		}, map[string]any{
			"groupSet": items(map[string]any{"groupId": "sg-1"}), "blockDeviceMapping": map[string]any{},
			"userData": "HIDDEN_DUE_TO_SECURITY_REASONS",
			"tagSpecificationSet": items(
				map[string]any{"resourceType": "instance", "tags": []any{map[string]any{"key": "k", "value": "v"}}},
				map[string]any{"resourceType": "volume"},
			),
		}},
		"lists": {inQuery, &iam.UntagUserInput{UserName: aws.String("u"), TagKeys: []string{"a", "b"}},
			map[string]any{"userName": "u", "tagKeys": []any{"a", "b"}}},
		"times": {inJSON, &cloudtrail.LookupEventsInput{StartTime: &at, MaxResults: aws.Int32(5)},
			map[string]any{"startTime": "2026-11-22T02:02:10.005Z", "maxResults": int64(5)}},
		"a secret by the schema": {inQuery, &sts.AssumeRoleWithSAMLInput{SAMLAssertion: aws.String("s3cr3t")},
			map[string]any{"sAMLAssertion": "HIDDEN_DUE_TO_SECURITY_REASONS"}},
		"secrets": {inJSON, &house{Token: "s3cr3t", Beneath: &house{Sealed: true}},
			map[string]any{"token": "HIDDEN_DUE_TO_SECURITY_REASONS", "beneath": map[string]any{"sealed": true}}},
	} {
		got, err := test.codec.Parameters(test.in)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		if text, err := json.Marshal(got); err != nil || strings.Contains(string(text), "s3cr3t") {
			t.Errorf("%s: %s %v", name, text, err)
		}
	}
}

// The trail shows an answer as CloudTrail does, with the names, sets and times that rules and dashboards look for, and
// without secrets.
func TestResponseElements(t *testing.T) {
	at := time.Date(2026, 11, 22, 8, 0, 0, 5e6, time.FixedZone("", 3600))
	const when = "Nov 22, 2026 7:00:00 AM"
	text, count := aws.String, aws.Int32
	state := func(name ec2types.InstanceStateName, code int32) *ec2types.InstanceState {
		return &ec2types.InstanceState{Name: name, Code: &code}
	}
	inEC2, inQuery, inJSON := awswire.EC2(), iamCodec(), awswire.JSON("Service", "message")
	for name, test := range map[string]struct {
		codec awswire.Codec
		out   any
		want  map[string]any
	}{
		"a user": {inQuery, &iam.CreateUserOutput{User: &iamtypes.User{
			Path: text("/"), UserName: text("mina"), UserId: text("AIDA1"), Arn: text("arn"), CreateDate: &at,
		}}, map[string]any{"user": map[string]any{
			"path": "/", "userName": "mina", "userId": "AIDA1", "arn": "arn", "createDate": when,
		}}},
		"a group": {inQuery, &iam.CreateGroupOutput{Group: &iamtypes.Group{
			Path: text("/"), GroupName: text("ops"), GroupId: text("AGPA1"), Arn: text("arn"), CreateDate: &at,
		}}, map[string]any{"group": map[string]any{
			"path": "/", "groupName": "ops", "groupId": "AGPA1", "arn": "arn", "createDate": when,
		}}},
		"an access key": {inQuery, &iam.CreateAccessKeyOutput{AccessKey: &iamtypes.AccessKey{
			AccessKeyId: text("AKIA1"), SecretAccessKey: text("s3cr3t"), UserName: text("mina"), Status: "Active",
			CreateDate: &at,
		}}, map[string]any{"accessKey": map[string]any{
			"accessKeyId": "AKIA1", "status": "Active", "userName": "mina", "createDate": when,
		}}},
		"root's access key": {inQuery, &iam.CreateAccessKeyOutput{AccessKey: &iamtypes.AccessKey{
			AccessKeyId: text("AKIA1"), SecretAccessKey: text("s3cr3t"), Status: "Active", CreateDate: &at,
		}}, map[string]any{"accessKey": map[string]any{"accessKeyId": "AKIA1", "status": "Active", "createDate": when}}},
		"a policy": {inQuery, &iam.CreatePolicyOutput{Policy: &iamtypes.Policy{
			PolicyName: text("p"), PolicyId: text("ANPA1"), Arn: text("arn"), Path: text("/"), DefaultVersionId: text("v1"),
			AttachmentCount: count(0), IsAttachable: true, CreateDate: &at, UpdateDate: &at,
		}}, map[string]any{"policy": map[string]any{
			"policyName": "p", "policyId": "ANPA1", "arn": "arn", "path": "/", "defaultVersionId": "v1",
			"attachmentCount": int64(0), "isAttachable": true, "createDate": when, "updateDate": when,
		}}},
		"a version": {inQuery, &iam.CreatePolicyVersionOutput{PolicyVersion: &iamtypes.PolicyVersion{
			VersionId: text("v2"), IsDefaultVersion: false, CreateDate: &at,
		}}, map[string]any{"policyVersion": map[string]any{
			"versionId": "v2", "isDefaultVersion": false, "createDate": when,
		}}},
		"a session": {inQuery, &sts.GetSessionTokenOutput{Credentials: &ststypes.Credentials{
			AccessKeyId: text("ASIA1"), SecretAccessKey: text("s3cr3t"), SessionToken: text("s3cr3t"), Expiration: &at,
		}}, map[string]any{"credentials": map[string]any{"accessKeyId": "ASIA1", "expiration": when}}},
		"tags in a list": {inQuery, &iam.CreateUserOutput{User: &iamtypes.User{
			Tags: []iamtypes.Tag{{Key: text("k"), Value: text("")}},
		}}, map[string]any{"user": map[string]any{"tags": []any{map[string]any{"key": "k", "value": ""}}}}},
		"no answer but done": {inQuery, &iam.DeleteUserOutput{}, nil},

		"EC2's done": {inEC2, &ec2.CreateTagsOutput{}, map[string]any{"requestId": "id", "_return": true}},
		"EC2's done, and more": {inEC2, &ec2.DeleteKeyPairOutput{Return: aws.Bool(true), KeyPairId: text("key-1")},
			map[string]any{"requestId": "id", "_return": true, "keyPairId": "key-1"}},
		"a new key": {inEC2, &ec2.CreateKeyPairOutput{KeyName: text("k"), KeyMaterial: text("s3cr3t")},
			map[string]any{"requestId": "id", "keyName": "k"}},
		"EC2's sets": {inEC2, &ec2.TerminateInstancesOutput{TerminatingInstances: []ec2types.InstanceStateChange{{
			InstanceId: text("i-1"), PreviousState: state("running", 16), CurrentState: state("terminated", 48),
		}}}, map[string]any{"requestId": "id", "instancesSet": items(map[string]any{
			"instanceId": "i-1", "previousState": map[string]any{"code": int64(16), "name": "running"},
			"currentState": map[string]any{"code": int64(48), "name": "terminated"},
		})}},
		"EC2's times and empty sets": {inEC2, &ec2.DescribeInstancesOutput{Reservations: []ec2types.Reservation{{
			Instances: []ec2types.Instance{{LaunchTime: &at, Tags: []ec2types.Tag{}}},
		}}}, map[string]any{"requestId": "id", "reservationSet": items(map[string]any{
			"instancesSet": items(map[string]any{"launchTime": at.UnixMilli(), "tagSet": map[string]any{}}),
		})}},

		"a secret by the schema": {inQuery, &iam.CreateVirtualMFADeviceOutput{VirtualMFADevice: &iamtypes.VirtualMFADevice{
			SerialNumber: text("arn"), Base32StringSeed: []byte("s3cr3t"), QRCodePNG: []byte("s3cr3t"),
		}}, map[string]any{"virtualMFADevice": map[string]any{"serialNumber": "arn"}}},
		"numbers, maps and blobs": {inJSON, &house{
			Height: aws.Float64(1.5), Keys: map[string]room{"front": {"hall"}, "back": {}}, Plan: []byte("plan"),
		}, map[string]any{
			"floors": int64(0), "sealed": false, "height": 1.5, "plan": "cGxhbg==",
			"keys": map[string]any{"front": map[string]any{"name": "hall"}, "back": map[string]any{}},
		}},

		"JSON": {inJSON, &house{Name: "hall", Token: "s3cr3t", Built: at, Rooms: []room{{"a"}}}, map[string]any{
			"name": "hall", "built": when, "floors": int64(0), "sealed": false, "rooms": []any{map[string]any{"name": "a"}},
		}},
	} {
		got, err := test.codec.ResponseElements("id", test.out)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}
