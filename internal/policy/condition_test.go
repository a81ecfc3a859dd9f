package policy_test

import (
	"fmt"
	"testing"

	"github.com/sallyport/sallyport/internal/policy"
)

// The results of a condition, as seen under Allow and under Deny: it holds, it does not hold, or it is unsettled, which
// is to the caller's disadvantage under both.
const (
	holds     = "holds"
	fails     = "fails"
	unsettled = "unsettled"
)

func answer(t *testing.T, condition string, keys policy.Keys) string {
	t.Helper()
	request := policy.Request{Action: "ec2:X", Resource: "*", Context: keys}
	rest := `,"Action":"*","Resource":"*","Condition":` + condition
	allow := decide(t, `{"Version":"2012-10-17","Statement":{"Effect":"Allow"`+rest+`}}`, request).Allowed
	deny := decide(t, `{"Version":"2012-10-17","Statement":{"Effect":"Deny"`+rest+`}}`, request).Explicit
	switch {
	case allow && deny:
		return holds
	case deny:
		return unsettled
	case allow:
		return "an Allow holds and a Deny does not"
	}
	return fails
}

func TestConditions(t *testing.T) {
	keys := policy.Keys{
		"a:s": {"Value"}, "a:star": {"*"}, "a:empty": {""}, "a:none": {}, "a:list": {"x", "y"}, "a:blanks": {"", ""},
		"a:n": {"42"}, "a:big": {"9007199254740993"}, "a:minus": {"-0.50"},
		"a:t": {"true"}, "a:f": {"False"},
		"a:ip4": {"203.0.113.7"}, "a:mapped": {"::ffff:203.0.113.7"}, "a:ip6": {"2001:DB8:0:0:0:0:0:1"},
		"a:time": {"2026-11-22T08:00:00Z"}, "a:epoch": {"1795334400"},
		"a:arn": {"arn:aws:iam::123456789012:user/div/kim:x"}, "a:account": {"123456789012"}, "a:bin": {"AQI="},
		"a:tag/cost center": {"7"},
	}
	for _, test := range []struct{ condition, want string }{
		// strings
		{`{"StringEquals":{"a:s":"Value"}}`, holds},
		{`{"StringEquals":{"A:S":"Value"}}`, holds},
		{`{"StringEquals":{"a:s":"value"}}`, fails},
		{`{"StringEquals":{"a:s":"Val*"}}`, fails},
		{`{"StringEquals":{"a:s":["x","Value"]}}`, holds},
		{`{"StringNotEquals":{"a:s":"value"}}`, holds},
		{`{"StringNotEquals":{"a:s":["x","Value"]}}`, fails},
		{`{"StringEqualsIgnoreCase":{"a:s":"vALUE"}}`, holds},
		{`{"StringNotEqualsIgnoreCase":{"a:s":"vALUE"}}`, fails},
		{`{"StringLike":{"a:s":"V?l*"}}`, holds},
		{`{"StringLike":{"a:s":"v*"}}`, fails},
		{`{"StringNotLike":{"a:s":"v*"}}`, holds},
		{`{"StringLike":{"a:s":"${*}"}}`, fails},
		{`{"StringLike":{"a:star":"${*}"}}`, holds},
		{`{"StringEquals":{"a:star":"${*}"}}`, holds},
		{`{"StringEquals":{"a:tag/Cost Center":"7"}}`, holds},
		{`{"StringEquals":{"a:n":42}}`, holds},
		{`{"StringEquals":{"a:t":true}}`, holds},
		// several keys and operators: all of them
		{`{"StringEquals":{"a:s":"Value","a:n":"42"},"Bool":{"a:t":"true"}}`, holds},
		{`{"StringEquals":{"a:s":"Value","a:n":"43"},"Bool":{"a:t":"true"}}`, fails},
		{`{"StringEquals":{"a:s":"Value","a:n":"42"},"Bool":{"a:f":"true"}}`, fails},
		{`{"StringEquals":{"a:s":"wrong","a:list":"x"}}`, fails}, // "no" decides a conjunction
		{`{"StringEquals":{"a:s":"Value","a:list":"x"}}`, unsettled},
		{`{}`, holds},
		// variables
		{`{"StringEquals":{"a:s":"${a:s}"}}`, holds},
		{`{"StringEquals":{"a:s":"${a:gone}"}}`, fails},
		{`{"StringNotEquals":{"a:s":"${a:gone}"}}`, holds},
		{`{"StringNotEquals":{"a:s":["${a:gone}","Value"]}}`, fails},
		{`{"StringLike":{"a:s":"V${a:gone}*"}}`, fails},
		{`{"StringNotLike":{"a:s":"V${a:gone}*"}}`, holds},
		{`{"StringLike":{"a:s":"${a:star}"}}`, fails},
		{`{"StringEquals":{"a:s":"${a:gone, 'Value'}"}}`, holds},
		{`{"StringEquals":{"a:s":"${ a:gone ,  'Value' }"}}`, holds},
		{`{"StringEquals":{"a:s":"${a:n, 'Value'}"}}`, fails},
		{`{"StringEquals":{"a:s":"Va${a:gone, ''}lue"}}`, holds},
		// a variable with several values: a negated operator must not turn unsettled into yes
		{`{"StringEquals":{"a:s":"${a:list, 'Value'}"}}`, unsettled},
		{`{"StringNotEquals":{"a:s":"${a:list}"}}`, unsettled},
		{`{"StringNotLike":{"a:s":"${a:list}*"}}`, unsettled},
		{`{"StringNotEquals":{"a:s":["${a:list}","Value"]}}`, fails},
		{`{"ArnNotEquals":{"a:arn":"arn:aws:iam::${a:list}:user/*"}}`, unsettled},
		{`{"ArnNotEquals":{"a:arn":"arn:aws:sts::${a:list}:user/*"}}`, holds},
		{`{"ArnEquals":{"a:arn":"arn:aws:iam::${a:account}:user/*"}}`, holds},
		{`{"ArnEquals":{"a:arn":"arn:aws:iam::${a:n}:user/*"}}`, fails},
		{`{"ArnNotEquals":{"a:arn":"arn:aws:iam::${a:gone}:user/*"}}`, holds},
		{`{"ArnLike":{"a:arn":"arn:aws:iam::${a:gone, '123456789012'}:user/*"}}`, holds},
		// missing keys
		{`{"StringEquals":{"a:gone":"x"}}`, fails},
		{`{"StringEquals":{"a:none":"x"}}`, fails},
		{`{"StringNotEquals":{"a:gone":"x"}}`, holds},
		{`{"StringEqualsIfExists":{"a:gone":"x"}}`, holds},
		{`{"StringEqualsIfExists":{"a:s":"x"}}`, fails},
		{`{"StringNotLikeIfExists":{"a:gone":"x"}}`, holds},
		{`{"NumericLessThan":{"a:gone":"1"}}`, fails},
		{`{"NumericNotEquals":{"a:gone":"1"}}`, holds},
		{`{"BoolIfExists":{"a:gone":"false"}}`, holds},
		{`{"Bool":{"a:gone":"false"}}`, fails},
		{`{"NotIpAddress":{"a:gone":"10.0.0.0/8"}}`, holds},
		{`{"ArnNotLike":{"a:gone":"*"}}`, holds},
		{`{"DateNotEquals":{"a:gone":"2026-11-22"}}`, holds},
		// Null
		{`{"Null":{"a:gone":"true"}}`, holds},
		{`{"Null":{"a:gone":false}}`, fails},
		{`{"Null":{"a:s":"false"}}`, holds},
		{`{"Null":{"a:s":"true"}}`, fails},
		{`{"Null":{"a:list":"false"}}`, holds},
		{`{"Null":{"a:s":["true","false"],"a:gone":["true","false"],"a:empty":["true","false"]}}`, holds},
		{`{"Null":{"a:empty":"true"}}`, unsettled},
		{`{"Null":{"a:empty":"false"}}`, unsettled},
		// empty values
		{`{"StringEquals":{"a:empty":""}}`, holds},
		{`{"StringLike":{"a:empty":"*"}}`, holds},
		{`{"StringLike":{"a:empty":"?*"}}`, fails},
		{`{"Bool":{"a:empty":"false"}}`, unsettled},
		{`{"ForAllValues:StringEquals":{"a:empty":"x"}}`, holds},
		{`{"ForAnyValue:StringLike":{"a:blanks":"*"}}`, fails},
		// lists
		{`{"ForAllValues:StringEquals":{"a:list":["x","y","z"]}}`, holds},
		{`{"ForAllValues:StringEquals":{"a:list":"x"}}`, fails},
		{`{"ForAllValues:StringEquals":{"a:gone":"x"}}`, holds},
		{`{"ForAllValues:StringNotEquals":{"a:list":["p","q"]}}`, holds},
		{`{"ForAllValues:StringNotEquals":{"a:list":["x","q"]}}`, fails},
		{`{"ForAllValues:StringNotEquals":{"a:gone":"x"}}`, holds},
		{`{"ForAnyValue:StringEquals":{"a:list":["q","y"]}}`, holds},
		{`{"ForAnyValue:StringEquals":{"a:list":"q"}}`, fails},
		{`{"ForAnyValue:StringEquals":{"a:gone":"x"}}`, fails},
		{`{"ForAnyValue:StringNotEquals":{"a:list":"x"}}`, holds},
		{`{"ForAnyValue:StringNotEquals":{"a:list":["x","y"]}}`, fails},
		{`{"ForAnyValue:StringNotEquals":{"a:gone":"x"}}`, fails},
		{`{"ForAnyValue:StringEqualsIfExists":{"a:gone":"x"}}`, unsettled},
		{`{"ForAllValues:StringEqualsIfExists":{"a:gone":"x"}}`, holds},
		{`{"ForAnyValue:StringLike":{"a:s":"V*"}}`, holds},
		{`{"StringEquals":{"a:list":"x"}}`, unsettled},
		{`{"StringNotEquals":{"a:list":"q"}}`, unsettled},
		// numbers
		{`{"NumericEquals":{"a:n":"042.0"}}`, holds},
		{`{"NumericEquals":{"a:n":42}}`, holds},
		{`{"NumericNotEquals":{"a:n":42}}`, fails},
		{`{"NumericLessThan":{"a:n":"100"}}`, holds},
		{`{"NumericLessThan":{"a:n":"42"}}`, fails},
		{`{"NumericLessThanEquals":{"a:n":"42"}}`, holds},
		{`{"NumericGreaterThan":{"a:n":"41.999"}}`, holds},
		{`{"NumericGreaterThan":{"a:n":"42.001"}}`, fails},
		{`{"NumericGreaterThanEquals":{"a:n":"42"}}`, holds},
		{`{"NumericEquals":{"a:big":"9007199254740992"}}`, fails}, // equal as float64
		{`{"NumericEquals":{"a:minus":"-.5"}}`, ""},
		{`{"NumericEquals":{"a:minus":"-0.5"}}`, holds},
		{`{"NumericLessThan":{"a:minus":"-0.4"}}`, holds},
		{`{"NumericGreaterThan":{"a:minus":"-10"}}`, holds},
		{`{"NumericLessThan":{"a:minus":"0"}}`, holds},
		{`{"NumericEquals":{"a:s":"42"}}`, unsettled},
		{`{"NumericNotEquals":{"a:s":"42"}}`, unsettled},
		{`{"NumericLessThan":{"a:n":["1","50"]}}`, holds},
		// dates
		{`{"DateEquals":{"a:time":"2026-11-22T08:00:00Z"}}`, holds},
		{`{"DateEquals":{"a:time":"2026-11-22T17:00:00+09:00"}}`, holds},
		{`{"DateEquals":{"a:time":"2026-11-22T17:00+0900"}}`, holds},
		{`{"DateEquals":{"a:time":"1795334400"}}`, holds},
		{`{"DateEquals":{"a:time":1795334400}}`, holds},
		{`{"DateEquals":{"a:epoch":"2026-11-22T08:00Z"}}`, holds},
		{`{"DateNotEquals":{"a:epoch":"2026-11-22T08:00Z"}}`, fails},
		{`{"DateGreaterThan":{"a:time":"2026-11-22"}}`, holds},
		{`{"DateGreaterThan":{"a:time":"2026-11"}}`, holds},
		{`{"DateLessThan":{"a:time":"2026-11-22T08:00:00.5Z"}}`, holds},
		{`{"DateLessThan":{"a:epoch":"-1"}}`, fails},
		{`{"DateLessThanEquals":{"a:time":"2026-11-22T08:00:00Z"}}`, holds},
		{`{"DateGreaterThanEquals":{"a:time":"2026-11-22T08:00:01Z"}}`, fails},
		{`{"DateLessThan":{"a:s":"2026-11-22"}}`, unsettled},
		// booleans and bytes
		{`{"Bool":{"a:t":"TRUE"}}`, holds},
		{`{"Bool":{"a:f":false}}`, holds},
		{`{"Bool":{"a:t":"false"}}`, fails},
		{`{"Bool":{"a:s":"false"}}`, unsettled},
		{`{"BinaryEquals":{"a:bin":"AQI="}}`, holds},
		{`{"BinaryEquals":{"a:bin":"AQM="}}`, fails},
		{`{"BinaryEquals":{"a:star":"AQI="}}`, unsettled},
		// addresses
		{`{"IpAddress":{"a:ip4":"203.0.113.0/24"}}`, holds},
		{`{"IpAddress":{"a:ip4":"203.0.113.9/24"}}`, holds},
		{`{"IpAddress":{"a:ip4":"203.0.113.7"}}`, holds},
		{`{"IpAddress":{"a:ip4":"203.0.113.8"}}`, fails},
		{`{"IpAddress":{"a:ip4":"0.0.0.0/0"}}`, holds},
		{`{"IpAddress":{"a:ip6":"0.0.0.0/0"}}`, fails},
		{`{"IpAddress":{"a:ip4":"::/0"}}`, fails},
		{`{"IpAddress":{"a:mapped":"203.0.113.0/24"}}`, holds},
		{`{"IpAddress":{"a:ip4":"::ffff:203.0.113.0/120"}}`, holds},
		{`{"IpAddress":{"a:ip6":"2001:db8::/32"}}`, holds},
		{`{"IpAddress":{"a:ip6":"2001:0db8:0000::0001"}}`, holds},
		{`{"NotIpAddress":{"a:ip4":["10.0.0.0/8","203.0.113.0/24"]}}`, fails},
		{`{"NotIpAddress":{"a:ip4":"10.0.0.0/8"}}`, holds},
		{`{"NotIpAddress":{"a:s":"10.0.0.0/8"}}`, unsettled},
		{`{"IpAddress":{"a:s":"0.0.0.0/0"}}`, unsettled},
		// ARNs: part by part
		{`{"ArnEquals":{"a:arn":"arn:aws:iam::123456789012:user/div/kim:x"}}`, holds},
		{`{"ArnLike":{"a:arn":"arn:aws:iam::*:user/*"}}`, holds},
		{`{"ArnEquals":{"a:arn":"arn:aws:iam::*:user/*"}}`, holds},
		{`{"ArnLike":{"a:arn":"arn:*:*:*:*:*"}}`, holds},
		{`{"ArnLike":{"a:arn":"*"}}`, holds},
		{`{"ArnLike":{"a:arn":"arn:aws:*:*:*:kim:x"}}`, fails},   // a * stays in its part
		{`{"ArnLike":{"a:arn":"arn:aws:i*:*:user/*:x"}}`, fails}, // the same
		{`{"ArnLike":{"a:arn":"arn:aws:iam:?:*:user/*"}}`, fails},
		{`{"ArnNotLike":{"a:arn":"arn:aws:iam::*:role/*"}}`, holds},
		{`{"ArnNotEquals":{"a:arn":"arn:aws:iam::*:user/*"}}`, fails},
		{`{"ArnLike":{"a:s":"*"}}`, unsettled},
		{`{"ArnNotLike":{"a:s":"arn:aws:iam::*:role/*"}}`, unsettled},
	} {
		if test.want == "" { // refused
			source := `{"Statement":{"Effect":"Deny","Action":"*","Resource":"*","Condition":` + test.condition + `}}`
			if _, err := policy.Parse(source); err == nil {
				t.Errorf("%s was accepted", test.condition)
			}
			continue
		}
		if got := answer(t, test.condition, keys); got != test.want {
			t.Errorf("%s: %s, want %s", test.condition, got, test.want)
		}
	}
}

// TestKeysAreAskedInLowerCase: a Context is asked for folded keys.
func TestKeysAreAskedInLowerCase(t *testing.T) {
	asked := recorder{}
	source := `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*",` +
		`"Resource":"arn:aws:iam::1:user/${AWS:UserName}",
		"Condition":{"StringEquals":{"EC2:ResourceTag/Team":"x"}}}}`
	policy.Evaluate([]policy.Policy{{Name: "P", Document: parse(t, source)}},
		policy.Request{Action: "a:B", Resource: "arn:aws:iam::1:user/kim", Context: asked})
	if want := "map[aws:username:true ec2:resourcetag/team:true]"; fmt.Sprint(asked) != want {
		t.Errorf("asked for %v, want %s", asked, want)
	}
}

type recorder map[string]bool

func (r recorder) Values(key string) ([]string, bool) { r[key] = true; return []string{"kim"}, true }
