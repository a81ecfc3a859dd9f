package iam

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"

	"github.com/sallyport/sallyport/internal/gate"
	domain "github.com/sallyport/sallyport/internal/iam"
	"github.com/sallyport/sallyport/internal/policy"
)

func (a api) createGroup(ctx context.Context, pass gate.Pass, in *iam.CreateGroupInput) (*iam.CreateGroupOutput, error) {
	created, err := a.identities.CreateGroup(ctx, pass, aws.ToString(in.GroupName), aws.ToString(in.Path))
	if err != nil {
		return nil, err
	}
	out := group(created)
	return &iam.CreateGroupOutput{Group: &out}, nil
}

func (a api) getGroup(ctx context.Context, pass gate.Pass, in *iam.GetGroupInput) (*iam.GetGroupOutput, error) {
	found, members, err := a.identities.Group(ctx, pass, aws.ToString(in.GroupName))
	if err != nil {
		return nil, err
	}
	l, err := cut(members, byUserName, in.Marker, in.MaxItems, "GetGroup", found.ID)
	if err != nil {
		return nil, err
	}
	out := group(found)
	return &iam.GetGroupOutput{Group: &out, Users: each(l.items, user), IsTruncated: l.truncated, Marker: l.marker}, nil
}

func (a api) listGroups(ctx context.Context, pass gate.Pass, in *iam.ListGroupsInput) (*iam.ListGroupsOutput, error) {
	groups, err := a.identities.Groups(ctx, pass, aws.ToString(in.PathPrefix))
	if err != nil {
		return nil, err
	}
	l, err := cut(groups, byGroupName, in.Marker, in.MaxItems, "ListGroups", aws.ToString(in.PathPrefix))
	if err != nil {
		return nil, err
	}
	return &iam.ListGroupsOutput{Groups: each(l.items, group), IsTruncated: l.truncated, Marker: l.marker}, nil
}

func (a api) updateGroup(ctx context.Context, pass gate.Pass, in *iam.UpdateGroupInput) (*iam.UpdateGroupOutput, error) {
	return &iam.UpdateGroupOutput{}, a.identities.UpdateGroup(ctx, pass, aws.ToString(in.GroupName), aws.ToString(in.NewGroupName), aws.ToString(in.NewPath))
}

func (a api) deleteGroup(ctx context.Context, pass gate.Pass, in *iam.DeleteGroupInput) (*iam.DeleteGroupOutput, error) {
	return &iam.DeleteGroupOutput{}, a.identities.DeleteGroup(ctx, pass, aws.ToString(in.GroupName))
}

func (a api) addUserToGroup(ctx context.Context, pass gate.Pass, in *iam.AddUserToGroupInput) (*iam.AddUserToGroupOutput, error) {
	return &iam.AddUserToGroupOutput{}, a.identities.AddMember(ctx, pass, aws.ToString(in.GroupName), aws.ToString(in.UserName))
}

func (a api) removeUserFromGroup(ctx context.Context, pass gate.Pass, in *iam.RemoveUserFromGroupInput) (*iam.RemoveUserFromGroupOutput, error) {
	return &iam.RemoveUserFromGroupOutput{}, a.identities.RemoveMember(ctx, pass, aws.ToString(in.GroupName), aws.ToString(in.UserName))
}

func byGroupName(g domain.Group) string { return policy.Fold(g.Name) }

func group(g domain.Group) types.Group {
	return types.Group{GroupId: &g.ID, GroupName: &g.Name, Path: &g.Path, Arn: &g.ARN, CreateDate: &g.Created}
}
