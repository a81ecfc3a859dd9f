// Package iam serves IAM's operations on users, groups, policies and access keys.
// https://docs.aws.amazon.com/IAM/latest/APIReference/
package iam

import (
	"github.com/aws/aws-sdk-go-v2/service/iam"

	"github.com/sallyport/sallyport/internal/awsapi"
	"github.com/sallyport/sallyport/internal/awswire"
	domain "github.com/sallyport/sallyport/internal/iam"
)

type api struct{ identities *domain.Service }

// New returns the service.
func New(identities *domain.Service) awsapi.Service {
	a := api{identities}
	return awsapi.Service{
		Name:       "iam",
		Source:     "iam.amazonaws.com",
		Global:     true,
		Codec:      awswire.Query("https://iam.amazonaws.com/doc/2010-05-08/", "2010-05-08"),
		Operations: a.operations(),
		Error:      errorOf,
	}
}

// operations returns the table of operations. A row has a function, the resource that the policies are asked about
// (asks.go), and the parameters. rows.go has the four kinds of rows.
func (a api) operations() []awsapi.Operation {
	const users, groups = domain.OwnerUser, domain.OwnerGroup
	return []awsapi.Operation{
		write(a.createUser, a.newIdentity, need{"UserName"}, may{"Path", "Tags"}),
		read(a.getUser, a.self, nil, may{"UserName"}),
		list[iam.ListUsersInput, iam.ListUsersOutput](a.listed(users), byName, user, a.any(users), nil, may{"PathPrefix"}),
		change[iam.UpdateUserInput, iam.UpdateUserOutput](
			a.update, a.moved, need{"UserName"}, may{"NewUserName", "NewPath"}),
		change[iam.DeleteUserInput, iam.DeleteUserOutput](a.delete, a.owner, need{"UserName"}, nil),
		change[iam.TagUserInput, iam.TagUserOutput](a.tag, a.owner, need{"UserName", "Tags"}, nil),
		change[iam.UntagUserInput, iam.UntagUserOutput](a.untag, a.owner, need{"UserName", "TagKeys"}, nil),
		list[iam.ListUserTagsInput, iam.ListUserTagsOutput](a.tags, tagKey, same, a.owner, need{"UserName"}, nil),
		list[iam.ListGroupsForUserInput, iam.ListGroupsForUserOutput](
			a.groupsOf, byName, group, a.owner, need{"UserName"}, nil),

		write(a.createGroup, a.newIdentity, need{"GroupName"}, may{"Path"}),
		read(a.getGroup, a.owner, need{"GroupName"}, may{"Marker", "MaxItems"}),
		list[iam.ListGroupsInput, iam.ListGroupsOutput](
			a.listed(groups), byName, group, a.any(groups), nil, may{"PathPrefix"}),
		change[iam.UpdateGroupInput, iam.UpdateGroupOutput](
			a.update, a.moved, need{"GroupName"}, may{"NewGroupName", "NewPath"}),
		change[iam.DeleteGroupInput, iam.DeleteGroupOutput](a.delete, a.owner, need{"GroupName"}, nil),
		change[iam.AddUserToGroupInput, iam.AddUserToGroupOutput](
			a.addMember, a.owner, need{"GroupName", "UserName"}, nil),
		change[iam.RemoveUserFromGroupInput, iam.RemoveUserFromGroupOutput](
			a.removeMember, a.owner, need{"GroupName", "UserName"}, nil),

		change[iam.PutUserPolicyInput, iam.PutUserPolicyOutput](
			a.putInline, a.owner, need{"UserName", "PolicyName", "PolicyDocument"}, nil),
		change[iam.PutGroupPolicyInput, iam.PutGroupPolicyOutput](
			a.putInline, a.owner, need{"GroupName", "PolicyName", "PolicyDocument"}, nil),
		read(a.getUserPolicy, a.owner, need{"UserName", "PolicyName"}, nil),
		read(a.getGroupPolicy, a.owner, need{"GroupName", "PolicyName"}, nil),
		list[iam.ListUserPoliciesInput, iam.ListUserPoliciesOutput](
			a.inline, byInlineName, inlineName, a.owner, need{"UserName"}, nil),
		list[iam.ListGroupPoliciesInput, iam.ListGroupPoliciesOutput](
			a.inline, byInlineName, inlineName, a.owner, need{"GroupName"}, nil),
		change[iam.DeleteUserPolicyInput, iam.DeleteUserPolicyOutput](
			a.deleteInline, a.owner, need{"UserName", "PolicyName"}, nil),
		change[iam.DeleteGroupPolicyInput, iam.DeleteGroupPolicyOutput](
			a.deleteInline, a.owner, need{"GroupName", "PolicyName"}, nil),

		write(a.createPolicy, a.newPolicy, need{"PolicyName", "PolicyDocument"}, may{"Path", "Description", "Tags"}),
		read(a.getPolicy, a.policy, need{"PolicyArn"}, nil),
		list[iam.ListPoliciesInput, iam.ListPoliciesOutput](
			a.policies, byPolicyName, managedPolicy, all, nil, may{"Scope", "OnlyAttached", "PathPrefix"}),
		change[iam.DeletePolicyInput, iam.DeletePolicyOutput](a.deletePolicy, a.policy, need{"PolicyArn"}, nil),
		write(a.createPolicyVersion, a.policy, need{"PolicyArn", "PolicyDocument"}, may{"SetAsDefault"}),
		read(a.getPolicyVersion, a.policy, need{"PolicyArn", "VersionId"}, nil),
		list[iam.ListPolicyVersionsInput, iam.ListPolicyVersionsOutput](
			a.versions, newest, policyVersion, a.policy, need{"PolicyArn"}, nil),
		change[iam.SetDefaultPolicyVersionInput, iam.SetDefaultPolicyVersionOutput](
			a.setDefaultVersion, a.policy, need{"PolicyArn", "VersionId"}, nil),
		change[iam.DeletePolicyVersionInput, iam.DeletePolicyVersionOutput](
			a.deleteVersion, a.policy, need{"PolicyArn", "VersionId"}, nil),

		change[iam.AttachUserPolicyInput, iam.AttachUserPolicyOutput](
			a.attach, a.owner, need{"UserName", "PolicyArn"}, nil),
		change[iam.AttachGroupPolicyInput, iam.AttachGroupPolicyOutput](
			a.attach, a.owner, need{"GroupName", "PolicyArn"}, nil),
		change[iam.DetachUserPolicyInput, iam.DetachUserPolicyOutput](
			a.detach, a.owner, need{"UserName", "PolicyArn"}, nil),
		change[iam.DetachGroupPolicyInput, iam.DetachGroupPolicyOutput](
			a.detach, a.owner, need{"GroupName", "PolicyArn"}, nil),
		list[iam.ListAttachedUserPoliciesInput, iam.ListAttachedUserPoliciesOutput](
			a.attached, byPolicyName, attachedPolicy, a.owner, need{"UserName"}, may{"PathPrefix"}),
		list[iam.ListAttachedGroupPoliciesInput, iam.ListAttachedGroupPoliciesOutput](
			a.attached, byPolicyName, attachedPolicy, a.owner, need{"GroupName"}, may{"PathPrefix"}),
		read(a.listEntitiesForPolicy, a.policy, need{"PolicyArn"}, may{"EntityFilter", "PathPrefix", "Marker", "MaxItems"}),

		write(a.createAccessKey, a.self, nil, may{"UserName"}),
		list[iam.ListAccessKeysInput, iam.ListAccessKeysOutput](
			a.accessKeys, oldest, accessKey, a.self, nil, may{"UserName"}),
		change[iam.UpdateAccessKeyInput, iam.UpdateAccessKeyOutput](
			a.updateAccessKey, a.self, need{"AccessKeyId", "Status"}, may{"UserName"}),
		change[iam.DeleteAccessKeyInput, iam.DeleteAccessKeyOutput](
			a.deleteAccessKey, a.self, need{"AccessKeyId"}, may{"UserName"}),
		read(a.getAccessKeyLastUsed, a.keyOwner, need{"AccessKeyId"}, nil),

		list[iam.ListAccountAliasesInput, iam.ListAccountAliasesOutput](noAliases, same, same, all, nil, nil),
	}
}
