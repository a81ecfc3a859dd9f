package iam_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/internal/trail"
)

const (
	allowPush = `{"Version": "2012-10-17", "Statement": [
		{"Effect": "Allow", "Action": "ec2-instance-connect:SendSSHPublicKey", "Resource": "*"}]}`
	allowIAM = `{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "iam:*", "Resource": "*"}]}`
)

// An administrator sets up users, groups and policies through the SDK (story W2).
func TestAccessByPolicy(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		_, err := w.root.CreateGroup(w.ctx, &iam.CreateGroupInput{GroupName: aws.String("web"), Path: aws.String("/teams/")})
		w.ok(err)
		policy, err := w.root.CreatePolicy(w.ctx, &iam.CreatePolicyInput{
			PolicyName: aws.String("push"), PolicyDocument: aws.String(allowPush), Description: aws.String("may <push> & pull"),
			Tags: tagsOf("team", "web"),
		})
		w.ok(err)
		p := policy.Policy
		if *p.Arn != "arn:aws:iam::111122223333:policy/push" || *p.DefaultVersionId != "v1" || !p.IsAttachable ||
			len(p.Tags) != 1 {
			t.Errorf("%+v", p)
		}
		_, err = w.root.AttachGroupPolicy(w.ctx, &iam.AttachGroupPolicyInput{
			GroupName: aws.String("web"), PolicyArn: policy.Policy.Arn,
		})
		w.ok(err)
		bob := w.user("bob", "", "")
		_, err = w.root.AddUserToGroup(w.ctx, &iam.AddUserToGroupInput{
			GroupName: aws.String("web"), UserName: aws.String("bob"),
		})
		w.ok(err)

		group, err := w.root.GetGroup(w.ctx, &iam.GetGroupInput{GroupName: aws.String("WEB")})
		w.ok(err)
		if *group.Group.Arn != "arn:aws:iam::111122223333:group/teams/web" || len(group.Users) != 1 ||
			*group.Users[0].UserName != "bob" || group.IsTruncated {
			t.Errorf("%+v", group)
		}
		groups, err := w.root.ListGroupsForUser(w.ctx, &iam.ListGroupsForUserInput{UserName: aws.String("bob")})
		w.ok(err)
		if len(groups.Groups) != 1 || *groups.Groups[0].GroupName != "web" {
			t.Errorf("%+v", groups.Groups)
		}
		attached, err := w.root.ListAttachedGroupPolicies(w.ctx, &iam.ListAttachedGroupPoliciesInput{
			GroupName: aws.String("web"),
		})
		w.ok(err)
		if len(attached.AttachedPolicies) != 1 || *attached.AttachedPolicies[0].PolicyName != "push" {
			t.Errorf("%+v", attached.AttachedPolicies)
		}
		entities, err := w.root.ListEntitiesForPolicy(w.ctx, &iam.ListEntitiesForPolicyInput{PolicyArn: policy.Policy.Arn})
		w.ok(err)
		if len(entities.PolicyGroups) != 1 || len(entities.PolicyUsers) != 0 {
			t.Errorf("%+v", entities)
		}
		version, err := w.root.GetPolicyVersion(w.ctx, &iam.GetPolicyVersionInput{
			PolicyArn: policy.Policy.Arn, VersionId: aws.String("v1"),
		})
		w.ok(err)
		if strings.ContainsAny(*version.PolicyVersion.Document, `{" +`) {
			t.Errorf("the document is not percent-encoded: %s", *version.PolicyVersion.Document)
		}
		if document, err := url.PathUnescape(*version.PolicyVersion.Document); err != nil || document != allowPush {
			t.Errorf("%s, %v", document, err)
		}
		got, err := w.root.GetPolicy(w.ctx, &iam.GetPolicyInput{PolicyArn: policy.Policy.Arn})
		w.ok(err)
		if *got.Policy.AttachmentCount != 1 || *got.Policy.Description != "may <push> & pull" {
			t.Errorf("%+v", got.Policy)
		}

		// bob may push, and nothing here.
		_, err = bob.ListUsers(w.ctx, nil)
		w.refused(err, "AccessDenied", "User: arn:aws:iam::111122223333:user/bob is not authorized to perform: "+
			"iam:ListUsers on resource: arn:aws:iam::111122223333:user/ because no identity-based policy allows")
	})
}

