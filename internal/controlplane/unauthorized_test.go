package controlplane_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/sallyport/sallyport/internal/testkit"
)

// attempts has a complete request for every operation, which only lacks permission. Forms are for the ec2 and query
// protocols, JSON objects for JSON 1.1. %s is an instance's id.
var attempts = map[string]map[string]string{
	"ec2": {
		"DescribeInstances": "", "DescribeInstanceStatus": "", "DescribeInstanceTypes": "",
		"DescribeRegions": "", "DescribeAvailabilityZones": "", "DescribeTags": "",
		"CreateTags":         "ResourceId.1=%s&Tag.1.Key=k&Tag.1.Value=v",
		"DeleteTags":         "ResourceId.1=%s&Tag.1.Key=k",
		"TerminateInstances": "InstanceId.1=%s",
	},
	"ec2-instance-connect": {
		"SendSSHPublicKey": `{"InstanceId":"%s","InstanceOSUser":"debian","SSHPublicKey":"` + publicKey + `"}`,
	},
	"cloudtrail": {"LookupEvents": `{}`},
	"sallyport":  {"CreateHostToken": `{}`, "DescribeHosts": `{}`},
	"sts":        {"GetCallerIdentity": "", "GetSessionToken": ""},
	"iam": {
		"CreateUser":                "UserName=u",
		"GetUser":                   "UserName=u",
		"ListUsers":                 "",
		"UpdateUser":                "UserName=u&NewUserName=w",
		"DeleteUser":                "UserName=u",
		"TagUser":                   "UserName=u&Tags.member.1.Key=k&Tags.member.1.Value=v",
		"UntagUser":                 "UserName=u&TagKeys.member.1=k",
		"ListUserTags":              "UserName=u",
		"CreateGroup":               "GroupName=g",
		"GetGroup":                  "GroupName=g",
		"ListGroups":                "",
		"UpdateGroup":               "GroupName=g&NewGroupName=h",
		"DeleteGroup":               "GroupName=g",
		"AddUserToGroup":            "GroupName=g&UserName=u",
		"RemoveUserFromGroup":       "GroupName=g&UserName=u",
		"ListGroupsForUser":         "UserName=u",
		"PutUserPolicy":             "UserName=u&PolicyName=p&PolicyDocument=" + document,
		"GetUserPolicy":             "UserName=u&PolicyName=p",
		"ListUserPolicies":          "UserName=u",
		"DeleteUserPolicy":          "UserName=u&PolicyName=p",
		"PutGroupPolicy":            "GroupName=g&PolicyName=p&PolicyDocument=" + document,
		"GetGroupPolicy":            "GroupName=g&PolicyName=p",
		"ListGroupPolicies":         "GroupName=g",
		"DeleteGroupPolicy":         "GroupName=g&PolicyName=p",
		"CreatePolicy":              "PolicyName=p&PolicyDocument=" + document,
		"GetPolicy":                 policyARN,
		"ListPolicies":              "",
		"DeletePolicy":              policyARN,
		"CreatePolicyVersion":       policyARN + "&PolicyDocument=" + document,
		"GetPolicyVersion":          policyARN + "&VersionId=v1",
		"ListPolicyVersions":        policyARN,
		"SetDefaultPolicyVersion":   policyARN + "&VersionId=v1",
		"DeletePolicyVersion":       policyARN + "&VersionId=v2",
		"AttachUserPolicy":          "UserName=u&" + policyARN,
		"DetachUserPolicy":          "UserName=u&" + policyARN,
		"ListAttachedUserPolicies":  "UserName=u",
		"AttachGroupPolicy":         "GroupName=g&" + policyARN,
		"DetachGroupPolicy":         "GroupName=g&" + policyARN,
		"ListAttachedGroupPolicies": "GroupName=g",
		"ListEntitiesForPolicy":     policyARN,
		"CreateAccessKey":           "UserName=u",
		"ListAccessKeys":            "UserName=u",
		"UpdateAccessKey":           "UserName=u&AccessKeyId=AKIAIOSFODNN7EXAMPLE&Status=Inactive",
		"DeleteAccessKey":           "UserName=u&AccessKeyId=AKIAIOSFODNN7EXAMPLE",
		"GetAccessKeyLastUsed":      "AccessKeyId=AKIAIOSFODNN7EXAMPLE",
		"ListAccountAliases":        "",
	},
}

// withoutPolicy are the operations that every authenticated caller may call, as on AWS.
var withoutPolicy = []string{"GetCallerIdentity", "GetSessionToken"}

const (
	publicKey = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ3Tp5dUkvSnLxTkPVJlIFdIkRdXHWmNgpWiQ7rEFPZF"
	document  = "%7B%22Version%22%3A%222012-10-17%22%2C%22Statement%22%3A%5B%7B" +
		"%22Effect%22%3A%22Allow%22%2C%22Action%22%3A%22%2A%22%2C%22Resource%22%3A%22%2A%22%7D%5D%7D"
	policyARN = "PolicyArn=arn%3Aaws%3Aiam%3A%3A123456789012%3Apolicy%2Fp"
)

