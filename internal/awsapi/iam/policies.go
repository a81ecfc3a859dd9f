package iam

import (
	"context"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"

	"github.com/sallyport/sallyport/internal/awsapi"
	"github.com/sallyport/sallyport/internal/gate"
	domain "github.com/sallyport/sallyport/internal/iam"
	"github.com/sallyport/sallyport/internal/policy"
)

func (a api) createPolicy(ctx context.Context, pass gate.Pass, in *iam.CreatePolicyInput) (*iam.CreatePolicyOutput, error) {
	p, err := a.identities.CreatePolicy(ctx, pass, domain.NewPolicy{
		Name: aws.ToString(in.PolicyName), Path: aws.ToString(in.Path), Description: aws.ToString(in.Description),
		Document: aws.ToString(in.PolicyDocument), Tags: tagMap(in.Tags),
	})
	if err != nil {
		return nil, err
	}
	return &iam.CreatePolicyOutput{Policy: describedPolicy(p)}, nil
}

func (a api) getPolicy(ctx context.Context, pass gate.Pass, in *iam.GetPolicyInput) (*iam.GetPolicyOutput, error) {
	p, err := a.identities.Policy(ctx, pass, aws.ToString(in.PolicyArn))
	if err != nil {
		return nil, err
	}
	return &iam.GetPolicyOutput{Policy: describedPolicy(p)}, nil
}

func (a api) listPolicies(ctx context.Context, pass gate.Pass, in *iam.ListPoliciesInput) (*iam.ListPoliciesOutput, error) {
	policies, err := a.identities.Policies(ctx, pass, domain.PolicyFilter{
		Scope: domain.PolicyScope(in.Scope), OnlyAttached: in.OnlyAttached, PathPrefix: aws.ToString(in.PathPrefix),
	})
	if err != nil {
		return nil, err
	}
	l, err := cut(policies, byPolicyName, in.Marker, in.MaxItems, "ListPolicies", string(in.Scope), fmt.Sprint(in.OnlyAttached), aws.ToString(in.PathPrefix))
	if err != nil {
		return nil, err
	}
	return &iam.ListPoliciesOutput{Policies: each(l.items, managedPolicy), IsTruncated: l.truncated, Marker: l.marker}, nil
}

func (a api) deletePolicy(ctx context.Context, pass gate.Pass, in *iam.DeletePolicyInput) (*iam.DeletePolicyOutput, error) {
	return &iam.DeletePolicyOutput{}, a.identities.DeletePolicy(ctx, pass, aws.ToString(in.PolicyArn))
}

func (a api) createPolicyVersion(ctx context.Context, pass gate.Pass, in *iam.CreatePolicyVersionInput) (*iam.CreatePolicyVersionOutput, error) {
	v, err := a.identities.CreatePolicyVersion(ctx, pass, aws.ToString(in.PolicyArn), aws.ToString(in.PolicyDocument), in.SetAsDefault)
	if err != nil {
		return nil, err
	}
	out := policyVersion(v)
	return &iam.CreatePolicyVersionOutput{PolicyVersion: &out}, nil
}

func (a api) getPolicyVersion(ctx context.Context, pass gate.Pass, in *iam.GetPolicyVersionInput) (*iam.GetPolicyVersionOutput, error) {
	v, err := a.identities.PolicyVersion(ctx, pass, aws.ToString(in.PolicyArn), aws.ToString(in.VersionId))
	if err != nil {
		return nil, err
	}
	out := policyVersion(v)
	out.Document = encoded(v.Document)
	return &iam.GetPolicyVersionOutput{PolicyVersion: &out}, nil
}

func (a api) listPolicyVersions(ctx context.Context, pass gate.Pass, in *iam.ListPolicyVersionsInput) (*iam.ListPolicyVersionsOutput, error) {
	versions, err := a.identities.PolicyVersions(ctx, pass, aws.ToString(in.PolicyArn))
	if err != nil {
		return nil, err
	}
	l, err := cut(versions, newestVersion, in.Marker, in.MaxItems, "ListPolicyVersions", aws.ToString(in.PolicyArn))
	if err != nil {
		return nil, err
	}
	return &iam.ListPolicyVersionsOutput{Versions: each(l.items, policyVersion), IsTruncated: l.truncated, Marker: l.marker}, nil
}

func (a api) setDefaultPolicyVersion(ctx context.Context, pass gate.Pass, in *iam.SetDefaultPolicyVersionInput) (*iam.SetDefaultPolicyVersionOutput, error) {
	return &iam.SetDefaultPolicyVersionOutput{}, a.identities.SetDefaultPolicyVersion(ctx, pass, aws.ToString(in.PolicyArn), aws.ToString(in.VersionId))
}

func (a api) deletePolicyVersion(ctx context.Context, pass gate.Pass, in *iam.DeletePolicyVersionInput) (*iam.DeletePolicyVersionOutput, error) {
	return &iam.DeletePolicyVersionOutput{}, a.identities.DeletePolicyVersion(ctx, pass, aws.ToString(in.PolicyArn), aws.ToString(in.VersionId))
}

// byPolicyName is the domain's order: by name, and then by ARN. No name has a space.
func byPolicyName(p domain.ManagedPolicy) string { return policy.Fold(p.Name) + " " + p.ARN }

// newestVersion is the domain's order: v10 before v9.
func newestVersion(v domain.PolicyVersion) string {
	var number int64
	fmt.Sscanf(v.ID, "v%d", &number)
	return fmt.Sprintf("%019d", 1<<62-number)
}

// managedPolicy is a policy as listings show it: without description and tags.
func managedPolicy(p domain.ManagedPolicy) types.Policy {
	attachments, boundaries := int32(p.Attachments), int32(0)
	return types.Policy{
		PolicyId: &p.ID, PolicyName: &p.Name, Path: &p.Path, Arn: &p.ARN, DefaultVersionId: &p.DefaultVersion,
		AttachmentCount: &attachments, PermissionsBoundaryUsageCount: &boundaries, IsAttachable: true,
		CreateDate: &p.Created, UpdateDate: &p.Updated,
	}
}

func describedPolicy(p domain.ManagedPolicy) *types.Policy {
	out := managedPolicy(p)
	out.Description = awsapi.Optional(p.Description)
	if len(p.Tags) > 0 {
		out.Tags = tagList(p.Tags)
	}
	return &out
}

func policyVersion(v domain.PolicyVersion) types.PolicyVersion {
	return types.PolicyVersion{VersionId: &v.ID, IsDefaultVersion: v.Default, CreateDate: &v.Created}
}
