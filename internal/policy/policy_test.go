package policy_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/sallyport/sallyport/internal/fault"
	"github.com/sallyport/sallyport/internal/policy"
)

const instance = "arn:aws:ec2:on-prem-1:123456789012:instance/i-0123456789abcdef0"

// teamPolicy is the policy of a team that may connect as one user and describe instances.
const teamPolicy = `{
  "Version": "2012-10-17",
  "Statement": [
    {"Sid": "Connect", "Effect": "Allow", "Action": "ec2-instance-connect:SendSSHPublicKey",
     "Resource": "arn:aws:ec2:*:123456789012:instance/*",
     "Condition": {"StringEquals": {"ec2:osuser": "admin", "aws:ResourceTag/team": "${aws:PrincipalTag/team}"}}},
    {"Effect": "Allow", "Action": ["ec2:DescribeInstances", "ec2:DescribeInstanceStatus"], "Resource": "*"},
    {"Sid": "NotFromOutside", "Effect": "Deny", "Action": "*", "Resource": "*",
     "Condition": {"NotIpAddress": {"aws:SourceIp": ["10.0.0.0/8", "2001:db8::/32"]}}}
  ]
}`

func parse(t testing.TB, source string) *policy.Document {
	t.Helper()
	document, err := policy.Parse(source)
	if err != nil {
		t.Fatalf("Parse: %v\n%s", err, source)
	}
	return document
}

func decide(t testing.TB, source string, request policy.Request) policy.Decision {
	t.Helper()
	return policy.Evaluate([]policy.Policy{{Name: "P", Document: parse(t, source)}}, request)
}

func TestTeam(t *testing.T) {
	insider := policy.Keys{"ec2:osuser": {"admin"}, "aws:resourcetag/team": {"db"}, "aws:principaltag/team": {"db"},
		"aws:sourceip": {"10.1.2.3"}}
	with := func(key string, values ...string) policy.Keys {
		keys := policy.Keys{}
		for k, v := range insider {
			keys[k] = v
		}
		keys[key] = values
		if len(values) == 0 {
			delete(keys, key)
		}
		return keys
	}
	connect := "ec2-instance-connect:SendSSHPublicKey"
	denied := policy.Decision{}
	denial := policy.Decision{Explicit: true, Policy: "P", Statement: "NotFromOutside"}
	for _, test := range []struct {
		name             string
		action, resource string
		keys             policy.Keys
		want             policy.Decision
	}{
		{"as the allowed user", connect, instance, insider,
			policy.Decision{Allowed: true, Policy: "P", Statement: "Connect"}},
		{"action in another case", "EC2-Instance-Connect:sendSSHpublicKEY", instance, insider,
			policy.Decision{Allowed: true, Policy: "P", Statement: "Connect"}},
		{"a statement without Sid", "ec2:DescribeInstances", "*", insider,
			policy.Decision{Allowed: true, Policy: "P", Statement: "#2"}},
		{"as root", connect, instance, with("ec2:osuser", "root"), denied},
		{"user in another case", connect, instance, with("ec2:osuser", "Admin"), denied},
		{"another team's machine", connect, instance, with("aws:resourcetag/team", "web"), denied},
		{"an untagged machine", connect, instance, with("aws:resourcetag/team"), denied},
		{"neither is tagged", connect, instance, policy.Keys{"ec2:osuser": {"admin"}, "aws:sourceip": {"10.1.2.3"}}, denied},
		{"another account", connect, strings.Replace(instance, "123456789012", "999999999999", 1), insider, denied},
		{"another action", "ec2:TerminateInstances", instance, insider, denied},
		{"from outside", connect, instance, with("aws:sourceip", "192.0.2.1"), denial},
		{"from nowhere", connect, instance, with("aws:sourceip"), denial},
		{"from IPv6 inside", connect, instance, with("aws:sourceip", "2001:DB8:0:0::1"),
			policy.Decision{Allowed: true, Policy: "P", Statement: "Connect"}},
		{"no action", "", instance, insider, denied},
		{"no resource", connect, "", insider, denied},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := decide(t, teamPolicy, policy.Request{Action: test.action, Resource: test.resource, Context: test.keys})
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("decision (-want +got):\n%s", diff)
			}
		})
	}
}