// TestEveryOperationRefusesStrangers checks that every row has an attempt above, and that a caller without a policy, a
// caller with a forged signature and a caller without a signature are all refused and recorded.
func TestEveryOperationRefusesStrangers(t *testing.T) {
	s := testkit.Start(t)
	machine := s.Host(t, "web", "debian")
	nobody := s.User(t, "nobody", "")
	forger, err := nobody.Retrieve(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	forger.SecretAccessKey = strings.Repeat("x", 40)
	rows := 0
	for _, service := range s.Services() {
		for _, operation := range service.Operations {
			rows++
			t.Run(service.Name+"/"+operation.Name, func(t *testing.T) {
				body, ok := attempts[service.Name][operation.Name]
				if !ok {
					t.Fatalf("the operation has no unauthorized case: add one to attempts")
				}
				body = strings.Replace(body, "%s", machine.InstanceID, 1)
				credentials, _ := nobody.Retrieve(t.Context())
				free := slices.Contains(withoutPolicy, operation.Name)
				code := send(t, s, service.Name, operation.Name, body, &credentials)
				if free != (code == "") || !free && !slices.Contains(denials, code) {
					t.Errorf("a caller without a policy: %q", code)
				}
				if code := send(t, s, service.Name, operation.Name, body, &forger); !slices.Contains(forgeries, code) {
					t.Errorf("a forged signature: %q", code)
				}
				if code := send(t, s, service.Name, operation.Name, body, nil); !slices.Contains(anonymous, code) {
					t.Errorf("no signature: %q", code)
				}
			})
		}
	}
	if rows < 60 {
		t.Errorf("only %d operations were tried", rows)
	}
	if grants, _ := machine.Grants.Find("debian", ""); len(grants) != 0 {
		t.Errorf("the host holds %d grants", len(grants))
	}
	events := s.Events(t)
	for _, service := range s.Services() {
		for _, operation := range service.Operations {
			refused := 0
			for _, e := range events {
				if e.Name == operation.Name && e.Source == service.Source && e.ErrorCode != "" {
					refused++
				}
			}
			want := 3
			if slices.Contains(withoutPolicy, operation.Name) {
				want = 2
			}
			if refused != want {
				t.Errorf("%s: %d refusals in the trail, want %d", operation.Name, refused, want)
			}
		}
	}
}

// The error codes of refusals: without permission, with a wrong signature, without a signature.
var (
	denials   = []string{"UnauthorizedOperation", "AccessDenied", "AccessDeniedException", "AuthException"}
	forgeries = []string{"AuthFailure", "SignatureDoesNotMatch", "InvalidSignatureException"}
	anonymous = []string{"MissingAuthenticationToken", "MissingAuthenticationTokenException", "AuthFailure"}
)

// send makes one request without a client library and returns the error code of the answer.
func send(t *testing.T, s *testkit.System, service, operation, body string, who *aws.Credentials) string {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.Endpoint, nil)
	if err != nil {
		t.Fatal(err)
	}
	versions := map[string]string{"ec2": "2016-11-15", "iam": "2010-05-08", "sts": "2011-06-15"}
	targets := map[string]string{
		"ec2-instance-connect": "AWSEC2InstanceConnectService",
		"cloudtrail":           "CloudTrail_20131101",
		"sallyport":            "Sallyport_20261122",
	}
	if version, form := versions[service]; form {
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		body = strings.TrimSuffix(fmt.Sprintf("Action=%s&Version=%s&%s", operation, version, body), "&")
		if _, err := url.ParseQuery(body); err != nil {
			t.Fatal(err)
		}
	} else {
		request.Header.Set("Content-Type", "application/x-amz-json-1.1")
		request.Header.Set("X-Amz-Target", targets[service]+"."+operation)
	}
	request.Body, request.ContentLength = io.NopCloser(bytes.NewReader([]byte(body))), int64(len(body))
	if who != nil {
		sum := sha256.Sum256([]byte(body))
		if err := v4.NewSigner().SignHTTP(t.Context(), *who, request, hex.EncodeToString(sum[:]), service, testkit.Region,
			time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	if response.StatusCode == http.StatusOK {
		return ""
	}
	if code := response.Header.Get("X-Amzn-Errortype"); code != "" {
		return code
	}
	var failure struct {
		Type string `json:"__type"`
	}
	if json.Unmarshal(answer, &failure) == nil && failure.Type != "" {
		return failure.Type
	}
	_, after, _ := strings.Cut(string(answer), "<Code>")
	code, _, _ := strings.Cut(after, "</Code>")
	return code
}
