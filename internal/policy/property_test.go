package policy_test

import (
	"encoding/json"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/sallyport/sallyport/internal/policy"
)

// The world of these tests is small, so that statements often match: few actions, resources, keys and values.
func pick(t *rapid.T, label string, from ...string) string {
	return rapid.SampledFrom(from).Draw(t, label)
}

func pickKey(t *rapid.T) string { return pick(t, "key", "a:k", "a:l", "a:m") }

func drawStatement(t *rapid.T, effect string) map[string]any {
	condition := map[string]any{}
	for range rapid.IntRange(0, 2).Draw(t, "conditions") {
		operator, value := drawOperator(t)
		condition[operator] = map[string]any{pickKey(t): value}
	}
	return map[string]any{
		"Effect": effect,
		pick(t, "element", "Action", "Action", "NotAction"): pick(t, "action",
			"*", "ec2:*", "ec2:Run*", "ec2:RunInstances", "iam:?etUser"),
		pick(t, "element", "Resource", "Resource", "NotResource"): pick(t, "resource",
			"*", "arn:aws:ec2:*", "arn:aws:ec2:r:1:instance/*", "arn:aws:iam::1:user/${a:k}"),
		"Condition": condition,
	}
}

// drawOperator picks an operator and a value it accepts.
func drawOperator(t *rapid.T) (name, value string) {
	accepts := map[string]string{
		"StringEquals": "x", "StringNotEquals": "x", "StringLike": "*", "NumericLessThan": "8", "NumericNotEquals": "7",
		"IpAddress": "10.0.0.0/8", "NotIpAddress": "10.0.0.0/8", "DateGreaterThan": "2026-11-21", "Bool": "true",
		"ArnLike": "arn:aws:iam::1:*", "ArnNotLike": "arn:aws:iam::1:*",
	}
	base := pick(t, "operator", slices.Sorted(maps.Keys(accepts))...)
	return pick(t, "set", "", "", "ForAllValues:", "ForAnyValue:") + base +
		pick(t, "suffix", "", "", "IfExists"), accepts[base]
}

func drawRequest(t *rapid.T) policy.Request {
	values := rapid.SampledFrom([]string{"x", "7", "10.0.0.1", "true", "2026-11-22", "arn:aws:iam::1:user/x", ""})
	context := policy.Keys{}
	for range rapid.IntRange(0, 3).Draw(t, "keys") {
		context[pickKey(t)] = rapid.SliceOfN(values, 0, 2).Draw(t, "values")
	}
	return policy.Request{
		Action:   pick(t, "action", "ec2:RunInstances", "ec2:StopInstances", "iam:GetUser"),
		Resource: pick(t, "resource", "*", "arn:aws:ec2:r:1:instance/i-1", "arn:aws:iam::1:user/x"),
		Context:  context,
	}
}

func evaluate(t *rapid.T, statements []map[string]any, request policy.Request) policy.Decision {
	return policy.Evaluate(policies(t, statements), request)
}

func policies(t *rapid.T, statements []map[string]any) []policy.Policy {
	source, err := json.Marshal(map[string]any{"Version": "2012-10-17", "Statement": statements})
	if err != nil {
		t.Fatal(err)
	}
	document, err := policy.Parse(string(source))
	if err != nil {
		t.Fatalf("%v\n%s", err, source)
	}
	return []policy.Policy{{Name: "P", Document: document}}
}

func TestProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		request := drawRequest(t)
		var statements []map[string]any
		for range rapid.IntRange(1, 4).Draw(t, "statements") {
			statements = append(statements, drawStatement(t, pick(t, "effect", "Allow", "Deny")))
		}
		before := evaluate(t, statements, request)
		if before.Allowed && before.Explicit {
			t.Fatalf("allowed and denied: %+v", before)
		}
		if (before.Allowed || before.Explicit) != (before.Policy != "" && before.Statement != "") {
			t.Fatalf("a decision must name what decided: %+v", before)
		}

		shuffled := rapid.Permutation(statements).Draw(t, "order")
		if after := evaluate(t, shuffled, request); after.Allowed != before.Allowed || after.Explicit != before.Explicit {
			t.Fatalf("the order matters: %+v, then %+v", before, after)
		}
		more := append(statements[:len(statements):len(statements)], drawStatement(t, "Allow"))
		if after := evaluate(t, more, request); before.Allowed && !after.Allowed || after.Explicit != before.Explicit {
			t.Fatalf("another Allow took something away: %+v, then %+v", before, after)
		}
		more[len(more)-1] = drawStatement(t, "Deny")
		if after := evaluate(t, more, request); !before.Allowed && after.Allowed {
			t.Fatalf("another Deny gave something: %+v, then %+v", before, after)
		}
		more[len(more)-1] = map[string]any{"Effect": "Deny", "Action": "*", "Resource": "*"}
		if after := evaluate(t, more, request); after.Allowed || !after.Explicit {
			t.Fatalf("denied everything and got %+v", after)
		}
	})
}

// TestDoubtNeverHelps: for any condition and request, an Allow never applies where a Deny would not.
func TestDoubtNeverHelps(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		request := drawRequest(t)
		statement := drawStatement(t, "Allow")
		allowed := evaluate(t, []map[string]any{statement}, request).Allowed
		statement["Effect"] = "Deny"
		denied := evaluate(t, []map[string]any{statement}, request).Explicit
		if allowed && !denied {
			t.Fatal("as an Allow the statement applies, as a Deny it does not")
		}
	})
}

// TestSetsOnlyTakeAway: several sets of policies allow what each of them allows. A Deny in any of them denies, and an
// empty set allows nothing.
func TestSetsOnlyTakeAway(t *testing.T) {
	sorts := []policy.Sort{policy.IdentityBased, policy.Boundary, policy.Session}
	rapid.Check(t, func(t *rapid.T) {
		request := drawRequest(t)
		var sets []policy.Set
		allowed, denied := true, false
		for _, sort := range sorts[:rapid.IntRange(1, 3).Draw(t, "sets")] {
			set := policy.Set{Sort: sort}
			for range rapid.IntRange(0, 2).Draw(t, "documents") {
				statements := []map[string]any{drawStatement(t, "Allow"), drawStatement(t, pick(t, "effect", "Allow", "Deny"))}
				set.Policies = append(set.Policies, policies(t, statements)...)
			}
			one := policy.Evaluate(set.Policies, request)
			allowed, denied = allowed && one.Allowed, denied || one.Explicit
			sets = append(sets, set)
		}
		got := policy.EvaluateAll(sets, request)
		if got.Allowed != allowed || got.Explicit != denied {
			t.Fatalf("got %+v, want allowed %v, explicit %v", got, allowed, denied)
		}
		i := slices.IndexFunc(sets, func(set policy.Set) bool { return set.Sort == got.Set })
		if i < 0 {
			t.Fatalf("no set has decided: %+v", got)
		}
		if one := policy.Evaluate(sets[i].Policies, request); !got.Allowed && (one.Allowed || one.Explicit != denied) {
			t.Fatalf("the %s is said to have decided, and says %+v", got.Set, one)
		}
		if alone := policy.EvaluateAll(append(sets, policy.Set{Sort: "empty"}), request); alone.Allowed {
			t.Fatal("an empty set allowed something")
		}
	})
	if policy.EvaluateAll(nil, policy.Request{Action: "a:B", Resource: "*"}).Allowed {
		t.Error("no set at all allowed something")
	}
}
