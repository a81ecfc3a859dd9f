package iam

import (
	"context"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"

	"github.com/sallyport/sallyport/internal/awsapi"
	"github.com/sallyport/sallyport/internal/gate"
	domain "github.com/sallyport/sallyport/internal/iam"
)

func (a api) createAccessKey(ctx context.Context, pass gate.Pass, in *iam.CreateAccessKeyInput) (*iam.CreateAccessKeyOutput, error) {
	issued, err := a.identities.CreateAccessKey(ctx, pass, aws.ToString(in.UserName))
	if err != nil {
		return nil, err
	}
	secret := issued.PlainSecret.Reveal()
	return &iam.CreateAccessKeyOutput{AccessKey: &types.AccessKey{
		AccessKeyId: &issued.ID, SecretAccessKey: &secret, UserName: awsapi.Optional(issued.UserName), Status: status(issued.AccessKey), CreateDate: &issued.Created,
	}}, nil
}

func (a api) listAccessKeys(ctx context.Context, pass gate.Pass, in *iam.ListAccessKeysInput) (*iam.ListAccessKeysOutput, error) {
	keys, err := a.identities.AccessKeys(ctx, pass, aws.ToString(in.UserName))
	if err != nil {
		return nil, err
	}
	oldest := func(k domain.AccessKey) string {
		return k.Created.UTC().Format(time.RFC3339) + " " + k.ID
	}
	l, err := cut(keys, oldest, in.Marker, in.MaxItems, "ListAccessKeys", aws.ToString(in.UserName))
	if err != nil {
		return nil, err
	}
	return &iam.ListAccessKeysOutput{AccessKeyMetadata: each(l.items, accessKey), IsTruncated: l.truncated, Marker: l.marker}, nil
}

func (a api) updateAccessKey(ctx context.Context, pass gate.Pass, in *iam.UpdateAccessKeyInput) (*iam.UpdateAccessKeyOutput, error) {
	active := in.Status == types.StatusTypeActive
	return &iam.UpdateAccessKeyOutput{}, a.identities.SetAccessKeyActive(ctx, pass, aws.ToString(in.UserName), aws.ToString(in.AccessKeyId), active)
}

func (a api) deleteAccessKey(ctx context.Context, pass gate.Pass, in *iam.DeleteAccessKeyInput) (*iam.DeleteAccessKeyOutput, error) {
	return &iam.DeleteAccessKeyOutput{}, a.identities.DeleteAccessKey(ctx, pass, aws.ToString(in.UserName), aws.ToString(in.AccessKeyId))
}

func (a api) getAccessKeyLastUsed(ctx context.Context, pass gate.Pass, in *iam.GetAccessKeyLastUsedInput) (*iam.GetAccessKeyLastUsedOutput, error) {
	key, err := a.identities.AccessKeyLastUsed(ctx, pass, aws.ToString(in.AccessKeyId))
	if err != nil {
		return nil, err
	}
	used := types.AccessKeyLastUsed{ServiceName: aws.String("N/A"), Region: aws.String("N/A")} // IAM's words for never
	if last := key.LastUsed; !last.Time.IsZero() {
		used = types.AccessKeyLastUsed{LastUsedDate: &last.Time, ServiceName: &last.Service, Region: &last.Region}
	}
	return &iam.GetAccessKeyLastUsedOutput{UserName: awsapi.Optional(key.UserName), AccessKeyLastUsed: &used}, nil
}

// listAccountAliases lists none: an account is known by its number here. Clients ask at sign-in.
func (a api) listAccountAliases(_ context.Context, pass gate.Pass, _ *iam.ListAccountAliasesInput) (*iam.ListAccountAliasesOutput, error) {
	return &iam.ListAccountAliasesOutput{AccountAliases: []string{}}, pass.Check()
}

func accessKey(k domain.AccessKey) types.AccessKeyMetadata {
	return types.AccessKeyMetadata{AccessKeyId: &k.ID, UserName: awsapi.Optional(k.UserName), Status: status(k), CreateDate: &k.Created}
}

func status(k domain.AccessKey) types.StatusType {
	if k.Active {
		return types.StatusTypeActive
	}
	return types.StatusTypeInactive
}
