package policy_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/internal/fault"
	"github.com/sallyport/sallyport/internal/policy"
)

// A Deny on an ARN that no resource has protects nothing, and its author does not notice. IAM refuses such a document.
func TestValidateRefusesResourcesThatCannotMatch(t *testing.T) {
	const path = `IAM resource path must either be "*", root, or start with user/,`
	for resource, want := range map[string]string{
		"*":                                   "",
		"arn:aws:iam::123456789012:user/*":    "",
		"arn:aws:iam::*:user/${aws:username}": "",
		"arn:aws:iam::123456789012:root":      "",
		"arn:aws:iam::123456789012:*":         "",
		"arn:*:iam::123456789012:mfa/x":       "",
		"arn:aws*:s3:::bucket/*":              "",
		"arn:aws:ec2:*:*:*/*":                 "",
		"arn:aws:ec2:*:*:inst*/i-1":           "", // a wildcard in a kind of EC2's is a wildcard
		"arn:aws:ec2:*:*:*":                   "",
		"arn:aws:elasticmapreduce:*:*:c/*":    "",
		"arn:aws:iam:us-east-1:1:user/bob": "resource arn:aws:iam:us-east-1:1:user/bob " +
			"cannot contain region information.",
		"arn:aws:iam:*:123456789012:user/bob":         "cannot contain region information.",
		"arn:aws:iam::123456789012:users/bob":         path,
		"arn:aws:iam::123456789012:u*":                path,
		"arn:aws:iam::123456789012:user":              path,
		"arn:aws-cn:ec2:*:*:instance/*":               `Partition "aws-cn" is not valid for resource "arn:aws-cn:ec2`,
		"arn::ec2:*:*:instance/*":                     `Partition "" is not valid`,
		"arn:${aws:username}:ec2:*:*:*":               "Partition",
		"arn:aws:*:*:*:instance/*":                    "Resource vendor must be fully qualified and cannot contain regexes.",
		"arn:aws:ec?:*:*:instance/*":                  "Resource vendor must be fully qualified",
		"arn:aws::*:*:instance/*":                     "Resource vendor must be fully qualified",
		"arn:*":                                       "Resource vendor must be fully qualified",
		"arn:aws:EC2:*:*:instance/*":                  "Vendor EC2 is not valid",
		"arn:aws:ec2/:*:*:instance/*":                 "Vendor ec2/ is not valid",
		"arn:aws:${aws:username}:*:*:*":               "Resource vendor must be fully qualified",
		"arn:aws:iam::${aws:PrincipalAccount}:user/a": "",
		"arn:aws:iam::1:${aws:username}":              path,
	} {
		for _, element := range []string{"Resource", "NotResource"} {
			const form = `{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"*","%s":["*",%q]}]}`
			document := fmt.Sprintf(form, element, resource)
			err := policy.Validate(document, true)
			if (want == "") != (err == nil) || err != nil && !strings.Contains(fault.Of(err).Message, want) {
				t.Errorf("%s %s: %v", element, resource, err)
			}
			if _, err := policy.Parse(document); err != nil {
				t.Errorf("%s %s was written before and is read no more: %v", element, resource, err)
			}
		}
	}
}

func TestValidateVersion(t *testing.T) {
	const old, current = `"Version":"2008-10-17",`, `"Version":"2012-10-17",`
	for version, managed := range map[string]bool{current: true, old: false, "": false} {
		document := `{` + version + `"Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}`
		if err := policy.Validate(document, false); err != nil {
			t.Errorf("inline with %q: %v", version, err)
		}
		err := policy.Validate(document, true)
		says := fault.Of(err).Message
		if managed != (err == nil) || err != nil && says != "Policy document must be version 2012-10-17 or greater." {
			t.Errorf("managed with %q: %v", version, err)
		}
	}
	if err := policy.Validate("{", true); !fault.Is(err, fault.Invalid) {
		t.Errorf("what does not parse: %v", err)
	}
}

// FuzzValidate: every document that Validate accepts can be parsed, as a managed policy or as an inline one.
func FuzzValidate(f *testing.F) {
	for _, resource := range []string{"*", "arn:aws:ec2:*:*:instance/*", "arn:aws:iam::1:user/${aws:username}",
		"arn:*", "arn:::::"} {
		f.Add(resource)
	}
	f.Fuzz(func(t *testing.T, resource string) {
		text, err := json.Marshal(map[string]any{"Version": "2012-10-17", "Statement": map[string]any{
			"Effect": "Deny", "Action": "*", "Resource": resource,
		}})
		if err != nil {
			t.Skip()
		}
		managed, inline := policy.Validate(string(text), true), policy.Validate(string(text), false)
		if (managed == nil) != (inline == nil) || managed != nil && !fault.Is(managed, fault.Invalid) {
			t.Fatalf("%s: managed %v, inline %v", text, managed, inline)
		}
		if _, err := policy.Parse(string(text)); managed == nil && err != nil {
			t.Fatalf("%s is taken and then not read: %v", text, err)
		}
	})
}
