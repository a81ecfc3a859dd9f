package iam

import (
	"context"
	"net/url"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"

	"github.com/sallyport/sallyport/internal/gate"
	domain "github.com/sallyport/sallyport/internal/iam"
	"github.com/sallyport/sallyport/internal/policy"
)

func (a api) putUserPolicy(ctx context.Context, pass gate.Pass, in *iam.PutUserPolicyInput) (*iam.PutUserPolicyOutput, error) {
	p := domain.InlinePolicy{Name: aws.ToString(in.PolicyName), Document: aws.ToString(in.PolicyDocument)}
	return &iam.PutUserPolicyOutput{}, a.identities.PutInlinePolicy(ctx, pass, userOf(aws.ToString(in.UserName)), p)
}

func (a api) getUserPolicy(ctx context.Context, pass gate.Pass, in *iam.GetUserPolicyInput) (*iam.GetUserPolicyOutput, error) {
	p, err := a.identities.InlinePolicy(ctx, pass, userOf(aws.ToString(in.UserName)), aws.ToString(in.PolicyName))
	if err != nil {
		return nil, err
	}
	return &iam.GetUserPolicyOutput{UserName: in.UserName, PolicyName: &p.Name, PolicyDocument: encoded(p.Document)}, nil
}

func (a api) listUserPolicies(ctx context.Context, pass gate.Pass, in *iam.ListUserPoliciesInput) (*iam.ListUserPoliciesOutput, error) {
	l, err := a.inlineNames(ctx, pass, userOf(aws.ToString(in.UserName)), in.Marker, in.MaxItems)
	if err != nil {
		return nil, err
	}
	return &iam.ListUserPoliciesOutput{PolicyNames: l.items, IsTruncated: l.truncated, Marker: l.marker}, nil
}

func (a api) deleteUserPolicy(ctx context.Context, pass gate.Pass, in *iam.DeleteUserPolicyInput) (*iam.DeleteUserPolicyOutput, error) {
	return &iam.DeleteUserPolicyOutput{}, a.identities.DeleteInlinePolicy(ctx, pass, userOf(aws.ToString(in.UserName)), aws.ToString(in.PolicyName))
}

func (a api) putGroupPolicy(ctx context.Context, pass gate.Pass, in *iam.PutGroupPolicyInput) (*iam.PutGroupPolicyOutput, error) {
	p := domain.InlinePolicy{Name: aws.ToString(in.PolicyName), Document: aws.ToString(in.PolicyDocument)}
	return &iam.PutGroupPolicyOutput{}, a.identities.PutInlinePolicy(ctx, pass, groupOf(aws.ToString(in.GroupName)), p)
}

func (a api) getGroupPolicy(ctx context.Context, pass gate.Pass, in *iam.GetGroupPolicyInput) (*iam.GetGroupPolicyOutput, error) {
	p, err := a.identities.InlinePolicy(ctx, pass, groupOf(aws.ToString(in.GroupName)), aws.ToString(in.PolicyName))
	if err != nil {
		return nil, err
	}
	return &iam.GetGroupPolicyOutput{GroupName: in.GroupName, PolicyName: &p.Name, PolicyDocument: encoded(p.Document)}, nil
}

func (a api) listGroupPolicies(ctx context.Context, pass gate.Pass, in *iam.ListGroupPoliciesInput) (*iam.ListGroupPoliciesOutput, error) {
	l, err := a.inlineNames(ctx, pass, groupOf(aws.ToString(in.GroupName)), in.Marker, in.MaxItems)
	if err != nil {
		return nil, err
	}
	return &iam.ListGroupPoliciesOutput{PolicyNames: l.items, IsTruncated: l.truncated, Marker: l.marker}, nil
}

func (a api) deleteGroupPolicy(ctx context.Context, pass gate.Pass, in *iam.DeleteGroupPolicyInput) (*iam.DeleteGroupPolicyOutput, error) {
	return &iam.DeleteGroupPolicyOutput{}, a.identities.DeleteInlinePolicy(ctx, pass, groupOf(aws.ToString(in.GroupName)), aws.ToString(in.PolicyName))
}

func (a api) inlineNames(ctx context.Context, pass gate.Pass, owner domain.Owner, marker *string, size *int32) (listing[string], error) {
	policies, err := a.identities.InlinePolicies(ctx, pass, owner)
	if err != nil {
		return listing[string]{}, err
	}
	names := each(policies, func(p domain.InlinePolicy) string { return p.Name })
	return cut(names, policy.Fold, marker, size, "inline", string(owner.Kind), owner.Name)
}

// encoded is a policy document as IAM's responses carry it: percent-encoded by RFC 3986.
func encoded(document string) *string {
	text := strings.ReplaceAll(url.QueryEscape(document), "+", "%20")
	return &text
}