func TestEvaluateRefuses(t *testing.T) {
	document := parse(t, `{"Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}`)
	everything := policy.Policy{Name: "all", Document: document}
	request := policy.Request{Action: "a:B", Resource: "*"}
	if d := policy.Evaluate([]policy.Policy{everything}, request); !d.Allowed {
		t.Error("a nil Context is one without keys")
	}
	if d := policy.Evaluate([]policy.Policy{everything, {Name: "unread"}}, request); d.Allowed || d.Policy != "unread" {
		t.Errorf("a policy without document must deny: %+v", d)
	}
	if d := policy.Evaluate(nil, request); d != (policy.Decision{}) {
		t.Errorf("no policy allows nothing: %+v", d)
	}
	if d := policy.Evaluate([]policy.Policy{{Document: &policy.Document{}}}, request); d != (policy.Decision{}) {
		t.Errorf("the zero Document allows nothing: %+v", d)
	}
}

// allows reports whether one Allow statement with the elements allows the request.
func allows(t *testing.T, elements string, request policy.Request) bool {
	t.Helper()
	return decide(t, `{"Version":"2012-10-17","Statement":{"Effect":"Allow",`+elements+`}}`, request).Allowed
}

func TestActionsAndResources(t *testing.T) {
	for _, test := range []struct {
		elements         string
		action, resource string
		want             bool
	}{
		{`"Action":"ec2:Describe*","Resource":"*"`, "ec2:DescribeInstances", "*", true},
		{`"Action":"ec2:Describe*","Resource":"*"`, "ec2:RunInstances", "*", false},
		{`"Action":"EC2:describe?nstances","Resource":"*"`, "ec2:DescribeInstances", "*", true},
		{`"Action":"*:*","Resource":"*"`, "ec2:DescribeInstances", "*", true},
		{`"NotAction":"iam:*","Resource":"*"`, "ec2:DescribeInstances", "*", true},
		{`"NotAction":["iam:*","ec2:*"],"Resource":"*"`, "ec2:DescribeInstances", "*", false},
		{`"Action":"*","Resource":"arn:aws:ec2:*:*:instance/*"`, "ec2:X", instance, true},
		{`"Action":"*","Resource":"arn:aws:ec2:*:*:instance/i-?"`, "ec2:X", instance, false},
		{`"Action":"*","Resource":"arn:aws:ec2:*:*:Instance/*"`, "ec2:X", instance, false}, // case matters
		{`"Action":"*","Resource":"arn:aws:ec2:*cdef0"`, "ec2:X", instance, true},          // * reaches over colons
		{`"Action":"*","Resource":"arn:aws:ec2:*:*:instance/*"`, "ec2:X", "*", false},      // * is no ARN
		{`"Action":"*","NotResource":"arn:aws:ec2:*:*:instance/*"`, "ec2:X", instance, false},
		{`"Action":"*","NotResource":"arn:aws:ec2:*:*:volume/*"`, "ec2:X", instance, true},
		{`"Action":"*","Resource":"arn:aws:iam::1:user/${aws:username}"`, "iam:X", "arn:aws:iam::1:user/kim", true},
		{`"Action":"*","Resource":"arn:aws:iam::1:user/${AWS:UserName}"`, "iam:X", "arn:aws:iam::1:user/kim", true},
		{`"Action":"*","Resource":"arn:aws:iam::1:user/${aws:username}"`, "iam:X", "arn:aws:iam::1:user/kim2", false},
		{`"Action":"*","Resource":"arn:aws:iam::1:user/${aws:username}*"`, "iam:X", "arn:aws:iam::1:user/kim2", true},
		// A * in a value is a character.
		{`"Action":"*","Resource":"arn:aws:iam::1:user/${aws:star}"`, "iam:X", "arn:aws:iam::1:user/kim", false},
		{`"Action":"*","Resource":"arn:aws:iam::1:user/${aws:star}"`, "iam:X", "arn:aws:iam::1:user/*", true},
		{`"Action":"*","Resource":"arn:aws:iam::1:user/${aws:none}"`, "iam:X", "arn:aws:iam::1:user/", false},
		{`"Action":"*","Resource":"arn:aws:iam::1:user/${aws:none}*"`, "iam:X", "arn:aws:iam::1:user/kim", false},
		{`"Action":"*","NotResource":"arn:aws:iam::1:user/${aws:none}"`, "iam:X", "arn:aws:iam::1:user/kim", true},
		{`"Action":"*","Resource":"arn:aws:iam::1:user/${aws:none, 'kim'}"`, "iam:X", "arn:aws:iam::1:user/kim", true},
		{`"Action":"*","Resource":"arn:aws:iam::1:user/${aws:list}"`, "iam:X", "arn:aws:iam::1:user/a", false},
		{`"Action":"*","Resource":"arn:aws:iam::1:user/${aws:list,'a'}"`, "iam:X", "arn:aws:iam::1:user/a", false},
		// A key with several values matches neither Resource nor NotResource.
		{`"Action":"*","NotResource":"arn:aws:iam::1:user/${aws:list}"`, "iam:X", "arn:aws:iam::1:user/kim", false},
		{`"Action":"*","NotResource":["arn:aws:iam::1:user/${aws:list}","*"]`, "iam:X", "arn:aws:iam::1:user/kim", false},
		{`"Action":"*","Resource":"arn:aws:iam::1:user/${*}"`, "iam:X", "arn:aws:iam::1:user/kim", false},
		{`"Action":"*","Resource":"arn:aws:iam::1:user/${*}${?}${$}"`, "iam:X", "arn:aws:iam::1:user/*?$", true},
	} {
		keys := policy.Keys{"aws:username": {"kim"}, "aws:star": {"*"}, "aws:list": {"a", "b"}}
		request := policy.Request{Action: test.action, Resource: test.resource, Context: keys}
		if got := allows(t, test.elements, request); got != test.want {
			t.Errorf("%s: %s on %s: got %v", test.elements, test.action, test.resource, got)
		}
	}
}

