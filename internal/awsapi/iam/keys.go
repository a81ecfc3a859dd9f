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

func (a api) createAccessKey(tx *gate.Tx, in *iam.CreateAccessKeyInput) (*iam.CreateAccessKeyOutput, error) {
	issued, err := a.identities.CreateAccessKey(tx, aws.ToString(in.UserName))
	return &iam.CreateAccessKeyOutput{AccessKey: &types.AccessKey{
		AccessKeyId: &issued.ID, SecretAccessKey: aws.String(issued.PlainSecret.Reveal()),
		UserName: awsapi.Optional(issued.UserName), Status: status(issued.AccessKey), CreateDate: &issued.Created,
	}}, err
}

func (a api) accessKeys(ctx context.Context, pass gate.Pass, p parameters) ([]domain.AccessKey, error) {
	return a.identities.AccessKeys(ctx, pass, p.text("UserName"))
}

func (a api) updateAccessKey(tx *gate.Tx, p parameters) error {
	active := p.value("Status") == types.StatusTypeActive
	return a.identities.SetAccessKeyActive(tx, p.text("UserName"), p.text("AccessKeyId"), active)
}

func (a api) deleteAccessKey(tx *gate.Tx, p parameters) error {
	return a.identities.DeleteAccessKey(tx, p.text("UserName"), p.text("AccessKeyId"))
}

func (a api) getAccessKeyLastUsed(
	ctx context.Context, pass gate.Pass, in *iam.GetAccessKeyLastUsedInput,
) (*iam.GetAccessKeyLastUsedOutput, error) {
	key, err := a.identities.AccessKeyLastUsed(ctx, pass, aws.ToString(in.AccessKeyId))
	used := types.AccessKeyLastUsed{ServiceName: aws.String("N/A"), Region: aws.String("N/A")} // IAM's words for never
	if last := key.LastUsed; !last.Time.IsZero() {
		used = types.AccessKeyLastUsed{LastUsedDate: &last.Time, ServiceName: &last.Service, Region: &last.Region}
	}
	return &iam.GetAccessKeyLastUsedOutput{UserName: awsapi.Optional(key.UserName), AccessKeyLastUsed: &used}, err
}

// oldest returns the key by which the domain sorts access keys. Their creation times are whole seconds.
func oldest(k domain.AccessKey) string { return k.Created.UTC().Format(time.RFC3339) + " " + k.ID }

func accessKey(k domain.AccessKey) types.AccessKeyMetadata {
	return types.AccessKeyMetadata{
		AccessKeyId: &k.ID, UserName: awsapi.Optional(k.UserName), Status: status(k), CreateDate: &k.Created,
	}
}

func status(k domain.AccessKey) types.StatusType {
	if k.Active {
		return types.StatusTypeActive
	}
	return types.StatusTypeInactive
}

// noAliases returns no aliases, since an account is known by its number here. Clients ask for them at sign-in.
func noAliases(_ context.Context, pass gate.Pass, _ parameters) ([]string, error) {
	return nil, pass.Check()
}