func TestErrorsAreIAMs(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.user("bob", "", "")
		bob, none := aws.String("bob"), aws.String("none")
		for _, c := range []struct {
			code, text string
			call       func() error
		}{
			{"NoSuchEntity", "none cannot be found", func() error {
				_, err := w.root.GetUser(w.ctx, &iam.GetUserInput{UserName: none})
				return err
			}},
			{"NoSuchEntity", "none", func() error {
				_, err := w.root.GetUserPolicy(w.ctx, &iam.GetUserPolicyInput{UserName: bob, PolicyName: none})
				return err
			}},
			{"NoSuchEntity", "none", func() error {
				_, err := w.root.AddUserToGroup(w.ctx, &iam.AddUserToGroupInput{UserName: bob, GroupName: none})
				return err
			}},
			{"EntityAlreadyExists", "already exists", func() error {
				_, err := w.root.CreateUser(w.ctx, &iam.CreateUserInput{UserName: aws.String("BOB")})
				return err
			}},
			{"DeleteConflict", "must delete access keys first", func() error {
				_, err := w.root.DeleteUser(w.ctx, &iam.DeleteUserInput{UserName: bob})
				return err
			}},
			{"ValidationError", "+=,.@_-", func() error {
				_, err := w.root.CreateUser(w.ctx, &iam.CreateUserInput{UserName: aws.String("a b")})
				return err
			}},
			{"ValidationError", "less than or equal to 1000", func() error {
				_, err := w.root.ListUsers(w.ctx, &iam.ListUsersInput{MaxItems: aws.Int32(1001)})
				return err
			}},
			{"ValidationError", "page token", func() error {
				_, err := w.root.ListUsers(w.ctx, &iam.ListUsersInput{Marker: aws.String("AAAA")})
				return err
			}},
			{"ValidationError", "does not support the parameter PermissionsBoundary", func() error {
				_, err := w.root.CreateUser(w.ctx, &iam.CreateUserInput{
					UserName: aws.String("eve"), PermissionsBoundary: aws.String("arn:aws:iam::aws:policy/ReadOnlyAccess"),
				})
				return err
			}},
			{"ValidationError", "for policyName is invalid", func() error {
				_, err := w.root.GetUserPolicy(w.ctx, &iam.GetUserPolicyInput{UserName: bob, PolicyName: aws.String("")})
				return err
			}},
			{"ValidationError", "[Active, Inactive]", func() error {
				_, err := w.root.UpdateAccessKey(w.ctx, &iam.UpdateAccessKeyInput{AccessKeyId: none, Status: "Off"})
				return err
			}},
			{"InvalidInput", "ARN push-policy-without-arn is not valid", func() error {
				_, err := w.root.AttachUserPolicy(w.ctx, &iam.AttachUserPolicyInput{
					UserName: bob, PolicyArn: aws.String("push-policy-without-arn"),
				})
				return err
			}},
			{"MalformedPolicyDocument", "", func() error {
				_, err := w.root.PutUserPolicy(w.ctx, &iam.PutUserPolicyInput{
					UserName: bob, PolicyName: aws.String("p"), PolicyDocument: aws.String("{}"),
				})
				return err
			}},
			{"LimitExceeded", "2048", func() error {
				long := strings.Replace(allowPush, "Effect", `Sid": "`+strings.Repeat("x", 2048)+`", "Effect`, 1)
				_, err := w.root.PutUserPolicy(w.ctx, &iam.PutUserPolicyInput{
					UserName: bob, PolicyName: aws.String("p"), PolicyDocument: &long,
				})
				return err
			}},
			{"AccessDenied", "AWS's own", func() error {
				_, err := w.root.DeletePolicy(w.ctx, &iam.DeletePolicyInput{
					PolicyArn: aws.String("arn:aws:iam::aws:policy/ReadOnlyAccess"),
				})
				return err
			}},
			{"InvalidAction", "CreateRole is not supported here", func() error {
				_, err := w.root.CreateRole(w.ctx, &iam.CreateRoleInput{RoleName: bob, AssumeRolePolicyDocument: aws.String("{}")})
				return err
			}},
			{"InvalidClientTokenId", "AKIAAAAAAAAAAAAAAAAA", func() error {
				_, err := w.iam("AKIAAAAAAAAAAAAAAAAA", "secret", "").ListUsers(w.ctx, nil)
				return err
			}},
			{"SignatureDoesNotMatch", "", func() error {
				_, err := w.iam(w.keys["bob"][0], "secret", "").ListUsers(w.ctx, nil)
				return err
			}},
			{"InvalidClientTokenId", "session token", func() error {
				_, err := w.iam(w.keys["bob"][0], w.keys["bob"][1], "token").ListUsers(w.ctx, nil)
				return err
			}},
		} {
			w.refused(c.call(), c.code, c.text)
		}
		response, err := http.PostForm(w.url, url.Values{"Action": {"ListUsers"}, "Version": {"2010-05-08"}})
		w.ok(err)
		response.Body.Close()
		if response.StatusCode != http.StatusForbidden {
			t.Errorf("an unsigned request: %s", response.Status)
		}
	})
}

