// Package sts serves the Security Token Service's GetCallerIdentity and GetSessionToken.
// https://docs.aws.amazon.com/STS/latest/APIReference/
package sts

import (
	"context"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/aws-sdk-go-v2/service/sts/types"

	"github.com/sallyport/sallyport/internal/awsapi"
	"github.com/sallyport/sallyport/internal/awswire"
	"github.com/sallyport/sallyport/internal/gate"
	"github.com/sallyport/sallyport/internal/iam"
)

type api struct{ identities *iam.Service }

// New returns the service.
func New(identities *iam.Service) awsapi.Service {
	a := api{identities}
	return awsapi.Service{
		Name:   "sts",
		Source: "sts.amazonaws.com",
		Global: true,
		Codec:  awswire.Query("https://sts.amazonaws.com/doc/2011-06-15/", "2011-06-15"),
		// Neither has an Action. As on AWS, all callers may ask who they are, and all users may ask for a session,
		// which may do no more than its user.
		Operations: []awsapi.Operation{
			awsapi.Row[sts.GetCallerIdentityInput, sts.GetCallerIdentityOutput]{
				Name: "GetCallerIdentity", Read: a.getCallerIdentity,
			}.Operation(),
			awsapi.Row[sts.GetSessionTokenInput, sts.GetSessionTokenOutput]{
				Name: "GetSessionToken", Accepts: []string{"DurationSeconds"}, Write: a.getSessionToken,
			}.Operation(),
		},
		Error: awsapi.QueryError,
	}
}

func (a api) getCallerIdentity(
	_ context.Context, pass gate.Pass, _ *sts.GetCallerIdentityInput,
) (*sts.GetCallerIdentityOutput, error) {
	if err := pass.Check(); err != nil {
		return nil, err
	}
	caller := pass.Identity()
	return &sts.GetCallerIdentityOutput{Account: &caller.AccountID, Arn: &caller.ARN, UserId: &caller.PrincipalID}, nil
}

func (a api) getSessionToken(tx *gate.Tx, in *sts.GetSessionTokenInput) (*sts.GetSessionTokenOutput, error) {
	duration := iam.DefaultSession
	if in.DurationSeconds != nil {
		duration = time.Duration(*in.DurationSeconds) * time.Second
	}
	session, err := a.identities.NewSession(tx, duration)
	secret, token := session.PlainSecret.Reveal(), session.PlainToken.Reveal()
	return &sts.GetSessionTokenOutput{Credentials: &types.Credentials{
		AccessKeyId: &session.AccessKeyID, SecretAccessKey: &secret, SessionToken: &token, Expiration: &session.Expires,
	}}, err
}
