package iam

import (
	"cmp"
	"context"

	"github.com/sallyport/sallyport/internal/awsapi"
	"github.com/sallyport/sallyport/internal/gate"
	domain "github.com/sallyport/sallyport/internal/iam"
)

// asks finds what the policies are asked before a request is served. The row adds the action and the condition keys.
type asks func(ctx context.Context, scope awsapi.Scope, p parameters) ([]gate.Ask, error)

// all is for operations that are about no resource.
func all(context.Context, awsapi.Scope, parameters) ([]gate.Ask, error) {
	return []gate.Ask{{ARN: "*"}}, nil
}

// owner asks about the user or group that a request names.
func (a api) owner(ctx context.Context, _ awsapi.Scope, p parameters) ([]gate.Ask, error) {
	return a.named(ctx, p.owner())
}

func (a api) named(ctx context.Context, owner domain.Owner) ([]gate.Ask, error) {
	i, err := a.identities.Asked(ctx, owner)
	return []gate.Ask{about(owner, i)}, err
}

// about returns the ask about a user or group. A denial names it as the caller did, in IAM's own words. The ARN would
// tell a caller without permission that it exists, its path and the spelling of its name.
func about(owner domain.Owner, i domain.Identity) gate.Ask {
	return gate.Ask{ARN: i.ARN, Type: owner.Kind.Type(), Named: string(owner.Kind) + " " + owner.Name, Tags: i.Tags}
}

// self asks about the user that a request names, or about the caller if it names none.
func (a api) self(ctx context.Context, scope awsapi.Scope, p parameters) ([]gate.Ask, error) {
	name := cmp.Or(p.text("UserName"), scope.Caller)
	if name == "" {
		return []gate.Ask{{ARN: a.identities.RootARN()}}, nil
	}
	return a.named(ctx, domain.Owner{Kind: domain.OwnerUser, Name: name})
}

// keyOwner asks about the user whose access key a request names.
func (a api) keyOwner(ctx context.Context, _ awsapi.Scope, p parameters) ([]gate.Ask, error) {
	id := p.text("AccessKeyId")
	i, err := a.identities.AskedByKey(ctx, id)
	return []gate.Ask{{ARN: i.ARN, Type: domain.OwnerUser.Type(), Named: "access key " + id, Tags: i.Tags}}, err
}

// moved asks about an identity as it is and as it would become. As on AWS, the caller needs permission to change
// both. Both asks have the tags of the existing identity.
func (a api) moved(ctx context.Context, _ awsapi.Scope, p parameters) ([]gate.Ask, error) {
	owner := p.owner()
	i, err := a.identities.Asked(ctx, owner)
	if err != nil {
		return nil, err
	}
	present := about(owner, i)
	target := present
	target.ARN = a.identities.NewARN(string(owner.Kind),
		cmp.Or(p.text("NewPath"), i.Path), cmp.Or(p.text("NewUserName"), p.text("NewGroupName"), i.Name))
	if target.ARN == present.ARN {
		return []gate.Ask{present}, nil
	}
	return []gate.Ask{present, target}, nil
}

func (a api) newIdentity(_ context.Context, _ awsapi.Scope, p parameters) ([]gate.Ask, error) {
	owner := p.owner()
	return a.created(string(owner.Kind), owner.Kind.Type(), p.text("Path"), owner.Name), nil
}

func (a api) newPolicy(_ context.Context, _ awsapi.Scope, p parameters) ([]gate.Ask, error) {
	return a.created("policy", domain.PolicyType, p.text("Path"), p.text("PolicyName")), nil
}

// created asks about a resource that does not exist yet. It has no tags: policies know those in the request as
// aws:RequestTag.
func (a api) created(kind, resourceType, path, name string) []gate.Ask {
	return []gate.Ask{{
		ARN: a.identities.NewARN(kind, path, name), Type: resourceType, Tags: map[string]string{},
	}}
}

// any is for listings. They ask about their path, as on AWS: user/* allows a caller to list users.
func (a api) any(kind domain.OwnerKind) asks {
	return func(_ context.Context, _ awsapi.Scope, p parameters) ([]gate.Ask, error) {
		return []gate.Ask{{ARN: a.identities.NewARN(string(kind), p.text("PathPrefix"), "")}}, nil
	}
}

// policy asks about the managed policy with the ARN, which is compared exactly.
func (a api) policy(_ context.Context, _ awsapi.Scope, p parameters) ([]gate.Ask, error) {
	arn := p.text("PolicyArn")
	return []gate.Ask{{ARN: arn, Type: domain.PolicyType}}, a.identities.CheckPolicyARN(arn)
}
