package iam

import (
	"context"
	"fmt"
	"maps"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"

	"github.com/sallyport/sallyport/internal/awsapi"
	"github.com/sallyport/sallyport/internal/gate"
	domain "github.com/sallyport/sallyport/internal/iam"
	"github.com/sallyport/sallyport/internal/policy"
)

// This file serves managed policies and their versions.

func (a api) createPolicy(tx *gate.Tx, in *iam.CreatePolicyInput) (*iam.CreatePolicyOutput, error) {
	created, err := a.identities.CreatePolicy(tx, domain.NewPolicy{
		Name: aws.ToString(in.PolicyName), Path: aws.ToString(in.Path), Description: aws.ToString(in.Description),
		Document: aws.ToString(in.PolicyDocument), Tags: maps.Collect(parametersOf(in).tags()),
	})
	return &iam.CreatePolicyOutput{Policy: describedPolicy(created)}, err
}

func (a api) getPolicy(ctx context.Context, pass gate.Pass, in *iam.GetPolicyInput) (*iam.GetPolicyOutput, error) {
	found, err := a.identities.Policy(ctx, pass, aws.ToString(in.PolicyArn))
	return &iam.GetPolicyOutput{Policy: describedPolicy(found)}, err
}

func (a api) policies(ctx context.Context, pass gate.Pass, p parameters) ([]domain.ManagedPolicy, error) {
	scope, _ := p.value("Scope").(types.PolicyScopeType)
	return a.identities.Policies(ctx, pass, domain.PolicyFilter{
		Scope: domain.PolicyScope(scope), OnlyAttached: p.value("OnlyAttached") == true, PathPrefix: p.text("PathPrefix"),
	})
}

func (a api) deletePolicy(tx *gate.Tx, p parameters) error {
	return a.identities.DeletePolicy(tx, p.text("PolicyArn"))
}

// byPolicyName returns the key by which the domain sorts managed policies: the name, then the ARN. No
// name has a space.
func byPolicyName(p domain.ManagedPolicy) string { return policy.Fold(p.Name) + " " + p.ARN }

// managedPolicy returns a policy as listings show it, without its description and tags.
func managedPolicy(p domain.ManagedPolicy) types.Policy {
	return types.Policy{
		PolicyId: &p.ID, PolicyName: &p.Name, Path: &p.Path, Arn: &p.ARN, DefaultVersionId: &p.DefaultVersion,
		AttachmentCount: aws.Int32(int32(p.Attachments)), PermissionsBoundaryUsageCount: aws.Int32(0), IsAttachable: true,
		CreateDate: &p.Created, UpdateDate: &p.Updated,
	}
}

func describedPolicy(p domain.ManagedPolicy) *types.Policy {
	out := managedPolicy(p)
	out.Description = awsapi.Optional(p.Description)
	out.Tags = tagList(p.Tags)
	return &out
}

func (a api) createPolicyVersion(
	tx *gate.Tx, in *iam.CreatePolicyVersionInput,
) (*iam.CreatePolicyVersionOutput, error) {
	created, err := a.identities.CreatePolicyVersion(
		tx, aws.ToString(in.PolicyArn), aws.ToString(in.PolicyDocument), in.SetAsDefault)
	out := policyVersion(created)
	return &iam.CreatePolicyVersionOutput{PolicyVersion: &out}, err
}

func (a api) getPolicyVersion(
	ctx context.Context, pass gate.Pass, in *iam.GetPolicyVersionInput,
) (*iam.GetPolicyVersionOutput, error) {
	found, err := a.identities.PolicyVersion(ctx, pass, aws.ToString(in.PolicyArn), aws.ToString(in.VersionId))
	out := policyVersion(found)
	out.Document = encoded(found.Document)
	return &iam.GetPolicyVersionOutput{PolicyVersion: &out}, err
}

func (a api) versions(ctx context.Context, pass gate.Pass, p parameters) ([]domain.PolicyVersion, error) {
	return a.identities.PolicyVersions(ctx, pass, p.text("PolicyArn"))
}

func (a api) setDefaultVersion(tx *gate.Tx, p parameters) error {
	return a.identities.SetDefaultPolicyVersion(tx, p.text("PolicyArn"), p.text("VersionId"))
}

func (a api) deleteVersion(tx *gate.Tx, p parameters) error {
	return a.identities.DeletePolicyVersion(tx, p.text("PolicyArn"), p.text("VersionId"))
}

// newest returns the key by which the domain sorts versions: v10 before v9.
func newest(v domain.PolicyVersion) string { return fmt.Sprintf("%019d", 1<<62-v.Number) }

func policyVersion(v domain.PolicyVersion) types.PolicyVersion {
	return types.PolicyVersion{VersionId: aws.String(v.ID()), IsDefaultVersion: v.Default, CreateDate: &v.Created}
}
