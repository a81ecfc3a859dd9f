package iam

import (
	"context"

	"github.com/sallyport/sallyport/internal/awsapi"
	"github.com/sallyport/sallyport/internal/gate"
	"github.com/sallyport/sallyport/internal/iam"
)

// touches finds the resources a request is about, as policies know them; nil is for operations on "*".
type touches func(ctx context.Context, scope awsapi.Scope, p parameters) ([]gate.Resource, error)

func (a api) user(ctx context.Context, _ awsapi.Scope, p parameters) ([]gate.Resource, error) {
	return a.owner(ctx, userOf(p.text("UserName")))
}

func (a api) group(ctx context.Context, _ awsapi.Scope, p parameters) ([]gate.Resource, error) {
	return a.owner(ctx, groupOf(p.text("GroupName")))
}

// self is the user a request names, or else the caller.
func (a api) self(ctx context.Context, scope awsapi.Scope, p parameters) ([]gate.Resource, error) {
	name := p.text("UserName")
	if name == "" {
		name = scope.Caller
	}
	if name == "" {
		return []gate.Resource{{ARN: a.identities.RootARN()}}, nil
	}
	return a.owner(ctx, userOf(name))
}

func (a api) owner(ctx context.Context, owner iam.Owner) ([]gate.Resource, error) {
	arn, err := a.identities.OwnerARN(ctx, owner)
	return []gate.Resource{{ARN: arn, Type: typeOf(owner), Named: named(owner)}}, err
}

// What is to be created has no tags yet: those in the request are known to policies as aws:RequestTag.

func (a api) newUser(_ context.Context, _ awsapi.Scope, p parameters) ([]gate.Resource, error) {
	return a.created("user", iam.UserType, p.text("Path"), p.text("UserName")), nil
}

func (a api) newGroup(_ context.Context, _ awsapi.Scope, p parameters) ([]gate.Resource, error) {
	return a.created("group", iam.GroupType, p.text("Path"), p.text("GroupName")), nil
}

func (a api) newPolicy(_ context.Context, _ awsapi.Scope, p parameters) ([]gate.Resource, error) {
	return a.created("policy", iam.PolicyType, p.text("Path"), p.text("PolicyName")), nil
}

func (a api) created(kind, resourceType, path, name string) []gate.Resource {
	return []gate.Resource{{ARN: a.identities.NewARN(kind, path, name), Type: resourceType, Tags: map[string]string{}}}
}

func (a api) movedUser(ctx context.Context, _ awsapi.Scope, p parameters) ([]gate.Resource, error) {
	return a.moved(ctx, userOf(p.text("UserName")), p.text("NewPath"), p.text("NewUserName"))
}

func (a api) movedGroup(ctx context.Context, _ awsapi.Scope, p parameters) ([]gate.Resource, error) {
	return a.moved(ctx, groupOf(p.text("GroupName")), p.text("NewPath"), p.text("NewGroupName"))
}

// moved is what is there and what it becomes: the caller needs to be allowed to change both, as on AWS. The
// tags are those of what is there.
func (a api) moved(ctx context.Context, owner iam.Owner, newPath, newName string) ([]gate.Resource, error) {
	resources, err := a.owner(ctx, owner)
	if err != nil {
		return nil, err
	}
	target, err := a.identities.MovedARN(ctx, owner, newPath, newName)
	if err != nil || target == resources[0].ARN {
		return resources, err
	}
	tags, err := a.identities.ResourceTags(ctx, resources[0].ARN)
	if tags == nil {
		tags = map[string]string{}
	}
	return append(resources, gate.Resource{ARN: target, Type: typeOf(owner), Tags: tags, Named: named(owner)}), err
}

// Listings are asked about by their path, as on AWS: user/* allows to list users.

func (a api) anyUser(_ context.Context, _ awsapi.Scope, p parameters) ([]gate.Resource, error) {
	return []gate.Resource{{ARN: a.identities.NewARN("user", p.text("PathPrefix"), "")}}, nil
}

func (a api) anyGroup(_ context.Context, _ awsapi.Scope, p parameters) ([]gate.Resource, error) {
	return []gate.Resource{{ARN: a.identities.NewARN("group", p.text("PathPrefix"), "")}}, nil
}

// policy is the managed policy with the ARN, which is compared exactly.
func (a api) policy(_ context.Context, _ awsapi.Scope, p parameters) ([]gate.Resource, error) {
	arn := p.text("PolicyArn")
	return []gate.Resource{{ARN: arn, Type: iam.PolicyType}}, a.identities.CheckPolicyARN(arn)
}

func (a api) keyOwner(ctx context.Context, _ awsapi.Scope, p parameters) ([]gate.Resource, error) {
	id := p.text("AccessKeyId")
	arn, err := a.identities.KeyOwnerARN(ctx, id)
	return []gate.Resource{{ARN: arn, Type: iam.UserType, Named: "access key " + id}}, err
}

// named is what a refusal calls a user or group, in IAM's own words: as the caller did. The ARN would tell those
// who may not ask whether it exists, under which path, and how its name is spelt.
func named(owner iam.Owner) string { return string(owner.Kind) + " " + owner.Name }

func userOf(name string) iam.Owner  { return iam.Owner{Kind: iam.OwnerUser, Name: name} }
func groupOf(name string) iam.Owner { return iam.Owner{Kind: iam.OwnerGroup, Name: name} }

func typeOf(owner iam.Owner) string {
	if owner.Kind == iam.OwnerGroup {
		return iam.GroupType
	}
	return iam.UserType
}
