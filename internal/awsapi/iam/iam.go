// Package iam serves IAM's operations on users, groups, policies and access keys.
// https://docs.aws.amazon.com/IAM/latest/APIReference/
package iam

import (
	"cmp"
	"context"
	"slices"

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
		Name:       "iam",
		Source:     "iam.amazonaws.com",
		Global:     true,
		Codec:      awswire.Query("https://iam.amazonaws.com/doc/2010-05-08/", "2010-05-08"),
		Operations: a.operations(),
		Error:      errorOf,
	}
}

// The parameters of an operation: those it needs and those it may have. Any other is refused.
type (
	need []string
	may  []string
)

// operations is the table: what is done, to which resource (touch.go), with which parameters. The IAM action of
// each is "iam:" and its name.
func (a api) operations() []awsapi.Operation {
	return []awsapi.Operation{
		write("CreateUser", a.createUser, a.newUser, need{"UserName"}, may{"Path", "Tags"}),
		read("GetUser", a.getUser, a.self, nil, may{"UserName"}),
		read("ListUsers", a.listUsers, a.anyUser, nil, may{"PathPrefix", "Marker", "MaxItems"}),
		write("UpdateUser", a.updateUser, a.movedUser, need{"UserName"}, may{"NewUserName", "NewPath"}),
		write("DeleteUser", a.deleteUser, a.user, need{"UserName"}, nil),
		write("TagUser", a.tagUser, a.user, need{"UserName", "Tags"}, nil),
		write("UntagUser", a.untagUser, a.user, need{"UserName", "TagKeys"}, nil),
		read("ListUserTags", a.listUserTags, a.user, need{"UserName"}, may{"Marker", "MaxItems"}),
		read("ListGroupsForUser", a.listGroupsForUser, a.user, need{"UserName"}, may{"Marker", "MaxItems"}),

		write("CreateGroup", a.createGroup, a.newGroup, need{"GroupName"}, may{"Path"}),
		read("GetGroup", a.getGroup, a.group, need{"GroupName"}, may{"Marker", "MaxItems"}),
		read("ListGroups", a.listGroups, a.anyGroup, nil, may{"PathPrefix", "Marker", "MaxItems"}),
		write("UpdateGroup", a.updateGroup, a.movedGroup, need{"GroupName"}, may{"NewGroupName", "NewPath"}),
		write("DeleteGroup", a.deleteGroup, a.group, need{"GroupName"}, nil),
		write("AddUserToGroup", a.addUserToGroup, a.group, need{"GroupName", "UserName"}, nil),
		write("RemoveUserFromGroup", a.removeUserFromGroup, a.group, need{"GroupName", "UserName"}, nil),

		write("PutUserPolicy", a.putUserPolicy, a.user, need{"UserName", "PolicyName", "PolicyDocument"}, nil),
		read("GetUserPolicy", a.getUserPolicy, a.user, need{"UserName", "PolicyName"}, nil),
		read("ListUserPolicies", a.listUserPolicies, a.user, need{"UserName"}, may{"Marker", "MaxItems"}),
		write("DeleteUserPolicy", a.deleteUserPolicy, a.user, need{"UserName", "PolicyName"}, nil),
		write("PutGroupPolicy", a.putGroupPolicy, a.group, need{"GroupName", "PolicyName", "PolicyDocument"}, nil),
		read("GetGroupPolicy", a.getGroupPolicy, a.group, need{"GroupName", "PolicyName"}, nil),
		read("ListGroupPolicies", a.listGroupPolicies, a.group, need{"GroupName"}, may{"Marker", "MaxItems"}),
		write("DeleteGroupPolicy", a.deleteGroupPolicy, a.group, need{"GroupName", "PolicyName"}, nil),

		write("CreatePolicy", a.createPolicy, a.newPolicy, need{"PolicyName", "PolicyDocument"}, may{"Path", "Description", "Tags"}),
		read("GetPolicy", a.getPolicy, a.policy, need{"PolicyArn"}, nil),
		read("ListPolicies", a.listPolicies, nil, nil, may{"Scope", "OnlyAttached", "PathPrefix", "Marker", "MaxItems"}),
		write("DeletePolicy", a.deletePolicy, a.policy, need{"PolicyArn"}, nil),
		write("CreatePolicyVersion", a.createPolicyVersion, a.policy, need{"PolicyArn", "PolicyDocument"}, may{"SetAsDefault"}),
		read("GetPolicyVersion", a.getPolicyVersion, a.policy, need{"PolicyArn", "VersionId"}, nil),
		read("ListPolicyVersions", a.listPolicyVersions, a.policy, need{"PolicyArn"}, may{"Marker", "MaxItems"}),
		write("SetDefaultPolicyVersion", a.setDefaultPolicyVersion, a.policy, need{"PolicyArn", "VersionId"}, nil),
		write("DeletePolicyVersion", a.deletePolicyVersion, a.policy, need{"PolicyArn", "VersionId"}, nil),

		write("AttachUserPolicy", a.attachUserPolicy, a.user, need{"UserName", "PolicyArn"}, nil),
		write("DetachUserPolicy", a.detachUserPolicy, a.user, need{"UserName", "PolicyArn"}, nil),
		read("ListAttachedUserPolicies", a.listAttachedUserPolicies, a.user, need{"UserName"}, may{"PathPrefix", "Marker", "MaxItems"}),
		write("AttachGroupPolicy", a.attachGroupPolicy, a.group, need{"GroupName", "PolicyArn"}, nil),
		write("DetachGroupPolicy", a.detachGroupPolicy, a.group, need{"GroupName", "PolicyArn"}, nil),
		read("ListAttachedGroupPolicies", a.listAttachedGroupPolicies, a.group, need{"GroupName"}, may{"PathPrefix", "Marker", "MaxItems"}),
		read("ListEntitiesForPolicy", a.listEntitiesForPolicy, a.policy, need{"PolicyArn"}, may{"EntityFilter", "PathPrefix", "Marker", "MaxItems"}),

		write("CreateAccessKey", a.createAccessKey, a.self, nil, may{"UserName"}),
		read("ListAccessKeys", a.listAccessKeys, a.self, nil, may{"UserName", "Marker", "MaxItems"}),
		write("UpdateAccessKey", a.updateAccessKey, a.self, need{"AccessKeyId", "Status"}, may{"UserName"}),
		write("DeleteAccessKey", a.deleteAccessKey, a.self, need{"AccessKeyId"}, may{"UserName"}),
		read("GetAccessKeyLastUsed", a.getAccessKeyLastUsed, a.keyOwner, need{"AccessKeyId"}, nil),

		read("ListAccountAliases", a.listAccountAliases, nil, nil, may{"Marker", "MaxItems"}),
	}
}

