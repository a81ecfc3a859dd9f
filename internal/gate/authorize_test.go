package gate_test

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/internal/fault"
	"github.com/sallyport/sallyport/internal/gate"
	"github.com/sallyport/sallyport/internal/policy"
)

// denied fails the test unless the call is denied with the words.
func (w *world) denied(call gate.Call, words ...string) {
	w.Helper()
	pass, err := w.ask(call)
	if !fault.Is(err, fault.Denied) || pass.Check() == nil {
		w.Errorf("%s is not denied: %v", call.Name, err)
		return
	}
	for _, text := range words {
		if !strings.Contains(fault.Of(err).Message, text) {
			w.Errorf("the denial does not say %q: %v", text, err)
		}
	}
}

// allowed fails the test unless the call is allowed.
func (w *world) allowed(call gate.Call) {
	w.Helper()
	if pass, err := w.ask(call); err != nil || pass.Check() != nil {
		w.Errorf("%s is not allowed: %v", call.Name, err)
	}
}

func TestAuthorize(t *testing.T) {
	w := newWorld(t, allowDebian)
	w.allowed(push("debian"))
	w.denied(push("root"), instance, "no identity-based policy allows the ec2-instance-connect:SendSSHPublicKey action")
	if _, err := w.Authorize(t.Context(), w.login("AKIAROOT"), push("root")); err != nil {
		t.Errorf("the root user: %v", err)
	}
	if w.lookups != 0 {
		t.Error("tags were looked up though no policy asks for them")
	}
	named := push("root")
	named.Asks[0].Named = "the caller's words"
	w.denied(named, "on resource: the caller's words because")
}

func TestDenialNamesItsStatement(t *testing.T) {
	w := newWorld(t, allowDebian, statement(`"Sid":"NotNow","Effect":"Deny","Action":"*","Resource":"*"`))
	w.denied(push("debian"), "explicit deny in an identity-based policy", "NotNow", "policy-1")
}

