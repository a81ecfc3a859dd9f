package iam

import (
	"crypto/sha256"
	"strings"
	"time"
)

// awsPolicyPrefix is the beginning of the ARNs of AWS managed policies. People know these policies by name and scripts
// attach them by ARN, so the useful ones exist here. They can be read and attached, but not changed.
const awsPolicyPrefix = "arn:aws:iam::aws:policy/"

func ofAWS(arn string) bool { return strings.HasPrefix(arn, awsPolicyPrefix) }

// builtIn is an AWS managed policy, with those of its actions that exist here.
type builtIn struct {
	ManagedPolicy
	document string
}

// builtInSince is the creation date of all of them.
var builtInSince = time.Date(2026, time.January, 1, 0, 0, 0, 0, time.UTC)

func awsPolicies() []builtIn {
	return []builtIn{
		newBuiltIn("AdministratorAccess", "Provides full access to AWS services and resources.", `{
  "Version": "2012-10-17",
  "Statement": [
    {"Effect": "Allow", "Action": "*", "Resource": "*"}
  ]
}`),
		newBuiltIn("AmazonEC2ReadOnlyAccess", "Provides read only access to Amazon EC2.", `{
  "Version": "2012-10-17",
  "Statement": [
    {"Effect": "Allow", "Action": ["ec2:Describe*", "ec2:Get*"], "Resource": "*"}
  ]
}`),
		newBuiltIn("EC2InstanceConnect", "Allows customers to call EC2 Instance Connect to publish ephemeral keys to "+
			"their EC2 instances and connect via ssh.", `{
  "Version": "2012-10-17",
  "Statement": [
    {
      "Sid": "EC2InstanceConnect",
      "Effect": "Allow",
      "Action": ["ec2:DescribeInstances", "ec2-instance-connect:SendSSHPublicKey"],
      "Resource": "*"
    }
  ]
}`),
		newBuiltIn("IAMFullAccess", "Provides full access to IAM.", `{
  "Version": "2012-10-17",
  "Statement": [
    {"Effect": "Allow", "Action": "iam:*", "Resource": "*"}
  ]
}`),
		newBuiltIn("ReadOnlyAccess", "Provides read-only access to AWS services and resources.", `{
  "Version": "2012-10-17",
  "Statement": [
    {
      "Effect": "Allow",
      "Action": ["cloudtrail:LookupEvents", "ec2:Describe*", "ec2:Get*", "iam:Get*", "iam:List*", "sts:Get*"],
      "Resource": "*"
    }
  ]
}`),
	}
}

// newBuiltIn returns a policy whose id is derived from its name, so that it is the same on every deployment.
func newBuiltIn(name, description, document string) builtIn {
	sum := sha256.Sum256([]byte(name))
	return builtIn{document: document, ManagedPolicy: ManagedPolicy{
		ID: policyPrefix + idAlphabet.EncodeToString(sum[:])[:17], Name: name, Path: "/", ARN: awsPolicyPrefix + name,
		Description: description, DefaultVersion: versionID(1), Created: builtInSince, Updated: builtInSince,
	}}
}

func (b builtIn) version() PolicyVersion {
	return PolicyVersion{Number: 1, Document: b.document, Created: b.Created, Default: true}
}

// awsPolicy returns the AWS managed policy with the ARN.
func awsPolicy(arn string) (builtIn, bool) {
	if ofAWS(arn) {
		for _, b := range awsPolicies() {
			if b.ARN == arn {
				return b, true
			}
		}
	}
	return builtIn{}, false
}