// do is what serves an operation.
type do[In, Out any] func(ctx context.Context, pass gate.Pass, in *In) (*Out, error)

func write[In, Out any](name string, f do[In, Out], on touches, n need, m may) awsapi.Operation {
	return row(name, false, f, on, n, m)
}

func read[In, Out any](name string, f do[In, Out], on touches, n need, m may) awsapi.Operation {
	return row(name, true, f, on, n, m)
}

func row[In, Out any](name string, readOnly bool, f do[In, Out], on touches, n need, m may) awsapi.Operation {
	constraints := constraintsOf(name, n)
	return awsapi.Row[In, Out]{
		Name: name, Action: "iam:" + name, ReadOnly: readOnly, Accepts: slices.Concat([]string(n), []string(m)), Do: f,
		Touches: func(ctx context.Context, scope awsapi.Scope, in *In) (awsapi.Touch, error) {
			p := parametersOf(in)
			if err := cmp.Or(constraints.Check(in), p.checkTagKeys()); err != nil || on == nil {
				return awsapi.Touch{}, err
			}
			resources, err := on(ctx, scope, p)
			if err != nil {
				return awsapi.Touch{}, err
			}
			conditions, err := p.conditions()
			return awsapi.Touch{Resources: resources, Conditions: conditions}, err
		},
	}.Operation()
}