// TestVersion: before 2012-10-17 a variable is plain text, in which * is a wildcard.
func TestVersion(t *testing.T) {
	for _, version := range []string{``, `"Version":"2008-10-17",`} {
		source := `{` + version + `"Statement":{"Effect":"Allow","Action":"*",` +
			`"Resource":"arn:aws:iam::1:user/${aws:username}"}}`
		request := policy.Request{Action: "iam:X", Resource: "arn:aws:iam::1:user/kim",
			Context: policy.Keys{"aws:username": {"kim"}}}
		if decide(t, source, request).Allowed {
			t.Errorf("%s: the variable was resolved", source)
		}
		request.Resource = "arn:aws:iam::1:user/${aws:username}"
		if !decide(t, source, request).Allowed {
			t.Errorf("%s: the text does not match itself", source)
		}
	}
}

func TestDenyBeatsAllow(t *testing.T) {
	allow := `{"Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}`
	deny := `{"Statement":[{"Effect":"Deny","Action":"ec2:T*","Resource":"*"}]}`
	for _, order := range [][]string{{allow, deny}, {deny, allow}} {
		var policies []policy.Policy
		for _, source := range order {
			policies = append(policies, policy.Policy{Name: source, Document: parse(t, source)})
		}
		want := policy.Decision{Explicit: true, Policy: deny, Statement: "#1"}
		got := policy.Evaluate(policies, policy.Request{Action: "ec2:TerminateInstances", Resource: "*"})
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("decision (-want +got):\n%s", diff)
		}
	}
}