// A Deny on a path applies to requests, which name users without their path and in any spelling.
func TestADenyOnAPathHolds(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		helpdesk := w.user("helpdesk", "", `{"Version": "2012-10-17", "Statement": [
		{"Effect": "Allow", "Action": "iam:*", "Resource": "*"},
		{"Sid": "NotAdmins", "Effect": "Deny", "Action": "iam:*",
			"Resource": ["arn:aws:iam::*:user/admins/*", "arn:aws:iam::*:user/ceo"]}]}`)
		w.user("Ann", "/admins/", "")
		w.user("ceo", "", "")
		w.user("bob", "", "")
		for _, name := range []string{"Ann", "ann", "ANN", "ceo", "CEO"} {
			_, err := helpdesk.CreateAccessKey(w.ctx, &iam.CreateAccessKeyInput{UserName: &name})
			w.refused(err, "AccessDenied", "NotAdmins")
			_, err = helpdesk.PutUserPolicy(w.ctx, &iam.PutUserPolicyInput{
				UserName: &name, PolicyName: aws.String("p"), PolicyDocument: aws.String(allowPush),
			})
			w.refused(err, "AccessDenied", "NotAdmins")
			_, err = helpdesk.UpdateUser(w.ctx, &iam.UpdateUserInput{UserName: &name, NewPath: aws.String("/x/")})
			w.refused(err, "AccessDenied", "NotAdmins")
		}
		_, err := helpdesk.GetAccessKeyLastUsed(w.ctx, &iam.GetAccessKeyLastUsedInput{
			AccessKeyId: aws.String(w.keys["Ann"][0]),
		})
		w.refused(err, "AccessDenied", "NotAdmins")
		// A user cannot be moved to the path or created there either.
		_, err = helpdesk.UpdateUser(w.ctx, &iam.UpdateUserInput{
			UserName: aws.String("bob"), NewPath: aws.String("/admins/"),
		})
		w.refused(err, "AccessDenied", "resource: user bob with an explicit deny")
		_, err = helpdesk.CreateUser(w.ctx, &iam.CreateUserInput{UserName: aws.String("new"), Path: aws.String("/admins/")})
		w.refused(err, "AccessDenied", "user/admins/new")
		_, err = helpdesk.UpdateUser(w.ctx, &iam.UpdateUserInput{UserName: aws.String("BOB"), NewPath: aws.String("/x/")})
		w.ok(err)
	})
}

