package iam

import (
	"maps"
	"regexp"
	"strings"

	"github.com/sallyport/sallyport/internal/awsapi"
)

// constraints returns the constraints of IAM's API model, by the name of the member, which means the same in every
// operation, or by "Operation.Member" where it does not. Enums are left out, since the SDK's types have their values.
// https://docs.aws.amazon.com/IAM/latest/APIReference/
func constraints() awsapi.Constraints {
	named := func(member string, limit int) awsapi.Constraint {
		return awsapi.Constraint{Min: 1, Max: limit, Pattern: nameForm, Says: "The specified value for " + member +
			" is invalid. It must contain only alphanumeric characters and/or the following: +=,.@_-"}
	}
	pathed := func(member string, form *regexp.Regexp, shape string) awsapi.Constraint {
		return awsapi.Constraint{Min: 1, Max: 512, Pattern: form, Says: "The specified value for " + member +
			" is invalid. It must " + shape + " and contain only alphanumeric characters and/or / characters."}
	}
	const whole, beginning = "begin and end with /", "begin with the / character"
	newUser, policyPrefix := named("userName", 64), pathed("pathPrefix", policyPathForm, whole)
	key := awsapi.Constraint{Required: true, Min: 1, Max: 128, Pattern: tagKeyForm}
	return awsapi.Constraints{
		"UserName":                             named("userName", 128),
		"CreateUser.UserName":                  newUser,
		"AttachUserPolicy.UserName":            newUser,
		"DetachUserPolicy.UserName":            newUser,
		"ListAttachedUserPolicies.UserName":    newUser,
		"NewUserName":                          named("newUserName", 64),
		"GroupName":                            named("groupName", 128),
		"NewGroupName":                         named("newGroupName", 128),
		"PolicyName":                           named("policyName", 128),
		"Path":                                 pathed("path", pathForm, whole),
		"NewPath":                              pathed("newPath", pathForm, whole),
		"CreatePolicy.Path":                    pathed("path", policyPathForm, whole),
		"PathPrefix":                           pathed("pathPrefix", prefixForm, beginning),
		"ListEntitiesForPolicy.PathPrefix":     pathed("pathPrefix", pathForm, whole),
		"ListPolicies.PathPrefix":              policyPrefix,
		"ListAttachedUserPolicies.PathPrefix":  policyPrefix,
		"ListAttachedGroupPolicies.PathPrefix": policyPrefix,
		"PolicyArn":                            {Min: 20, Max: 2048},
		"PolicyDocument": {Min: 1, Max: 131072, Pattern: documentForm,
			Says: "The specified value for policyDocument is invalid. It must contain only printable ASCII characters."},
		"VersionId":   {Pattern: versionForm},
		"Description": {Max: 1000},
		"AccessKeyId": {Min: 16, Max: 128, Pattern: keyIDForm},
		"Marker":      {Min: 1}, // ours are longer than AWS's
		"MaxItems":    {Min: 1, Max: maxItems},
		"Status":      {Values: []string{"Active", "Inactive"}}, // our keys do not expire
		"TagKeys":     {Max: 50, Item: &key},
		"Tags": {Max: 50, Items: awsapi.Constraints{
			"Key":   key,
			"Value": {Required: true, Max: 256, Pattern: tagValueForm},
		}},
	}
}

// The patterns of the model, anchored at both ends.
var (
	nameForm       = regexp.MustCompile(`^[\w+=,.@-]+$`)
	pathForm       = regexp.MustCompile(`^(?:/|/[\x21-\x7E]+/)$`)
	policyPathForm = regexp.MustCompile(`^(?:/[A-Za-z0-9.,+@=_-]+)*/$`)
	prefixForm     = regexp.MustCompile(`^/[\x21-\x7F]*$`)
	documentForm   = regexp.MustCompile(`^[\t\n\r\x20-\x{FF}]+$`)
	versionForm    = regexp.MustCompile(`^v[1-9][0-9]*(\.[A-Za-z0-9-]*)?$`)
	keyIDForm      = regexp.MustCompile(`^[\w]+$`)
	tagKeyForm     = regexp.MustCompile(`^[\p{L}\p{Z}\p{N}_.:/=+\-@]+$`)
	tagValueForm   = regexp.MustCompile(`^[\p{L}\p{Z}\p{N}_.:/=+\-@]*$`)
)

// constraintsOf returns the constraints of one operation, whose needed members are required.
func constraintsOf(operation string, needed need) awsapi.Constraints {
	all := constraints()
	own := maps.Clone(all)
	for member, c := range all {
		if name, ok := strings.CutPrefix(member, operation+"."); ok {
			own[name] = c
		}
	}
	for _, name := range needed {
		c := own[name]
		c.Required = true
		own[name] = c
	}
	return own
}
