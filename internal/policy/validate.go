package policy

import (
	"regexp"
	"strings"

	"github.com/sallyport/sallyport/internal/fault"
)

// Validate refuses a document that IAM would not store: one that Parse refuses, or one with a resource that can never
// match. managed requires the version that IAM requires of managed policies. Validate is for new documents. Stored
// ones are read with Parse alone, so that they decide as they always did. Errors are faults like Parse's, in IAM's
// words where it has them.
func Validate(source string, managed bool) error {
	if _, err := Parse(source); err != nil {
		return err
	}
	root, err := readJSON(source)
	if err != nil {
		return err
	}
	if managed && !root.has("Version", version2012) {
		return refused("Policy document must be version 2012-10-17 or greater.")
	}
	for _, m := range root.members {
		if m.name != "Statement" {
			continue
		}
		for _, statement := range m.value.oneOrMore() {
			if err := validateStatement(statement); err != nil {
				return err
			}
		}
	}
	return nil
}

func validateStatement(statement node) error {
	for _, m := range statement.members {
		if m.name != "Resource" && m.name != "NotResource" {
			continue
		}
		for _, resource := range m.value.oneOrMore() {
			if err := validateResource(resource.text); err != nil {
				return err
			}
		}
	}
	return nil
}

// variableForm matches a variable, whose colon does not separate parts of an ARN.
var variableForm = regexp.MustCompile(`\$\{[^}]*\}`)

// validateResource refuses an ARN that no resource has: one of another partition, without a service, or of a kind or
// in a region that IAM does not have. As on AWS, the service may have no wildcards.
func validateResource(resource string) error {
	if resource == "*" {
		return nil
	}
	parts := strings.SplitN(variableForm.ReplaceAllLiteralString(resource, "${}"), ":", 6)
	parts = append(parts, make([]string, 6-len(parts))...)
	partition, vendor, region, path := parts[1], parts[2], parts[3], parts[5]
	switch {
	case !covers(partition, "aws"):
		return refused("Partition %q is not valid for resource %q.", partition, resource)
	case vendor == "" || strings.ContainsAny(vendor, "*?$"):
		return refused("Resource vendor must be fully qualified and cannot contain regexes.")
	case vendor != strings.ToLower(vendor) || !isName(vendor, "-."):
		return refused("Vendor %s is not valid: in an ARN it is in lower case.", vendor)
	case vendor == "iam" && region != "":
		return refused("IAM resource %s cannot contain region information.", resource)
	case vendor == "iam" && !isIAMPath(path):
		return refused(`IAM resource path must either be "*", root, or start with %s.`, strings.Join(iamKinds(), ", "))
	}
	return nil
}

// isIAMPath reports whether the last part of an ARN can name something in IAM. A wildcard may stand in the kind only
// if it is all there is.
func isIAMPath(path string) bool {
	for _, kind := range iamKinds() {
		if strings.HasPrefix(path, kind) {
			return true
		}
	}
	return path == "*" || path == "root"
}

// iamKinds returns how the last parts of IAM's ARNs begin.
// https://docs.aws.amazon.com/service-authorization/latest/reference/list_awsidentityandaccessmanagementiam.html
func iamKinds() []string {
	return []string{
		"user/", "federated-user/", "role/", "group/", "instance-profile/", "mfa/", "server-certificate/", "policy/",
		"sms-mfa/", "saml-provider/", "oidc-provider/", "report/", "access-report/",
	}
}

// covers reports whether the text, which may have wildcards, matches the value.
func covers(text, value string) bool {
	t, err := parseTemplate(text, syntax{wildcards: true})
	return err == nil && t.pieces.matches(value)
}

// has reports whether the object has a member with the name and the text.
func (n node) has(name, text string) bool {
	for _, m := range n.members {
		if m.name == name {
			return m.value.text == text
		}
	}
	return false
}

// refused is like malformed, but in IAM's own words.
func refused(format string, args ...any) error {
	return fault.New(fault.Invalid, fault.PolicyDocument, format, args...)
}