func TestConditionKeys(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		lead := w.user("lead", "", `{"Version": "2012-10-17", "Statement": [
		{"Effect": "Allow", "Action": ["iam:AttachUserPolicy"], "Resource": "*",
			"Condition": {"ArnLike": {"iam:PolicyARN": "arn:aws:iam::aws:policy/EC2*"}}},
		{"Effect": "Allow", "Action": ["iam:CreateUser", "iam:TagUser"], "Resource": "*",
			"Condition": {"StringEquals": {"aws:RequestTag/Team": "web"},
				"ForAllValues:StringEquals": {"aws:TagKeys": ["team"]}}},
		{"Effect": "Allow", "Action": ["iam:DeleteUser", "iam:UpdateUser"], "Resource": "*",
			"Condition": {"StringEquals": {"iam:ResourceTag/team": "web"}}}]}`)
		web, db := tagsOf("team", "web"), tagsOf("team", "db")
		bob := aws.String("bob")
		_, err := lead.CreateUser(w.ctx, &iam.CreateUserInput{UserName: bob})
		w.refused(err, "AccessDenied", "iam:CreateUser")
		_, err = lead.CreateUser(w.ctx, &iam.CreateUserInput{UserName: bob, Tags: db})
		w.refused(err, "AccessDenied", "iam:CreateUser")
		_, err = lead.CreateUser(w.ctx, &iam.CreateUserInput{UserName: bob, Tags: append(tagsOf("boss", "x"), web...)})
		w.refused(err, "AccessDenied", "iam:CreateUser")
		created, err := lead.CreateUser(w.ctx, &iam.CreateUserInput{UserName: bob, Tags: web})
		w.ok(err)
		if len(created.User.Tags) != 1 {
			t.Errorf("%+v", created.User)
		}
		_, err = lead.AttachUserPolicy(w.ctx, &iam.AttachUserPolicyInput{
			UserName: bob, PolicyArn: aws.String("arn:aws:iam::aws:policy/AdministratorAccess"),
		})
		w.refused(err, "AccessDenied", "iam:AttachUserPolicy")
		_, err = lead.AttachUserPolicy(w.ctx, &iam.AttachUserPolicyInput{
			UserName: bob, PolicyArn: aws.String("arn:aws:iam::aws:policy/EC2InstanceConnect"),
		})
		w.ok(err)
		_, err = w.root.DetachUserPolicy(w.ctx, &iam.DetachUserPolicyInput{
			UserName: bob, PolicyArn: aws.String("arn:aws:iam::aws:policy/EC2InstanceConnect"),
		})
		w.ok(err)
		_, err = lead.UpdateUser(w.ctx, &iam.UpdateUserInput{UserName: bob, NewUserName: aws.String("robert")})
		w.ok(err)
		_, err = lead.DeleteUser(w.ctx, &iam.DeleteUserInput{UserName: aws.String("lead")})
		w.refused(err, "AccessDenied", "iam:DeleteUser")
		_, err = lead.DeleteUser(w.ctx, &iam.DeleteUserInput{UserName: aws.String("robert")})
		w.ok(err)
	})
}

func TestOnesOwnKeys(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		bob := w.user("bob", "", `{"Version": "2012-10-17", "Statement": {"Effect": "Allow",
			"Action": ["iam:*AccessKey*", "iam:GetUser"], "Resource": "arn:aws:iam::*:user/${aws:username}"}}`)
		w.user("eve", "", "")
		self, err := bob.GetUser(w.ctx, nil)
		w.ok(err)
		if *self.User.UserName != "bob" {
			t.Errorf("%+v", self.User)
		}
		key, err := bob.CreateAccessKey(w.ctx, nil)
		w.ok(err)
		if *key.AccessKey.UserName != "bob" || len(*key.AccessKey.SecretAccessKey) != 40 ||
			key.AccessKey.Status != types.StatusTypeActive {
			t.Errorf("%s %s", *key.AccessKey.UserName, key.AccessKey.Status)
		}
		_, err = bob.UpdateAccessKey(w.ctx, &iam.UpdateAccessKeyInput{
			AccessKeyId: key.AccessKey.AccessKeyId, Status: types.StatusTypeInactive,
		})
		w.ok(err)
		_, err = w.iam(*key.AccessKey.AccessKeyId, *key.AccessKey.SecretAccessKey, "").GetUser(w.ctx, nil)
		w.refused(err, "InvalidClientTokenId", "not active")
		keys, err := bob.ListAccessKeys(w.ctx, nil)
		w.ok(err)
		for _, k := range keys.AccessKeyMetadata {
			made := *k.AccessKeyId == *key.AccessKey.AccessKeyId
			if *k.UserName != "bob" || made != (k.Status == types.StatusTypeInactive) || k.CreateDate.Nanosecond() != 0 {
				t.Errorf("%s of %s is %s, created at %s", *k.AccessKeyId, *k.UserName, k.Status, k.CreateDate)
			}
		}
		if len(keys.AccessKeyMetadata) != 2 {
			t.Errorf("%d keys", len(keys.AccessKeyMetadata))
		}
		used, err := bob.GetAccessKeyLastUsed(w.ctx, &iam.GetAccessKeyLastUsedInput{
			AccessKeyId: aws.String(w.keys["bob"][0]),
		})
		w.ok(err)
		if last := used.AccessKeyLastUsed; *used.UserName != "bob" || last.LastUsedDate == nil ||
			*last.ServiceName != "iam" || *last.Region != region {
			t.Errorf("%+v", last)
		}
		never, err := w.root.GetAccessKeyLastUsed(w.ctx, &iam.GetAccessKeyLastUsedInput{
			AccessKeyId: aws.String(w.keys["eve"][0]),
		})
		w.ok(err)
		if *never.AccessKeyLastUsed.ServiceName != "N/A" || never.AccessKeyLastUsed.LastUsedDate != nil {
			t.Errorf("%+v", never.AccessKeyLastUsed)
		}
		_, err = bob.DeleteAccessKey(w.ctx, &iam.DeleteAccessKeyInput{AccessKeyId: key.AccessKey.AccessKeyId})
		w.ok(err)
		_, err = bob.CreateAccessKey(w.ctx, &iam.CreateAccessKeyInput{UserName: aws.String("eve")})
		w.refused(err, "AccessDenied", "resource: user eve because")

		root, err := w.root.GetUser(w.ctx, nil)
		w.ok(err)
		if *root.User.UserId != account || *root.User.Arn != "arn:aws:iam::111122223333:root" {
			t.Errorf("%+v", root.User)
		}
	})
}

