package iam_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"html"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// post sends a form as root, even one that the SDK would refuse. It returns the refusal's code and message.
func (w *world) post(form string) (code, message string) {
	w.Helper()
	body := "Version=2010-05-08&" + form
	r, err := http.NewRequestWithContext(w.ctx, http.MethodPost, w.url+"/", bytes.NewReader([]byte(body)))
	w.ok(err)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	sum := sha256.Sum256([]byte(body))
	root := aws.Credentials{AccessKeyID: w.keys["root"][0], SecretAccessKey: w.keys["root"][1]}
	w.ok(v4.NewSigner().SignHTTP(w.ctx, root, r, hex.EncodeToString(sum[:]), "iam", region, time.Now()))
	response, err := http.DefaultClient.Do(r)
	w.ok(err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	w.ok(err)
	element := func(name string) string {
		_, after, _ := strings.Cut(string(text), "<"+name+">")
		inner, _, _ := strings.Cut(after, "</"+name+">")
		return html.UnescapeString(inner)
	}
	return element("Code"), element("Message")
}

// Scripts and providers parse IAM's messages, so input that the API model forbids is refused in IAM's own words.
func TestConstraintsAreIAMs(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.user("bob", "", "")
		const arn = "PolicyArn=arn%3Aaws%3Aiam%3A%3Aaws%3Apolicy%2F"
		x := func(n int) string { return strings.Repeat("x", n) }
		must := func(member, constraint string) string {
			return "1 validation error detected: Value at '" + member + "' failed to satisfy constraint: Member must " +
				constraint
		}
		most := func(member string, n int) string {
			return must(member, fmt.Sprint("have length less than or equal to ", n))
		}
		name := func(member string) string {
			return "The specified value for " + member + " is invalid. " +
				"It must contain only alphanumeric characters and/or the following: +=,.@_-"
		}
		path := func(member, shape string) string {
			return "The specified value for " + member + " is invalid. It must " + shape +
				" and contain only alphanumeric characters and/or / characters."
		}
		const whole, printable = "begin and end with /", "The specified value for policyDocument is invalid. " +
			"It must contain only printable ASCII characters."
		var tags strings.Builder
		for i := range 51 {
			fmt.Fprintf(&tags, "&Tags.member.%d.Key=k%d&Tags.member.%d.Value=v", i+1, i, i+1)
		}
		tag := "TagUser&UserName=bob&Tags.member.1."
		document := "CreatePolicy&PolicyName=a&PolicyDocument="
		for form, want := range map[string]string{
			"CreateUser":                      must("userName", "not be null"),
			"CreateUser&UserName=":            name("userName"),
			"CreateUser&UserName=a%20b":       name("userName"),
			"CreateUser&UserName=a%0A":        name("userName"),
			"CreateUser&UserName=%C3%A9":      name("userName"),
			"CreateUser&UserName=" + x(65):    most("userName", 64),
			"GetUser&UserName=" + x(129):      most("userName", 128),
			"CreateGroup&GroupName=a%2Fb":     name("groupName"),
			"CreateUser&UserName=a&Path=%2Fx": path("path", whole),
			"CreateUser&UserName=a&Path=x%2F": path("path", whole),
			"UpdateUser&UserName=b&NewPath=x": path("newPath", whole),
			"ListUsers&PathPrefix=x":          path("pathPrefix", "begin with the / character"),
			"ListUsers&MaxItems=0":            must("maxItems", "have value greater than or equal to 1"),
			"ListUsers&MaxItems=1001":         must("maxItems", "have value less than or equal to 1000"),
			"ListPolicies&Scope=Mine":         must("scope", "satisfy enum value set: [All, AWS, Local]"),
			"ListEntitiesForPolicy&EntityFilter=x&" + arn + "IAMFullAccess": must("entityFilter",
				"satisfy enum value set: [User, Role, Group, LocalManagedPolicy, AWSManagedPolicy]"),
			"GetPolicy&PolicyArn=x":        must("policyArn", "have length greater than or equal to 20"),
			"GetPolicy&" + arn + x(2048):   most("policyArn", 2048),
			document + "%E2%80%9C":         printable,
			document + x(131073):           most("policyDocument", 131072),
			document + "a&Path=%2Fx%2F%2F": path("path", whole),

			document + "a&Description=" + x(1001):             most("description", 1000),
			tag[:len("TagUser&UserName=bob")] + tags.String(): most("tags", 50),
			tag + "Key=k":   must("tags.1.member.value", "not be null"),
			tag + "Value=v": must("tags.1.member.key", "not be null"),
			tag + "Value=v&Tags.member.1.Key=" + x(129):       most("tags.1.member.key", 128),
			"UpdateUser&UserName=b&NewUserName=*":             name("newUserName"),
			"CreateUser&UserName=a&Path=%2Fx%20y%2F":          path("path", whole),
			"GetAccessKeyLastUsed&AccessKeyId=AKIA":           must("accessKeyId", "have length greater than or equal to 16"),
			"UntagUser&UserName=b&TagKeys.member.1=" + x(129): most("tagKeys.1.member", 128),

			"CreateUser&UserName=a&Path=%2F" + x(511) + "%2F": most("path", 512),
			"UpdateAccessKey&AccessKeyId=AKIAIOSFODNN7EXAMPLE&Status=x": must("status",
				"satisfy enum value set: [Active, Inactive]"),
			"GetPolicyVersion&VersionId=3&" + arn + "IAMFullAccess": must("versionId",
				`satisfy regular expression pattern: v[1-9][0-9]*(\.[A-Za-z0-9-]*)?`),
			tag + "Key=k&Tags.member.1.Value=%60": must("tags.1.member.value",
				`satisfy regular expression pattern: [\p{L}\p{Z}\p{N}_.:/=+\-@]*`),
			"PutUserPolicy&UserName=bob": "2 validation errors detected: " +
				"Value at 'policyDocument' failed to satisfy constraint: Member must not be null; " +
				"Value at 'policyName' failed to satisfy constraint: Member must not be null",
		} {
			if code, message := w.post("Action=" + form); code != "ValidationError" || message != want {
				t.Errorf("%.120s:\ngot  %s %s\nwant %s", form, code, message, want)
			}
		}
		for _, keys := range [][2]string{{"k", "k"}, {"k", "K"}} {
			code, message := w.post("Action=" + tag + "Value=1&Tags.member.1.Key=" + keys[0] +
				"&Tags.member.2.Value=2&Tags.member.2.Key=" + keys[1])
			if code != "InvalidInput" || message != "Duplicate tag keys found. Please note that Tag keys are case insensitive." {
				t.Errorf("%v: %s %s", keys, code, message)
			}
		}
		for _, good := range []string{
			x(64), "Jane.Doe%2Bx%3Dy%2Cz%40example.com-1_&Path=%2Fa%2Fb.c%2F",
			"a&Tags.member.1.Value=&Tags.member.1.Key=" + x(128),
		} {
			if code, message := w.post("Action=CreateUser&UserName=" + good); code != "" {
				t.Errorf("%s: %s %s", good, code, message)
			}
		}
		const policy = "arn:aws:iam::" + account + ":policy/none"
		for form, want := range map[string]string{
			"GetUser&UserName=" + x(128):                        "The user with name " + x(128) + " cannot be found.",
			"GetPolicy&PolicyArn=" + policy:                     "Policy " + policy + " was not found.",
			"AttachUserPolicy&UserName=bob&PolicyArn=" + policy: "Policy " + policy + " does not exist or is not attachable.",
			"DeletePolicy&PolicyArn=" + policy:                  "Policy " + policy + " does not exist or is not attachable.",
		} {
			if code, message := w.post("Action=" + form); code != "NoSuchEntity" || message != want {
				t.Errorf("%.120s: %s %s", form, code, message)
			}
		}
	})
}
