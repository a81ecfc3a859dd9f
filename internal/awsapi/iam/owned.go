package iam

import (
	"context"
	"net/url"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"

	"github.com/sallyport/sallyport/internal/gate"
	domain "github.com/sallyport/sallyport/internal/iam"
	"github.com/sallyport/sallyport/internal/policy"
)

// This file serves the policies of users and groups: inline policies, and attached managed policies.

func (a api) putInline(tx *gate.Tx, p parameters) error {
	return a.identities.PutInlinePolicy(tx, p.owner(), domain.InlinePolicy{
		Name: p.text("PolicyName"), Document: p.text("PolicyDocument"),
	})
}

func (a api) getUserPolicy(
	ctx context.Context, pass gate.Pass, in *iam.GetUserPolicyInput,
) (*iam.GetUserPolicyOutput, error) {
	found, err := a.getInline(ctx, pass, parametersOf(in))
	return &iam.GetUserPolicyOutput{
		UserName: in.UserName, PolicyName: &found.Name, PolicyDocument: encoded(found.Document),
	}, err
}

func (a api) getGroupPolicy(
	ctx context.Context, pass gate.Pass, in *iam.GetGroupPolicyInput,
) (*iam.GetGroupPolicyOutput, error) {
	found, err := a.getInline(ctx, pass, parametersOf(in))
	return &iam.GetGroupPolicyOutput{
		GroupName: in.GroupName, PolicyName: &found.Name, PolicyDocument: encoded(found.Document),
	}, err
}

func (a api) getInline(ctx context.Context, pass gate.Pass, p parameters) (domain.InlinePolicy, error) {
	return a.identities.InlinePolicy(ctx, pass, p.owner(), p.text("PolicyName"))
}

func (a api) inline(ctx context.Context, pass gate.Pass, p parameters) ([]domain.InlinePolicy, error) {
	return a.identities.InlinePolicies(ctx, pass, p.owner())
}

func (a api) deleteInline(tx *gate.Tx, p parameters) error {
	return a.identities.DeleteInlinePolicy(tx, p.owner(), p.text("PolicyName"))
}

func inlineName(p domain.InlinePolicy) string   { return p.Name }
func byInlineName(p domain.InlinePolicy) string { return policy.Fold(p.Name) }

// encoded returns a policy document as IAM's responses carry it, percent-encoded by RFC 3986.
func encoded(document string) *string {
	return aws.String(strings.ReplaceAll(url.QueryEscape(document), "+", "%20"))
}

func (a api) attach(tx *gate.Tx, p parameters) error {
	return a.identities.AttachPolicy(tx, p.owner(), p.text("PolicyArn"))
}

func (a api) detach(tx *gate.Tx, p parameters) error {
	return a.identities.DetachPolicy(tx, p.owner(), p.text("PolicyArn"))
}

func (a api) attached(ctx context.Context, pass gate.Pass, p parameters) ([]domain.ManagedPolicy, error) {
	return a.identities.AttachedPolicies(ctx, pass, p.owner(), p.text("PathPrefix"))
}

func attachedPolicy(p domain.ManagedPolicy) types.AttachedPolicy {
	return types.AttachedPolicy{PolicyArn: &p.ARN, PolicyName: &p.Name}
}

func (a api) listEntitiesForPolicy(
	ctx context.Context, pass gate.Pass, in *iam.ListEntitiesForPolicyInput,
) (*iam.ListEntitiesForPolicyOutput, error) {
	owners, err := a.identities.PolicyOwners(ctx, pass, aws.ToString(in.PolicyArn))
	if err != nil {
		return nil, err
	}
	owners = slices.DeleteFunc(owners, func(i domain.Identity) bool {
		return !matches(in.EntityFilter, i.Kind) || !strings.HasPrefix(i.Path, aws.ToString(in.PathPrefix))
	})
	key := func(i domain.Identity) string { return string(i.Kind) + " " + byName(i) }
	owners, marker, err := cut(owners, key, parametersOf(in))
	out := &iam.ListEntitiesForPolicyOutput{
		PolicyGroups: []types.PolicyGroup{}, PolicyUsers: []types.PolicyUser{}, PolicyRoles: []types.PolicyRole{},
		IsTruncated: marker != nil, Marker: marker,
	}
	for _, i := range owners {
		switch i.Kind {
		case domain.OwnerGroup:
			out.PolicyGroups = append(out.PolicyGroups, types.PolicyGroup{GroupId: &i.ID, GroupName: &i.Name})
		case domain.OwnerUser:
			out.PolicyUsers = append(out.PolicyUsers, types.PolicyUser{UserId: &i.ID, UserName: &i.Name})
		}
	}
	return out, err
}

// matches reports whether an EntityFilter includes a kind of owner. A filter for entities that do not exist here
// includes none.
func matches(filter types.EntityType, kind domain.OwnerKind) bool {
	return filter == "" || "AWS::IAM::"+string(filter) == kind.Type()
}
