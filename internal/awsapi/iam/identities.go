package iam

import (
	"cmp"
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

func (a api) createUser(tx *gate.Tx, in *iam.CreateUserInput) (*iam.CreateUserOutput, error) {
	created, err := a.create(tx, parametersOf(in))
	return &iam.CreateUserOutput{User: taggedUser(created)}, err
}

func (a api) createGroup(tx *gate.Tx, in *iam.CreateGroupInput) (*iam.CreateGroupOutput, error) {
	created, err := a.create(tx, parametersOf(in))
	out := group(created)
	return &iam.CreateGroupOutput{Group: &out}, err
}

func (a api) create(tx *gate.Tx, p parameters) (domain.Identity, error) {
	return a.identities.Create(tx, domain.NewIdentity{
		Owner: p.owner(), Path: p.text("Path"), Tags: maps.Collect(p.tags()),
	})
}

func (a api) getUser(ctx context.Context, pass gate.Pass, in *iam.GetUserInput) (*iam.GetUserOutput, error) {
	found, err := a.identities.User(ctx, pass, aws.ToString(in.UserName))
	return &iam.GetUserOutput{User: taggedUser(found)}, err
}

func (a api) getGroup(ctx context.Context, pass gate.Pass, in *iam.GetGroupInput) (*iam.GetGroupOutput, error) {
	found, members, err := a.identities.Group(ctx, pass, aws.ToString(in.GroupName))
	if err != nil {
		return nil, err
	}
	members, marker, err := cut(members, byName, parametersOf(in))
	out := group(found)
	return &iam.GetGroupOutput{
		Group: &out, Users: each(members, user), IsTruncated: marker != nil, Marker: marker,
	}, err
}

func (a api) listed(kind domain.OwnerKind) func(context.Context, gate.Pass, parameters) ([]domain.Identity, error) {
	return func(ctx context.Context, pass gate.Pass, p parameters) ([]domain.Identity, error) {
		return a.identities.Identities(ctx, pass, kind, p.text("PathPrefix"))
	}
}

func (a api) groupsOf(ctx context.Context, pass gate.Pass, p parameters) ([]domain.Identity, error) {
	return a.identities.GroupsOf(ctx, pass, p.text("UserName"))
}

func (a api) tags(ctx context.Context, pass gate.Pass, p parameters) ([]types.Tag, error) {
	found, err := a.identities.User(ctx, pass, p.text("UserName"))
	return tagList(found.Tags), err
}

func (a api) update(tx *gate.Tx, p parameters) error {
	newName := cmp.Or(p.text("NewUserName"), p.text("NewGroupName"))
	return a.identities.Update(tx, p.owner(), newName, p.text("NewPath"))
}

func (a api) delete(tx *gate.Tx, p parameters) error { return a.identities.Delete(tx, p.owner()) }

func (a api) tag(tx *gate.Tx, p parameters) error {
	return a.identities.Tag(tx, p.owner(), maps.Collect(p.tags()))
}

func (a api) untag(tx *gate.Tx, p parameters) error {
	return a.identities.Untag(tx, p.owner(), p.list("TagKeys"))
}

func (a api) addMember(tx *gate.Tx, p parameters) error {
	return a.identities.AddMember(tx, p.text("GroupName"), p.text("UserName"))
}

func (a api) removeMember(tx *gate.Tx, p parameters) error {
	return a.identities.RemoveMember(tx, p.text("GroupName"), p.text("UserName"))
}

// byName returns the key by which the domain sorts identities of one kind.
func byName(i domain.Identity) string { return policy.Fold(i.Name) }

// user returns a user as listings show it, without tags. The root user has neither a name nor a path.
func user(i domain.Identity) types.User {
	return types.User{
		UserId: &i.ID, UserName: awsapi.Optional(i.Name), Path: awsapi.Optional(i.Path), Arn: &i.ARN, CreateDate: &i.Created,
	}
}

func taggedUser(i domain.Identity) *types.User {
	out := user(i)
	out.Tags = tagList(i.Tags)
	return &out
}

func group(i domain.Identity) types.Group {
	return types.Group{GroupId: &i.ID, GroupName: &i.Name, Path: &i.Path, Arn: &i.ARN, CreateDate: &i.Created}
}

// tagList returns the tags sorted by key, or nil if there are none.
func tagList(tags map[string]string) []types.Tag {
	var out []types.Tag
	for _, key := range slices.Sorted(maps.Keys(tags)) {
		out = append(out, types.Tag{Key: aws.String(key), Value: aws.String(tags[key])})
	}
	return out
}

func tagKey(tag types.Tag) string { return aws.ToString(tag.Key) }