// A call without asks is denied, unless it is open to every authenticated caller and has no action.
func TestCallThatAsksNothing(t *testing.T) {
	w := newWorld(t, allowDebian)
	part := []gate.Ask{{ARN: "*"}, {Action: "ec2:CreateTags", ARN: "*"}}
	for name, c := range map[string]struct {
		call    gate.Call
		allowed bool
	}{
		"nothing is asked":              {gate.Call{}, false},
		"open to all":                   {gate.Call{Open: true}, true},
		"open to all, about a resource": {gate.Call{Open: true, Asks: []gate.Ask{{ARN: instance}}}, true},
		"open to all, but for a part":   {gate.Call{Open: true, Asks: part}, false},
		"an action that was forgotten":  {gate.Call{Asks: []gate.Ask{{ARN: instance}}}, false},
	} {
		pass, err := w.ask(c.call)
		if (err == nil) != c.allowed || (pass.Check() == nil) != c.allowed {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// run returns a call to start an instance of the type from an image in a subnet.
func run(instanceType string) gate.Call {
	arn := func(resource string) string { return "arn:aws:ec2:on-prem-1:" + account + ":" + resource }
	return gate.Call{Name: "RunInstances", Asks: []gate.Ask{
		{Action: "ec2:RunInstances", ARN: arn("instance/*"), Keys: policy.Keys{"ec2:instancetype": {instanceType}}},
		{Action: "ec2:RunInstances", ARN: arn("image/ami-1")},
		{Action: "ec2:RunInstances", ARN: arn("subnet/subnet-1")},
	}}
}

// A call has several asks. All must be allowed, and the denial names the one that is not.
func TestEveryAskMustBeAllowed(t *testing.T) {
	allowOn := func(resource string) string {
		return statement(`"Effect":"Allow","Action":"ec2:RunInstances","Resource":"arn:aws:ec2:*:*:` + resource + `"`)
	}
	parts := []string{"instance/*", "image/*", "subnet/*"}
	for i, missing := range parts {
		var documents []string
		for _, part := range slices.Delete(slices.Clone(parts), i, i+1) {
			documents = append(documents, allowOn(part))
		}
		newWorld(t, documents...).denied(run("t3.micro"), "on resource: "+run("").Asks[i].ARN+" because")
		newWorld(t, append(documents, allowOn(missing))...).allowed(run("t3.micro"))
	}
	deny := statement(`"Effect":"Deny","Action":"*","Resource":"arn:aws:ec2:*:*:subnet/*"`)
	newWorld(t, allow(`{}`), deny).denied(run("t3.micro"), "subnet/subnet-1 with an explicit deny")
}

// The instance's type is no condition key of the image: there it is absent, as on AWS.
func TestKeysOfOneAskAreAbsentForOthers(t *testing.T) {
	newWorld(t, allow(`{"StringEquals":{"ec2:InstanceType":"t3.micro"}}`)).denied(run("t3.micro"), "image/ami-1")
	only := newWorld(t, allow(`{"StringEqualsIfExists":{"ec2:InstanceType":"t3.micro"}}`))
	only.allowed(run("t3.micro"))
	only.denied(run("m5.large"), "instance/*")

	// The same holds for tags and for what is looked up.
	w := newWorld(t, allow(`{"StringEquals":{"aws:ResourceTag/team":"red"}}`))
	call := run("t3.micro")
	for i := range call.Asks {
		call.Asks[i].Tags = map[string]string{"team": "red"}
	}
	w.allowed(call)
	call.Asks[1].Tags = map[string]string{}
	w.denied(call, "image/ami-1")
	w = newWorld(t, allow(`{"StringEquals":{"ec2:AvailabilityZone":"a"}}`))
	call.Asks[0].Condition = func(_ context.Context, key string) (string, bool, error) {
		return "a", key == "ec2:availabilityzone", nil
	}
	w.denied(call, "image/ami-1")
}

// A boundary or a session's policies alone allow nothing: a call is allowed if all sets allow it.
func TestSetsIntersect(t *testing.T) {
	everything, nothingElse := allow(`{}`), statement(`"Effect":"Allow","Action":"ec2:Describe*","Resource":"*"`)
	deny := statement(`"Sid":"No","Effect":"Deny","Action":"ec2:RunInstances","Resource":"*"`)
	w := newWorld(t)
	with := func(sets ...policy.Set) {
		p := w.principals["AKIAX"]
		p.Policies = sets
		w.principals["AKIAX"] = p
	}
	identity, boundary := set(t, policy.IdentityBased, everything), set(t, policy.Boundary, everything)
	with(identity, boundary, set(t, policy.Session, everything))
	w.allowed(run("t3.micro"))
	with(identity, boundary, set(t, policy.Session, nothingElse))
	w.denied(run("t3.micro"), "because no session policy allows the ec2:RunInstances action")
	with(identity, set(t, policy.Boundary, nothingElse))
	w.denied(run("t3.micro"), "because no permissions boundary allows the ec2:RunInstances action")
	with(identity, set(t, policy.Boundary, everything, deny))
	w.denied(run("t3.micro"), "with an explicit deny in a permissions boundary: statement No of policy-1")
	with(set(t, policy.IdentityBased, nothingElse), boundary)
	w.denied(run("t3.micro"), "no identity-based policy allows")
	with(set(t, policy.IdentityBased), set(t, policy.Session, everything, deny))
	w.denied(run("t3.micro"), "explicit deny in a session policy: statement No of policy-1")
	with(identity, set(t, policy.Boundary))
	w.denied(run("t3.micro"), "no permissions boundary allows")
	with()
	w.denied(run("t3.micro"), "no identity-based policy allows")
}

// TestTagsThatCannotBeReadDeny checks that an error in looking up a condition's value never counts as an absent key,
// which a negated operator matches.
func TestTagsThatCannotBeReadDeny(t *testing.T) {
	w := newWorld(t, allow(`{"StringNotEquals":{"aws:ResourceTag/Tier":"prod"}}`))
	w.allowed(push("x"))
	w.tags = map[string]map[string]string{instance: {"tier": "prod"}}
	w.denied(push("x"))
	w.tags, w.tagsErr = nil, errors.New("the database is away")
	if pass, err := w.ask(push("x")); !errors.Is(err, w.tagsErr) || pass.Check() == nil {
		t.Errorf("tags unknown: %v", err)
	}
}

// A condition key of the resource is looked up when a policy names it. If that fails, the call is denied, whatever else
// is looked up after it.
func TestConditionKeysOfTheResource(t *testing.T) {
	w := newWorld(t, allow(`{"StringNotEquals":{"ec2:AvailabilityZone":"a"},
		"StringNotLike":{"aws:ResourceTag/Tier":"prod"}}`))
	away := errors.New("away")
	in := func(zone string, err error) gate.Call {
		call := push("x")
		call.Asks[0].Condition = func(_ context.Context, key string) (string, bool, error) {
			return zone, key == "ec2:availabilityzone" && zone != "", err
		}
		return call
	}
	w.denied(in("a", nil))
	w.allowed(in("b", nil))
	w.allowed(in("", nil))
	for range 20 { // a condition's keys are evaluated in the random order of a map
		if pass, err := w.ask(in("", away)); !errors.Is(err, away) || pass.Check() == nil {
			t.Fatalf("a key that could not be found out: %v", err)
		}
	}
}

// A user who may tag an instance must not get past a condition on "team" by adding a second tag "Team". Which of the
// two was used once depended on the order of a map.
func TestTagsThatDifferInCaseOnly(t *testing.T) {
	for _, operator := range []string{"StringEquals", "StringNotEquals"} {
		w := newWorld(t, allow(`{"`+operator+`":{"aws:ResourceTag/team":"red"}}`))
		w.tags = map[string]map[string]string{instance: {"team": "blue", "Team": "red"}}
		for range 20 {
			w.denied(push("x"))
		}
	}
}

// The event names each resource that was asked about once, and leaves out those without a type.
func TestEventNamesWhatWasAskedAbout(t *testing.T) {
	w := newWorld(t, allow(`{}`))
	call := run("t3.micro")
	call.Asks[0].Type, call.Asks[1].Type = "AWS::EC2::Instance", "AWS::EC2::Image"
	call.Asks = append(call.Asks, gate.Ask{Action: "ec2:CreateTags", ARN: call.Asks[0].ARN, Type: "AWS::EC2::Instance"},
		gate.Ask{Action: "ec2:RunInstances", ARN: "*", Type: "AWS::EC2::Volume"})
	pass, err := w.ask(call)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Record(t.Context(), pass.Identity(), call, pass, nil); err != nil {
		t.Fatal(err)
	}
	named := map[string]string{}
	for _, r := range w.events()[0].Resources {
		named[r.ARN] += r.Type
	}
	want := map[string]string{call.Asks[0].ARN: "AWS::EC2::Instance", call.Asks[1].ARN: "AWS::EC2::Image"}
	if !maps.Equal(named, want) {
		t.Errorf("named are %v", named)
	}
}
