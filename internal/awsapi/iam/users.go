package iam

import (
	"context"
	"maps"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"

	"github.com/sallyport/sallyport/internal/awsapi"
	"github.com/sallyport/sallyport/internal/gate"
	domain "github.com/sallyport/sallyport/internal/iam"
	"github.com/sallyport/sallyport/internal/policy"
)

func (a api) createUser(ctx context.Context, pass gate.Pass, in *iam.CreateUserInput) (*iam.CreateUserOutput, error) {
	user, err := a.identities.CreateUser(ctx, pass, domain.NewUser{
		Name: aws.ToString(in.UserName), Path: aws.ToString(in.Path), Tags: tagMap(in.Tags),
	})
	if err != nil {
		return nil, err
	}
	return &iam.CreateUserOutput{User: taggedUser(user)}, nil
}

func (a api) getUser(ctx context.Context, pass gate.Pass, in *iam.GetUserInput) (*iam.GetUserOutput, error) {
	user, err := a.identities.User(ctx, pass, aws.ToString(in.UserName))
	if err != nil {
		return nil, err
	}
	return &iam.GetUserOutput{User: taggedUser(user)}, nil
}

func (a api) listUsers(ctx context.Context, pass gate.Pass, in *iam.ListUsersInput) (*iam.ListUsersOutput, error) {
	users, err := a.identities.Users(ctx, pass, aws.ToString(in.PathPrefix))
	if err != nil {
		return nil, err
	}
	l, err := cut(users, byUserName, in.Marker, in.MaxItems, "ListUsers", aws.ToString(in.PathPrefix))
	if err != nil {
		return nil, err
	}
	return &iam.ListUsersOutput{Users: each(l.items, user), IsTruncated: l.truncated, Marker: l.marker}, nil
}

func (a api) updateUser(ctx context.Context, pass gate.Pass, in *iam.UpdateUserInput) (*iam.UpdateUserOutput, error) {
	return &iam.UpdateUserOutput{}, a.identities.UpdateUser(ctx, pass, aws.ToString(in.UserName), aws.ToString(in.NewUserName), aws.ToString(in.NewPath))
}

func (a api) deleteUser(ctx context.Context, pass gate.Pass, in *iam.DeleteUserInput) (*iam.DeleteUserOutput, error) {
	return &iam.DeleteUserOutput{}, a.identities.DeleteUser(ctx, pass, aws.ToString(in.UserName))
}

func (a api) tagUser(ctx context.Context, pass gate.Pass, in *iam.TagUserInput) (*iam.TagUserOutput, error) {
	return &iam.TagUserOutput{}, a.identities.TagUser(ctx, pass, aws.ToString(in.UserName), tagMap(in.Tags))
}

func (a api) untagUser(ctx context.Context, pass gate.Pass, in *iam.UntagUserInput) (*iam.UntagUserOutput, error) {
	return &iam.UntagUserOutput{}, a.identities.UntagUser(ctx, pass, aws.ToString(in.UserName), in.TagKeys)
}

func (a api) listUserTags(ctx context.Context, pass gate.Pass, in *iam.ListUserTagsInput) (*iam.ListUserTagsOutput, error) {
	user, err := a.identities.User(ctx, pass, aws.ToString(in.UserName))
	if err != nil {
		return nil, err
	}
	byKey := func(t types.Tag) string { return aws.ToString(t.Key) }
	l, err := cut(tagList(user.Tags), byKey, in.Marker, in.MaxItems, "ListUserTags", user.ID)
	if err != nil {
		return nil, err
	}
	return &iam.ListUserTagsOutput{Tags: l.items, IsTruncated: l.truncated, Marker: l.marker}, nil
}

func (a api) listGroupsForUser(ctx context.Context, pass gate.Pass, in *iam.ListGroupsForUserInput) (*iam.ListGroupsForUserOutput, error) {
	groups, err := a.identities.GroupsOf(ctx, pass, aws.ToString(in.UserName))
	if err != nil {
		return nil, err
	}
	l, err := cut(groups, byGroupName, in.Marker, in.MaxItems, "ListGroupsForUser", aws.ToString(in.UserName))
	if err != nil {
		return nil, err
	}
	return &iam.ListGroupsForUserOutput{Groups: each(l.items, group), IsTruncated: l.truncated, Marker: l.marker}, nil
}

func byUserName(u domain.User) string { return policy.Fold(u.Name) }

// user is a user as listings show it: without tags. The root user has neither name nor path.
func user(u domain.User) types.User {
	return types.User{UserId: &u.ID, UserName: awsapi.Optional(u.Name), Path: awsapi.Optional(u.Path), Arn: &u.ARN, CreateDate: &u.Created}
}

func taggedUser(u domain.User) *types.User {
	out := user(u)
	if len(u.Tags) > 0 {
		out.Tags = tagList(u.Tags)
	}
	return &out
}

// tagList is the tags in order of their keys.
func tagList(tags map[string]string) []types.Tag {
	out := []types.Tag{}
	for _, key := range slices.Sorted(maps.Keys(tags)) {
		value := tags[key]
		out = append(out, types.Tag{Key: &key, Value: &value})
	}
	return out
}

func tagMap(tags []types.Tag) map[string]string {
	out := map[string]string{}
	for _, tag := range tags {
		out[aws.ToString(tag.Key)] = aws.ToString(tag.Value)
	}
	return out
}
