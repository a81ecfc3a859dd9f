package iam_test

import (
	"reflect"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/iam"

	iamapi "github.com/sallyport/sallyport/internal/awsapi/iam"
)

// step calls the client's operation with the name. It sets the values for which the input has a field, and
// returns the output.
func (w *world) step(name string, values map[string]any) reflect.Value {
	w.Helper()
	method := reflect.ValueOf(w.root).MethodByName(name)
	in := reflect.New(method.Type().In(1).Elem())
	for field, value := range values {
		if target := in.Elem().FieldByName(field); target.IsValid() {
			set(target, value)
		}
	}
	out := method.Call([]reflect.Value{reflect.ValueOf(w.ctx), in})
	if err, _ := out[1].Interface().(error); err != nil {
		w.Fatal(err)
	}
	return out[0].Elem()
}

func set(target reflect.Value, value any) {
	if target.Kind() == reflect.Pointer {
		pointer := reflect.New(target.Type().Elem())
		pointer.Elem().Set(reflect.ValueOf(value))
		target.Set(pointer)
		return
	}
	target.Set(reflect.ValueOf(value).Convert(target.Type()))
}

// A user, a group and a policy go through every operation of the table, in this order.
func TestEveryOperationServes(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		values := map[string]any{
			"UserName": "bob", "GroupName": "team", "PolicyName": "p", "PolicyDocument": allowPush,
			"VersionId": "v1", "Status": "Inactive", "PolicyArn": "arn:aws:iam::111122223333:policy/p", "TagKeys": []string{"a"},
		}
		served := map[string]bool{}
		for _, name := range []string{
			"CreateUser", "GetUser", "ListUsers", "UpdateUser", "TagUser", "ListUserTags", "UntagUser",
			"CreateGroup", "AddUserToGroup", "GetGroup", "ListGroups", "UpdateGroup", "ListGroupsForUser",
			"PutUserPolicy", "GetUserPolicy", "ListUserPolicies", "PutGroupPolicy", "GetGroupPolicy", "ListGroupPolicies",
			"CreatePolicy", "CreatePolicyVersion", "GetPolicy", "ListPolicies", "GetPolicyVersion", "ListPolicyVersions",
			"SetDefaultPolicyVersion", "AttachUserPolicy", "AttachGroupPolicy",
			"ListAttachedUserPolicies", "ListAttachedGroupPolicies", "ListEntitiesForPolicy",
			"CreateAccessKey", "ListAccessKeys", "UpdateAccessKey", "GetAccessKeyLastUsed", "ListAccountAliases",
			"DeleteAccessKey", "DetachUserPolicy", "DetachGroupPolicy", "DeleteUserPolicy", "DeleteGroupPolicy",
			"DeletePolicyVersion", "DeletePolicy", "RemoveUserFromGroup", "DeleteGroup", "DeleteUser",
		} {
			switch name {
			case "TagUser":
				values["Tags"] = tagsOf("a", "b")
			case "DeletePolicyVersion":
				values["VersionId"] = "v2"
			}
			out := w.step(name, values)
			served[name] = true
			switch name {
			case "CreateAccessKey":
				values["AccessKeyId"] = out.FieldByName("AccessKey").Elem().FieldByName("AccessKeyId").Elem().String()
			case "ListUsers", "ListGroups", "ListUserTags", "ListUserPolicies", "ListPolicyVersions",
				"ListAttachedUserPolicies", "ListAccessKeys":
				if items := out.Field(itemsField(out)); items.Len() == 0 {
					t.Errorf("%s found nothing", name)
				}
			}
		}
		for _, op := range iamapi.New(w.service).Operations {
			if !served[op.Name] {
				t.Errorf("%s is not tried here", op.Name)
			}
		}
		recorded := map[string]bool{}
		for _, entry := range w.trail() {
			recorded[entry.Event.Name] = recorded[entry.Event.Name] || entry.Event.ErrorCode == ""
		}
		for name := range served {
			if !recorded[name] {
				t.Errorf("%s left no event", name)
			}
		}
		users, err := w.root.ListUsers(w.ctx, &iam.ListUsersInput{})
		w.ok(err)
		if len(users.Users) != 0 {
			t.Errorf("%+v", users.Users)
		}
	})
}

// itemsField returns the name of the first list in an output.
func itemsField(out reflect.Value) int {
	for i := range out.NumField() {
		if out.Field(i).Kind() == reflect.Slice {
			return i
		}
	}
	return 0
}