// The SDK's paginators find each item of every listing once.
func TestPages(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		one := aws.Int32(1)
		var want []string
		for i := range 5 {
			name := fmt.Sprint("u", i)
			w.user(name, "", "")
			want = append(want, name)
			_, err := w.root.CreateGroup(w.ctx, &iam.CreateGroupInput{GroupName: &name})
			w.ok(err)
			_, err = w.root.AddUserToGroup(w.ctx, &iam.AddUserToGroupInput{GroupName: &name, UserName: aws.String("u0")})
			w.ok(err)
			_, err = w.root.AttachUserPolicy(w.ctx, &iam.AttachUserPolicyInput{
				UserName: &name, PolicyArn: aws.String("arn:aws:iam::aws:policy/ReadOnlyAccess"),
			})
			w.ok(err)
			_, err = w.root.PutUserPolicy(w.ctx, &iam.PutUserPolicyInput{
				UserName: aws.String("u0"), PolicyName: &name, PolicyDocument: aws.String(allowPush),
			})
			w.ok(err)
		}
		check := func(list string, got []string) {
			t.Helper()
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s: %s", list, diff)
			}
		}
		var got []string
		for p := iam.NewListUsersPaginator(w.root, &iam.ListUsersInput{MaxItems: aws.Int32(2)}); p.HasMorePages(); {
			out, err := p.NextPage(w.ctx)
			w.ok(err)
			for _, u := range out.Users {
				got = append(got, *u.UserName)
			}
		}
		check("users", got)
		got = nil
		for p := iam.NewListGroupsForUserPaginator(w.root, &iam.ListGroupsForUserInput{
			UserName: aws.String("u0"), MaxItems: one,
		}); p.HasMorePages(); {
			out, err := p.NextPage(w.ctx)
			w.ok(err)
			for _, g := range out.Groups {
				got = append(got, *g.GroupName)
			}
		}
		check("groups", got)
		got = nil
		for p := iam.NewListUserPoliciesPaginator(w.root, &iam.ListUserPoliciesInput{
			UserName: aws.String("u0"), MaxItems: one,
		}); p.HasMorePages(); {
			out, err := p.NextPage(w.ctx)
			w.ok(err)
			got = append(got, out.PolicyNames...)
		}
		check("policies", got)
		got = nil
		for p := iam.NewListEntitiesForPolicyPaginator(w.root, &iam.ListEntitiesForPolicyInput{
			PolicyArn: aws.String("arn:aws:iam::aws:policy/ReadOnlyAccess"), MaxItems: aws.Int32(2),
		}); p.HasMorePages(); {
			out, err := p.NextPage(w.ctx)
			w.ok(err)
			for _, u := range out.PolicyUsers {
				got = append(got, *u.UserName)
			}
		}
		check("entities", got)

		// Deleting an item between two pages hides no other item. A marker is valid for its own listing only.
		first, err := w.root.ListGroups(w.ctx, &iam.ListGroupsInput{MaxItems: aws.Int32(2)})
		w.ok(err)
		_, err = w.root.RemoveUserFromGroup(w.ctx, &iam.RemoveUserFromGroupInput{
			GroupName: aws.String("u1"), UserName: aws.String("u0"),
		})
		w.ok(err)
		_, err = w.root.DeleteGroup(w.ctx, &iam.DeleteGroupInput{GroupName: aws.String("u1")})
		w.ok(err)
		second, err := w.root.ListGroups(w.ctx, &iam.ListGroupsInput{MaxItems: aws.Int32(2), Marker: first.Marker})
		w.ok(err)
		if len(second.Groups) != 2 || *second.Groups[0].GroupName != "u2" || !second.IsTruncated {
			t.Errorf("%+v", second)
		}
		_, err = w.root.ListUsers(w.ctx, &iam.ListUsersInput{Marker: first.Marker})
		w.refused(err, "ValidationError", "page token")
	})
}