// TestParseRefuses: each mistake is refused, at its place.
func TestParseRefuses(t *testing.T) {
	const ok = `"Effect":"Allow","Action":"*","Resource":"*"`
	in := func(elements string) string { return `{"Statement":[{` + ok + `},{` + elements + `}]}` }
	condition := func(c string) string { return in(ok + `,"Condition":` + c) }
	for _, test := range []struct{ name, source, want string }{
		{"nothing", ``, "ends too early"},
		{"cut off", `{"Statement":[{`, "ends too early"},
		// encoding/json reports the same end for a document that only lacks its last brackets as for a complete one.
		{"last brace missing", `{"Statement":{` + ok + `}`, "ends too early"},
		{"last brackets missing", `{"Statement":[{` + ok + `}`, "ends too early"},
		{"an open brace", `{`, "ends too early"},
		{"not JSON", "{\n\n'a'}", "line 3"},
		{"more after the end", `{"Statement":{` + ok + `}} {}`, "more text after its end"},
		{"not UTF-8", "{\"\xff\"}", "UTF-8"},
		{"deep", strings.Repeat("[", 100000), "too deeply"},
		{"a list", `[]`, "must be an object"},
		{"a null", `null`, "must be an object"},
		{"no statement", `{"Version":"2012-10-17"}`, "no Statement"},
		{"no statements", `{"Statement":[]}`, "no Statement"},
		{"version", `{"Version":"2012-10-18","Statement":[]}`, "in Version: "},
		{"version's type", `{"Version":2012}`, "in Version: expected a string, not a number"},
		{"unknown element", `{"Statment":[]}`, `"Statment" is not known`},
		{"element's case", `{"statement":[]}`, `"statement" is not known`},
		{"double element", `{"Version":"2012-10-17","Version":"2012-10-17"}`, `"Version" is there twice`},
		{"double key deep", condition(`{"StringEquals":{"a:b":"c","a:b":"d"}}`),
			`in Statement[2].Condition.StringEquals: "a:b" is there twice`},
		{"double key in another case", condition(`{"StringEquals":{"a:b":"c","A:B":"d"}}`),
			`in Statement[2].Condition.StringEquals.A:B: `},
		{"statement's type", `{"Statement":"x"}`, "in Statement: a statement must be an object"},
		{"unknown statement element", in(ok + `,"Actions":"*"`), `in Statement[2]: the element "Actions"`},
		{"principal", in(ok + `,"Principal":"*"`), "Principal is not for identity-based policies"},
		{"no effect", in(`"Action":"*","Resource":"*"`), "in Statement[2]: the statement has no Effect"},
		{"effect", in(`"Effect":"allow","Action":"*","Resource":"*"`), "in Statement[2].Effect: it must be Allow or Deny"},
		{"no action", in(`"Effect":"Deny","Resource":"*"`), "neither Action nor NotAction"},
		{"both actions", in(ok + `,"NotAction":"*"`), "not both"},
		{"no resource", in(`"Effect":"Deny","Action":"*"`), "neither Resource nor NotResource"},
		{"both resources", in(ok + `,"NotResource":"*"`), "not both"},
		{"empty actions", in(`"Effect":"Deny","Action":[],"Resource":"*"`), "in Statement[2].Action: the list is empty"},
		{"empty resources", in(`"Effect":"Deny","Action":"*","Resource":[]`), "in Statement[2].Resource: the list is empty"},
		{"action without vendor", in(`"Effect":"Deny","Action":["a:b","RunInstances"],"Resource":"*"`),
			`in Statement[2].Action[2]: the action "RunInstances" must be`},
		{"action of a wild vendor", in(`"Effect":"Deny","Action":"e*:RunInstances","Resource":"*"`), "must be"},
		{"action's type", in(`"Effect":"Deny","Action":{},"Resource":"*"`), "expected a string, not an object"},
		{"resource", in(`"Effect":"Deny","Action":"*","Resource":"i-0123"`), "must be * or an ARN"},
		{"short ARN", in(`"Effect":"Deny","Action":"*","Resource":"arn:aws:ec2"`), "must be * or an ARN"},
		{"sid", in(ok + `,"Sid":"a b"`), "letters and digits"},
		{"sid twice", `{"Statement":[{` + ok + `,"Sid":"A"},{` + ok + `,"Sid":"A"}]}`,
			`in Statement[2]: the Sid "A" is there twice`},
		{"open variable", `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*",` +
			`"Resource":"arn:aws:iam::1:user/${aws:username"}}`, "not closed"},
		{"variable without vendor", `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*",` +
			`"Resource":"arn:aws:iam::1:user/${username}"}}`, "not a variable"},
		{"variable's default", `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*",` +
			`"Resource":"arn:aws:iam::1:user/${aws:username, kim}"}}`, "single quotes"},
		{"condition's type", condition(`[]`), "in Statement[2].Condition: "},
		{"operator's type", condition(`{"Bool":"true"}`), "object of condition keys"},
		{"unknown operator", condition(`{"StringMatches":{"a:b":"c"}}`), `no condition operator "StringMatches"`},
		{"operator's case", condition(`{"stringEquals":{"a:b":"c"}}`), "no condition operator"},
		{"twice negated", condition(`{"NotIpNotAddress":{"a:b":"c"}}`), "no condition operator"},
		{"no such negation", condition(`{"NumericNotLessThan":{"a:b":"1"}}`), "no condition operator"},
		{"unknown set operator", condition(`{"ForEach:StringEquals":{"a:b":"c"}}`), "no condition operator"},
		{"NullIfExists", condition(`{"NullIfExists":{"a:b":"true"}}`), "neither IfExists"},
		{"key", condition(`{"Bool":{"SecureTransport":"true"}}`), "not a condition key"},
		{"no values", condition(`{"StringEquals":{"a:b":[]}}`), "empty list of values"},
		{"null value", condition(`{"StringEquals":{"a:b":null}}`), "not null"},
		{"list in a list", condition(`{"StringEquals":{"a:b":[["c"]]}}`), "in Statement[2].Condition.StringEquals.a:b[1]: "},
		{"bool", condition(`{"Bool":{"a:b":"yes"}}`), "true or false"},
		{"null's value", condition(`{"Null":{"a:b":"maybe"}}`), "true"},
		{"number", condition(`{"NumericEquals":{"a:b":"1e3"}}`), "not a number"},
		{"date", condition(`{"DateEquals":{"a:b":"yesterday"}}`), "not a date"},
		{"date without offset", condition(`{"DateEquals":{"a:b":"2026-11-22T08:00:00"}}`), "not a date"},
		{"address", condition(`{"IpAddress":{"aws:SourceIp":"10.0.0.0/33"}}`), "neither an IP address nor a range"},
		{"mixed range", condition(`{"IpAddress":{"aws:SourceIp":"::ffff:0:0/90"}}`), "mixes"},
		{"ARN", condition(`{"ArnLike":{"a:b":"arn:aws:iam::user/*"}}`), "six parts"},
		{"binary", condition(`{"BinaryEquals":{"a:b":"?"}}`), "base64"},
	} {
		t.Run(test.name, func(t *testing.T) {
			document, err := policy.Parse(test.source)
			if document != nil || err == nil {
				t.Fatalf("was accepted: %s", test.source)
			}
			if f := fault.Of(err); f.Kind != fault.Invalid || f.Subject.String() != "policy-document" {
				t.Errorf("%v %q, want an invalid policy-document", f.Kind, f.Subject.String())
			}
			if !strings.Contains(err.Error(), test.want) {
				t.Errorf("%q does not say %q", err, test.want)
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	f.Add(teamPolicy, instance, "kim")
	f.Add(`{"Statement":{"Effect":"Deny","Action":"*","Resource":"*"}`, "*", "")
	f.Add(`{"Statement":{"Effect":"Deny","NotAction":"a:*","NotResource":"arn:*",`+
		`"Condition":{"Null":{"a:b":[true,false]}}}}`, "*", "")
	f.Add(`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*",`+
		`"Condition":{"ForAnyValue:ArnLikeIfExists":{"aws:username":"arn:aws:iam::${aws:x, 'y'}:*"}}}}`,
		"x", "arn:aws:iam::1:x")
	f.Fuzz(func(t *testing.T, source, resource, value string) {
		document, err := policy.Parse(source)
		if err != nil {
			if document != nil || !fault.Is(err, fault.Invalid) {
				t.Fatalf("a refusal must be an Invalid fault alone: %v", err)
			}
			return
		}
		if !json.Valid([]byte(source)) {
			t.Fatal("accepted what is not JSON")
		}
		keys := policy.Keys{"aws:username": {value}, "aws:sourceip": {value}, "ec2:osuser": {value, value}}
		d := policy.Evaluate([]policy.Policy{{Name: "P", Document: document}},
			policy.Request{Action: "ec2:X", Resource: resource, Context: keys})
		if d.Allowed && d.Explicit {
			t.Fatalf("%+v", d)
		}
	})
}

func BenchmarkEvaluate(b *testing.B) {
	policies := []policy.Policy{{Name: "P", Document: parse(b, teamPolicy)}}
	request := policy.Request{
		Action: "ec2-instance-connect:SendSSHPublicKey", Resource: instance,
		Context: policy.Keys{"ec2:osuser": {"admin"}, "aws:resourcetag/team": {"db"}, "aws:principaltag/team": {"db"},
			"aws:sourceip": {"10.1.2.3"}},
	}
	b.ReportAllocs()
	for b.Loop() {
		if !policy.Evaluate(policies, request).Allowed {
			b.Fatal("denied")
		}
	}
}

func BenchmarkParse(b *testing.B) {
	for b.Loop() {
		parse(b, teamPolicy)
	}
}

func ExampleEvaluate() {
	document, err := policy.Parse(teamPolicy)
	if err != nil {
		panic(err)
	}
	policies := []policy.Policy{{Name: "Team (inline policy of group Team)", Document: document}}
	d := policy.Evaluate(policies, policy.Request{
		Action:   "ec2-instance-connect:SendSSHPublicKey",
		Resource: instance,
		Context:  policy.Keys{"ec2:osuser": {"admin"}, "aws:sourceip": {"192.0.2.1"}},
	})
	fmt.Println(d.Allowed, d.Explicit, d.Statement)
	// Output: false true NotFromOutside
}
