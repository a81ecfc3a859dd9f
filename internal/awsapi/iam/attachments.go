package iam

import (
	"context"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"

	"github.com/sallyport/sallyport/internal/gate"
	domain "github.com/sallyport/sallyport/internal/iam"
	"github.com/sallyport/sallyport/internal/policy"
)

func (a api) attachUserPolicy(ctx context.Context, pass gate.Pass, in *iam.AttachUserPolicyInput) (*iam.AttachUserPolicyOutput, error) {
	return &iam.AttachUserPolicyOutput{}, a.identities.AttachPolicy(ctx, pass, userOf(aws.ToString(in.UserName)), aws.ToString(in.PolicyArn))
}

func (a api) detachUserPolicy(ctx context.Context, pass gate.Pass, in *iam.DetachUserPolicyInput) (*iam.DetachUserPolicyOutput, error) {
	return &iam.DetachUserPolicyOutput{}, a.identities.DetachPolicy(ctx, pass, userOf(aws.ToString(in.UserName)), aws.ToString(in.PolicyArn))
}

func (a api) attachGroupPolicy(ctx context.Context, pass gate.Pass, in *iam.AttachGroupPolicyInput) (*iam.AttachGroupPolicyOutput, error) {
	return &iam.AttachGroupPolicyOutput{}, a.identities.AttachPolicy(ctx, pass, groupOf(aws.ToString(in.GroupName)), aws.ToString(in.PolicyArn))
}

func (a api) detachGroupPolicy(ctx context.Context, pass gate.Pass, in *iam.DetachGroupPolicyInput) (*iam.DetachGroupPolicyOutput, error) {
	return &iam.DetachGroupPolicyOutput{}, a.identities.DetachPolicy(ctx, pass, groupOf(aws.ToString(in.GroupName)), aws.ToString(in.PolicyArn))
}

func (a api) listAttachedUserPolicies(ctx context.Context, pass gate.Pass, in *iam.ListAttachedUserPoliciesInput) (*iam.ListAttachedUserPoliciesOutput, error) {
	l, err := a.attached(ctx, pass, userOf(aws.ToString(in.UserName)), aws.ToString(in.PathPrefix), in.Marker, in.MaxItems)
	if err != nil {
		return nil, err
	}
	return &iam.ListAttachedUserPoliciesOutput{AttachedPolicies: each(l.items, attachedPolicy), IsTruncated: l.truncated, Marker: l.marker}, nil
}

func (a api) listAttachedGroupPolicies(ctx context.Context, pass gate.Pass, in *iam.ListAttachedGroupPoliciesInput) (*iam.ListAttachedGroupPoliciesOutput, error) {
	l, err := a.attached(ctx, pass, groupOf(aws.ToString(in.GroupName)), aws.ToString(in.PathPrefix), in.Marker, in.MaxItems)
	if err != nil {
		return nil, err
	}
	return &iam.ListAttachedGroupPoliciesOutput{AttachedPolicies: each(l.items, attachedPolicy), IsTruncated: l.truncated, Marker: l.marker}, nil
}

func (a api) attached(ctx context.Context, pass gate.Pass, owner domain.Owner, pathPrefix string, marker *string, size *int32) (listing[domain.ManagedPolicy], error) {
	policies, err := a.identities.AttachedPolicies(ctx, pass, owner, pathPrefix)
	if err != nil {
		return listing[domain.ManagedPolicy]{}, err
	}
	return cut(policies, byPolicyName, marker, size, "attached", string(owner.Kind), owner.Name, pathPrefix)
}

func attachedPolicy(p domain.ManagedPolicy) types.AttachedPolicy {
	return types.AttachedPolicy{PolicyArn: &p.ARN, PolicyName: &p.Name}
}

// entity is a user or a group; the other is nil.
type entity struct {
	user  *domain.User
	group *domain.Group
}

// key puts groups before users, as IAM does.
func (e entity) key() string {
	if e.group != nil {
		return "group " + policy.Fold(e.group.Name)
	}
	return "user " + policy.Fold(e.user.Name)
}

func (a api) listEntitiesForPolicy(ctx context.Context, pass gate.Pass, in *iam.ListEntitiesForPolicyInput) (*iam.ListEntitiesForPolicyOutput, error) {
	users, groups, err := a.identities.PolicyOwners(ctx, pass, aws.ToString(in.PolicyArn))
	if err != nil {
		return nil, err
	}
	withUsers, withGroups := wanted(in.EntityFilter)
	var entities []entity
	for _, g := range groups {
		if withGroups && strings.HasPrefix(g.Path, aws.ToString(in.PathPrefix)) {
			entities = append(entities, entity{group: &g})
		}
	}
	for _, u := range users {
		if withUsers && strings.HasPrefix(u.Path, aws.ToString(in.PathPrefix)) {
			entities = append(entities, entity{user: &u})
		}
	}
	l, err := cut(entities, entity.key, in.Marker, in.MaxItems, "ListEntitiesForPolicy", aws.ToString(in.PolicyArn), string(in.EntityFilter), aws.ToString(in.PathPrefix))
	if err != nil {
		return nil, err
	}
	out := &iam.ListEntitiesForPolicyOutput{
		PolicyGroups: []types.PolicyGroup{}, PolicyUsers: []types.PolicyUser{}, PolicyRoles: []types.PolicyRole{},
		IsTruncated: l.truncated, Marker: l.marker,
	}
	for _, e := range l.items {
		if e.group != nil {
			out.PolicyGroups = append(out.PolicyGroups, types.PolicyGroup{GroupId: &e.group.ID, GroupName: &e.group.Name})
		} else {
			out.PolicyUsers = append(out.PolicyUsers, types.PolicyUser{UserId: &e.user.ID, UserName: &e.user.Name})
		}
	}
	return out, nil
}

// wanted tells what an EntityFilter lets through. There are no roles here; who asks for other things gets none.
func wanted(filter types.EntityType) (users, groups bool) {
	return filter == "" || filter == types.EntityTypeUser, filter == "" || filter == types.EntityTypeGroup
}