// The trail shows who did what to which resource, with AWS's response elements, and never a secret.
func TestTheTrailOfIAM(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		bob := w.user("bob", "/x/", allowIAM)
		_, err := w.root.CreatePolicy(w.ctx, &iam.CreatePolicyInput{
			PolicyName: aws.String("p"), PolicyDocument: aws.String(allowPush),
		})
		w.ok(err)
		_, err = w.root.CreatePolicyVersion(w.ctx, &iam.CreatePolicyVersionInput{
			PolicyArn: aws.String("arn:aws:iam::111122223333:policy/p"), PolicyDocument: aws.String(allowIAM),
			SetAsDefault: true,
		})
		w.ok(err)
		_, err = w.root.AttachUserPolicy(w.ctx, &iam.AttachUserPolicyInput{
			UserName: aws.String("BOB"), PolicyArn: aws.String("arn:aws:iam::111122223333:policy/p"),
		})
		w.ok(err)
		_, err = w.root.CreateUser(w.ctx, &iam.CreateUserInput{UserName: aws.String("eve")})
		w.ok(err)
		_, err = w.root.UpdateUser(w.ctx, &iam.UpdateUserInput{
			UserName: aws.String("EVE"), NewUserName: aws.String("eva"), NewPath: aws.String("/y/"),
		})
		w.ok(err)
		_, err = w.root.CreateGroup(w.ctx, &iam.CreateGroupInput{GroupName: aws.String("team")})
		w.ok(err)
		_, err = w.root.AddUserToGroup(w.ctx, &iam.AddUserToGroupInput{
			GroupName: aws.String("TEAM"), UserName: aws.String("EVA"),
		})
		w.ok(err)
		_, err = bob.DeleteUser(w.ctx, &iam.DeleteUserInput{UserName: aws.String("none")})
		w.refused(err, "NoSuchEntity", "none")

		events := map[string]trail.Event{}
		for _, entry := range w.trail() {
			events[entry.Event.Name] = entry.Event
		}
		created := events["CreateUser"]
		element, _ := created.Response["user"].(map[string]any)
		if element["arn"] != "arn:aws:iam::111122223333:user/x/bob" || element["userName"] != "bob" ||
			created.ReadOnly || created.Identity.Type != "Root" {
			t.Errorf("%+v", created)
		}
		const arn, user, group = "arn:aws:iam::111122223333:", "AWS::IAM::User", "AWS::IAM::Group"
		for name, want := range map[string][]trail.Resource{
			"AttachUserPolicy": {{ARN: arn + "user/x/bob", Type: user}, {ARN: arn + "policy/p", Type: "AWS::IAM::Policy"}},
			"UpdateUser":       {{ARN: arn + "user/eve", Type: user}, {ARN: arn + "user/y/eva", Type: user}},
			"AddUserToGroup":   {{ARN: arn + "group/team", Type: group}, {ARN: arn + "user/y/eva", Type: user}},
			"CreateGroup":      {{ARN: arn + "group/team", Type: group}},
		} {
			for i := range want {
				want[i].AccountID = account
			}
			if diff := cmp.Diff(want, events[name].Resources); diff != "" {
				t.Errorf("%s: %s", name, diff)
			}
		}
		version, _ := events["CreatePolicyVersion"].Response["policyVersion"].(map[string]any)
		if version["versionId"] != "v2" {
			t.Errorf("%+v", events["CreatePolicyVersion"].Response)
		}
		failed := events["DeleteUser"]
		if failed.ErrorCode != "NoSuchEntity" || failed.Identity.UserName != "bob" ||
			failed.Parameters["userName"] != "none" {
			t.Errorf("%+v", failed)
		}
		var record map[string]any
		for _, entry := range w.trail() {
			w.ok(json.Unmarshal([]byte(entry.Record), &record))
			for name, key := range w.keys {
				if strings.Contains(entry.Record, key[1]) {
					t.Errorf("the secret of %s stands in %s", name, entry.Record)
				}
			}
		}
		for name, key := range w.keys {
			if strings.Contains(w.log.String(), key[1]) {
				t.Errorf("the secret of %s stands in the log", name)
			}
		}
	})
}

func TestAccountAliases(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		out, err := w.root.ListAccountAliases(w.ctx, nil)
		w.ok(err)
		if len(out.AccountAliases) != 0 {
			t.Error(out.AccountAliases)
		}
	})
}
