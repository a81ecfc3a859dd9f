package gate_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/clock"
	"github.com/sallyport/sallyport/internal/clock/clocktest"
	"github.com/sallyport/sallyport/internal/fault"
	"github.com/sallyport/sallyport/internal/gate"
	"github.com/sallyport/sallyport/internal/policy"
	"github.com/sallyport/sallyport/internal/trail"
)

const (
	account  = "123456789012"
	instance = "arn:aws:ec2:on-prem-1:123456789012:instance/i-0123456789abcdef0"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// world is the gate's three collaborators in memory.
type world struct {
	principals map[string]gate.Principal
	tags       map[string]map[string]string
	tagsErr    error
	lookups    int
	events     []trail.Event
	trailErr   error
	used       []string
}

func (w *world) Used(_ context.Context, id, source, region string) {
	w.used = append(w.used, id+" "+source+" "+region)
}

func (w *world) Principal(_ context.Context, id string) (gate.Principal, error) {
	p, ok := w.principals[id]
	if !ok {
		return gate.Principal{}, fault.New(fault.NotFound, "access-key", "no key %s", id)
	}
	return p, nil
}

func (w *world) ResourceTags(_ context.Context, arn string) (map[string]string, error) {
	w.lookups++
	return w.tags[arn], w.tagsErr
}

func (w *world) AppendEvent(_ context.Context, e trail.Event) error {
	if w.trailErr != nil {
		return w.trailErr
	}
	for i := range w.events {
		if w.events[i].ID == e.ID {
			w.events[i] = e
			return nil
		}
	}
	w.events = append(w.events, e)
	return nil
}

func (w *world) Events(context.Context, trail.Query) ([]trail.Entry, error) { return nil, nil }

func newWorld(t *testing.T, documents ...string) (*world, *gate.Gate) {
	t.Helper()
	p := gate.Principal{
		Identity: trail.Identity{Type: "IAMUser", PrincipalID: "AIDAX", ARN: "arn:aws:iam::123456789012:user/mina", AccountID: account, AccessKeyID: "AKIAX", UserName: "mina"},
		Secret:   "correct horse",
	}
	for i, text := range documents {
		d, err := policy.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		p.Policies = append(p.Policies, policy.Policy{Name: fmt.Sprint("policy-", i), Document: d})
	}
	w := &world{principals: map[string]gate.Principal{
		"AKIAX":    p,
		"AKIAROOT": {Identity: trail.Identity{Type: "Root", PrincipalID: account, ARN: "arn:aws:iam::123456789012:root"}, Secret: "s", Root: true},
		"AKIAZERO": {},
		"ASIAX":    {Identity: p.Identity, Secret: "s", SessionToken: "token", Issued: clock.Reading{Time: noon.Add(-time.Hour)}, Expires: noon.Add(time.Hour)},
		"ASIAOLD":  {Identity: p.Identity, Secret: "s", SessionToken: "token", Issued: clock.Reading{Time: noon.Add(-time.Hour)}, Expires: noon},
	}}
	return w, gate.New(account, w, w, w, clocktest.Follow(func() time.Time { return noon }), rand.Reader)
}

func login(t *testing.T, g *gate.Gate, id string) gate.Caller {
	t.Helper()
	caller, err := g.Authenticate(context.Background(), gate.Call{}, id, "", func(gate.Secret) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	return caller
}

func push(user string) gate.Call {
	return gate.Call{
		RequestID: "r-1", Source: "ec2-instance-connect.amazonaws.com", Name: "SendSSHPublicKey", Action: "ec2-instance-connect:SendSSHPublicKey",
		Region: "on-prem-1", SourceIP: netip.MustParseAddr("192.0.2.7"), UserAgent: "test",
		Resources: []gate.Resource{{ARN: instance, Type: "AWS::EC2::Instance"}}, Conditions: policy.Keys{"ec2:osuser": {user}},
	}
}

const allowDebian = `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"ec2-instance-connect:SendSSHPublicKey",
	"Resource":"arn:aws:ec2:*:*:instance/*","Condition":{"StringEquals":{"ec2:osuser":"debian"}}}}`

func TestAuthenticateRefuses(t *testing.T) {
	_, g := newWorld(t)
	wrong := errors.New("wrong signature")
	for _, c := range []struct {
		name, key, token string
		verify           error
		resource         string
	}{
		{"an unknown key", "AKIANOBODY", "", nil, "access-key"},
		{"a principal without a secret", "AKIAZERO", "", nil, "access-key"},
		{"a session without its token", "ASIAX", "", nil, "session"},
		{"a session with another token", "ASIAX", "other", nil, "session"},
		{"a long-lived key with a token", "AKIAX", "token", nil, "session"},
		{"a session past its time", "ASIAOLD", "token", nil, "expired-session"},
		{"a wrong signature", "AKIAX", "", wrong, ""},
	} {
		caller, err := g.Authenticate(context.Background(), gate.Call{}, c.key, c.token, func(gate.Secret) error { return c.verify })
		switch {
		case err == nil:
			t.Errorf("%s was let in", c.name)
		case c.verify != nil && !errors.Is(err, c.verify):
			t.Errorf("%s: %v", c.name, err)
		case c.verify == nil && (fault.Of(err).Kind != fault.Unauthenticated || fault.Of(err).Resource != c.resource):
			t.Errorf("%s: %v (%v %s)", c.name, err, fault.Of(err).Kind, fault.Of(err).Resource)
		}
		if _, err := g.Authorize(context.Background(), caller, push("debian")); err == nil {
			t.Errorf("%s: the caller that was returned passes", c.name)
		}
	}
	if _, err := g.Authenticate(context.Background(), gate.Call{}, "ASIAX", "token", func(gate.Secret) error { return nil }); err != nil {
		t.Errorf("a session with its token: %v", err)
	}
}

// Whoever tries a stolen key on operations that are refused before a policy is asked has used it all the same.
func TestUseIsNotedWithTheSignature(t *testing.T) {
	w, g := newWorld(t)
	right := func(gate.Secret) error { return nil }
	for _, attempt := range []struct {
		key    string
		verify func(gate.Secret) error
	}{
		{"AKIAX", right},
		{"AKIAX", func(gate.Secret) error { return errors.New("wrong signature") }},
		{"ASIAOLD", right},
		{"AKIANOBODY", right},
	} {
		_, _ = g.Authenticate(t.Context(), push("debian"), attempt.key, "", attempt.verify) // TestAuthenticateRefuses has the errors
	}
	if want := []string{"AKIAX ec2-instance-connect.amazonaws.com on-prem-1"}; !slices.Equal(w.used, want) {
		t.Errorf("noted are %q", w.used)
	}
}

func TestZeroValuesAreRefused(t *testing.T) {
	_, g := newWorld(t)
	if (gate.Pass{}).Check() == nil {
		t.Error("the zero Pass passes")
	}
	if _, err := g.Authorize(context.Background(), gate.Caller{}, gate.Call{}); !fault.Is(err, fault.Unauthenticated) {
		t.Errorf("the zero Caller: %v", err)
	}
	if _, err := g.AdmitHost(trail.Identity{}, gate.Call{}); err == nil {
		t.Error("nobody is admitted as a host")
	}
	defer func() {
		if recover() == nil {
			t.Error("a gate without a trail was made")
		}
	}()
	gate.New(account, &world{}, &world{}, nil, clocktest.Follow(time.Now), rand.Reader)
}

func TestAuthorize(t *testing.T) {
	w, g := newWorld(t, allowDebian)
	caller := login(t, g, "AKIAX")
	pass, err := g.Authorize(context.Background(), caller, push("debian"))
	if err != nil || pass.Check() != nil {
		t.Fatalf("allowed by policy, yet: %v", err)
	}
	_, err = g.Authorize(context.Background(), caller, push("root"))
	if !fault.Is(err, fault.Denied) || !strings.Contains(fault.Of(err).Message, "no identity-based policy allows the ec2-instance-connect:SendSSHPublicKey action") || !strings.Contains(err.Error(), instance) {
		t.Errorf("the denial does not say why: %v", err)
	}
	if _, err := g.Authorize(context.Background(), login(t, g, "AKIAROOT"), push("root")); err != nil {
		t.Errorf("the root user: %v", err)
	}
	if w.lookups != 0 {
		t.Error("tags were looked up though no policy asks for them")
	}
}

func TestDenialNamesItsStatement(t *testing.T) {
	_, g := newWorld(t, allowDebian, `{"Version":"2012-10-17","Statement":[{"Sid":"NotNow","Effect":"Deny","Action":"*","Resource":"*"}]}`)
	_, err := g.Authorize(context.Background(), login(t, g, "AKIAX"), push("debian"))
	if err == nil || !strings.Contains(err.Error(), "explicit deny") || !strings.Contains(err.Error(), "NotNow") || !strings.Contains(err.Error(), "policy-1") {
		t.Errorf("%v", err)
	}
}

// TestTagsThatCannotBeReadDeny: an error on the way to a condition's value must never count as "the key is
// absent", which a negated operator would take for a match.
func TestTagsThatCannotBeReadDeny(t *testing.T) {
	w, g := newWorld(t, `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"StringNotEquals":{"aws:ResourceTag/Tier":"prod"}}}}`)
	caller := login(t, g, "AKIAX")
	if _, err := g.Authorize(context.Background(), caller, push("x")); err != nil {
		t.Fatalf("untagged: %v", err)
	}
	w.tags = map[string]map[string]string{instance: {"tier": "prod"}}
	if _, err := g.Authorize(context.Background(), caller, push("x")); !fault.Is(err, fault.Denied) {
		t.Errorf("tagged: %v", err)
	}
	w.tags, w.tagsErr = nil, errors.New("the database is away")
	if pass, err := g.Authorize(context.Background(), caller, push("x")); err == nil || pass.Check() == nil {
		t.Errorf("tags unknown: %v", err)
	}
}

// A condition key of the resource's own is asked for when a policy names it; one that cannot be found out denies the call.
func TestConditionKeysOfTheResource(t *testing.T) {
	_, g := newWorld(t, `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*",
		"Condition":{"StringNotEquals":{"ec2:AvailabilityZone":"a"}}}}`)
	caller := login(t, g, "AKIAX")
	for zone, want := range map[string]error{"a": fault.New(fault.Denied, "", ""), "b": nil, "": nil, "unknown": errors.New("away")} {
		call := push("x")
		call.Resources[0].Condition = func(_ context.Context, key string) (string, bool, error) {
			if zone == "unknown" {
				return "", false, want
			}
			return zone, key == "ec2:availabilityzone" && zone != "", nil
		}
		pass, err := g.Authorize(t.Context(), caller, call)
		if (err == nil) != (want == nil) || (err == nil) != (pass.Check() == nil) || fault.Is(err, fault.Denied) != fault.Is(want, fault.Denied) {
			t.Errorf("zone %q: %v", zone, err)
		}
	}
}

// TestTagsThatDifferInCaseOnly: whoever may tag an instance must not get past a condition on "team" by adding a
// second tag "Team". Which of the two was asked once depended on the order of a map.
func TestTagsThatDifferInCaseOnly(t *testing.T) {
	for _, operator := range []string{"StringEquals", "StringNotEquals"} {
		w, g := newWorld(t, `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"`+operator+`":{"aws:ResourceTag/team":"red"}}}}`)
		w.tags = map[string]map[string]string{instance: {"team": "blue", "Team": "red"}}
		caller := login(t, g, "AKIAX")
		for range 20 {
			if _, err := g.Authorize(context.Background(), caller, push("x")); !fault.Is(err, fault.Denied) {
				t.Fatalf("%s: %v", operator, err)
			}
		}
	}
}

func TestOneEventACall(t *testing.T) {
	w, g := newWorld(t, allowDebian)
	ctx := context.Background()
	caller := login(t, g, "AKIAX")
	call := push("debian")

	pass, _ := g.Authorize(ctx, caller, call)
	if err := g.Record(ctx, caller.Identity(), call, pass, nil); err != nil || len(w.events) != 1 {
		t.Fatalf("a call without a mutation: %v, %d events", err, len(w.events))
	}
	pass, _ = g.Authorize(ctx, caller, call)
	w.AppendEvent(ctx, pass.Event(map[string]any{"return": true})) // as a store does, in the mutation's transaction
	g.Record(ctx, caller.Identity(), call, pass, nil)
	if len(w.events) != 2 || w.events[1].Response["return"] != true {
		t.Fatalf("a mutation: %+v", w.events)
	}
	g.Record(ctx, caller.Identity(), call, pass, &gate.Failure{Code: "EC2InstanceUnavailableException", Message: "gone"})
	if len(w.events) != 2 || w.events[1].ErrorCode != "EC2InstanceUnavailableException" {
		t.Fatalf("a mutation that failed afterwards: %+v", w.events)
	}
	g.Record(ctx, caller.Identity(), push("root"), gate.Pass{}, &gate.Failure{Code: "AuthException", Message: "no"})
	e := w.events[2]
	if e.Identity.UserName != "mina" || e.ErrorCode != "AuthException" || e.SourceIP != "192.0.2.7" || len(e.Resources) != 1 || e.Resources[0].Name() != "i-0123456789abcdef0" {
		t.Fatalf("a denied call: %+v", e)
	}
	w.trailErr = errors.New("disk full")
	if err := g.Record(ctx, caller.Identity(), call, gate.Pass{}, nil); err == nil {
		t.Error("a call that could not be recorded succeeded")
	}
}

// Strangers make calls without end: what of them is recorded is bounded, and takes no room from those who are
// somebody.
func TestStrangersAreRecordedAtABoundedRate(t *testing.T) {
	w, _ := newWorld(t)
	now := noon
	g := gate.New(account, w, w, w, clocktest.Follow(func() time.Time { return now }), rand.Reader)
	record := func(kind string, times int) (written int) {
		t.Helper()
		before := len(w.events)
		for range times {
			if err := g.Record(t.Context(), trail.Identity{Type: kind}, gate.Call{Name: "ListUsers"}, gate.Pass{}, &gate.Failure{Code: "x"}); err != nil {
				t.Fatal(err)
			}
		}
		return len(w.events) - before
	}
	if n := record("Unknown", 5000); n != 1000 {
		t.Errorf("%d events of strangers at once", n)
	}
	if n := record("IAMUser", 10); n != 10 {
		t.Errorf("%d events of a user's ten calls", n)
	}
	now = now.Add(2 * time.Second)
	if n := record("Unknown", 100); n != 10 {
		t.Errorf("%d events of strangers two seconds later", n)
	}
}

// A flood of strangers is to hide those who guess at the secret of an access key that exists: guesses have room of their
// own in the trail, for each key, and not without end either.
func TestGuessesDoNotHideBehindStrangers(t *testing.T) {
	w, _ := newWorld(t)
	now := noon
	g := gate.New(account, w, w, w, clocktest.Follow(func() time.Time { return now }), rand.Reader)
	wrong := func(gate.Secret) error { return fault.New(fault.Unauthenticated, "signature", "no") }
	attempt := func(key string) {
		t.Helper()
		call := gate.Call{Name: "ListUsers"}
		caller, err := g.Authenticate(t.Context(), call, key, "", wrong)
		if err == nil || caller.Identity().Type != "" {
			t.Fatal(err)
		}
		if _, err := g.Authorize(t.Context(), caller, call); err == nil {
			t.Fatal("a guess is authorized")
		}
		call.Guessed = caller.Guessed()
		identity := trail.Identity{Type: trail.Unknown, AccessKeyID: key}
		if err := g.Record(t.Context(), identity, call, gate.Pass{}, &gate.Failure{Code: "x"}); err != nil {
			t.Fatal(err)
		}
	}
	count := func(key string) (n int) {
		for _, e := range w.events {
			if e.Identity.AccessKeyID == key {
				n++
			}
		}
		return n
	}
	for range 2000 {
		attempt("AKIASTRANGER")
	}
	for range 300 {
		attempt("AKIAX")
		attempt("ASIAX")
	}
	if s, a, b := count("AKIASTRANGER"), count("AKIAX"), count("ASIAX"); s != 1000 || a != 100 || b != 100 {
		t.Errorf("%d events of strangers, %d and %d of guesses at once", s, a, b)
	}
	now = now.Add(time.Minute)
	for range 20 {
		attempt("AKIAX")
	}
	if n := count("AKIAX"); n != 106 {
		t.Errorf("%d events of guesses a minute later", n)
	}
}

// A user calls as fast as they can: their calls are refused for a while, others' are not. What fails counts for more,
// as it leaves an event and did nothing; what is refused for its number leaves few.
func TestCallRate(t *testing.T) {
	w, _ := newWorld(t)
	now := noon
	g := gate.New(account, w, w, w, clocktest.Follow(func() time.Time { return now }), rand.Reader)
	g.LimitCalls(20)
	right := func(gate.Secret) error { return nil }
	attempt := func(fail bool) bool {
		t.Helper()
		call := gate.Call{Name: "ListUsers", Resources: make([]gate.Resource, 5)}
		caller, err := g.Authenticate(t.Context(), call, "AKIAX", "", right)
		if caller.Identity().UserName == "" || err != nil && !fault.Is(err, fault.Throttled) {
			t.Fatal(err)
		}
		var failure *gate.Failure
		if fail || err != nil {
			failure = &gate.Failure{Code: "x", Throttled: err != nil}
		}
		if err := g.Record(t.Context(), caller.Identity(), call, gate.Pass{}, failure); err != nil {
			t.Fatal(err)
		}
		return err == nil
	}
	allowed := func(times int, fail bool) (n int) {
		for range times {
			if attempt(fail) {
				n++
			}
		}
		return n
	}
	if n := allowed(1000, false); n != 200 {
		t.Errorf("%d calls at once", n)
	}
	if n := len(w.events); n != 200+10 {
		t.Errorf("%d events", n)
	}
	now = now.Add(time.Second)
	if n := allowed(1000, false); n != 20 {
		t.Errorf("%d calls a second later", n)
	}
	now = now.Add(time.Minute)
	if n := allowed(1000, true); n < 15 || n > 20 {
		t.Errorf("%d calls that fail", n)
	}
}

func TestSecretsDoNotPrint(t *testing.T) {
	p := gate.Principal{Secret: "hunter2", SessionToken: "hunter3"}
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "principal", p, "secret", p.Secret)
	for _, text := range []string{fmt.Sprint(p), fmt.Sprintf("%+v %#v %v %s %q", p, p, p.Secret, p.Secret, p.Secret), log.String()} {
		if strings.Contains(text, "hunter") {
			t.Errorf("a secret was printed: %s", text)
		}
	}
}
