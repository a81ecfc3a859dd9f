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
	"github.com/sallyport/sallyport/internal/db"
	"github.com/sallyport/sallyport/internal/db/dbtest"
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

// world is the gate's principals and tags in memory, and the trail in a database of the test's own.
type world struct {
	*testing.T
	*gate.Gate
	writer     *db.Writer
	machine    *clocktest.Machine
	principals map[string]gate.Principal
	tags       map[string]map[string]string
	tagsErr    error
	lookups    int
	used       []string
}

func (w *world) Used(_ context.Context, id, source, region string) {
	w.used = append(w.used, id+" "+source+" "+region)
}

func (w *world) Principal(_ context.Context, id string) (gate.Principal, error) {
	p, ok := w.principals[id]
	if !ok {
		return gate.Principal{}, fault.New(fault.NotFound, fault.AccessKey, "no key %s", id)
	}
	return p, nil
}

func (w *world) ResourceTags(_ context.Context, arn string) (map[string]string, error) {
	w.lookups++
	return w.tags[arn], w.tagsErr
}

// newWorld returns a world on SQLite in which the user mina has the policies.
func newWorld(t *testing.T, documents ...string) *world {
	return newWorldOn(t, dbtest.SQLite(t), documents...)
}

func newWorldOn(t *testing.T, writer *db.Writer, documents ...string) *world {
	t.Helper()
	p := gate.Principal{
		Identity: trail.Identity{
			Type: trail.IAMUser, PrincipalID: "AIDAX", ARN: "arn:aws:iam::123456789012:user/mina", AccountID: account,
			AccessKeyID: "AKIAX", UserName: "mina",
		},
		Secret:   "correct horse",
		Policies: []policy.Set{set(t, policy.IdentityBased, documents...)},
	}
	root := trail.Identity{Type: trail.Root, PrincipalID: account, ARN: "arn:aws:iam::123456789012:root"}
	session := gate.Principal{
		Identity: p.Identity, Secret: "s", SessionToken: "token",
		Issued: clock.Reading{Time: noon.Add(-time.Hour)}, Expires: noon.Add(time.Hour),
	}
	old := session
	old.Expires = noon
	w := &world{T: t, writer: writer, machine: clocktest.New(noon), principals: map[string]gate.Principal{
		"AKIAX": p, "AKIAROOT": {Identity: root, Secret: "s", Root: true}, "AKIAZERO": {}, "ASIAX": session, "ASIAOLD": old,
	}}
	w.Gate = gate.New(account, w, w, writer, w.machine.Tick, rand.Reader)
	return w
}

// set returns the policies as a set of the sort.
func set(t *testing.T, sort policy.Sort, documents ...string) policy.Set {
	t.Helper()
	s := policy.Set{Sort: sort}
	for i, text := range documents {
		d, err := policy.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		s.Policies = append(s.Policies, policy.Policy{Name: fmt.Sprint("policy-", i), Document: d})
	}
	return s
}

// events returns the trail's events, oldest first.
func (w *world) events() (events []trail.Event) {
	w.Helper()
	entries, err := trail.NewLog(w.writer.DB).Events(w.Context(), trail.Query{})
	if err != nil {
		w.Fatal(err)
	}
	for _, entry := range slices.Backward(entries) {
		events = append(events, entry.Event)
	}
	return events
}

// login returns the key's owner as an authenticated caller.
func (w *world) login(id string) gate.Caller {
	w.Helper()
	caller, err := w.Authenticate(w.Context(), gate.Call{}, id, "", func(gate.Secret) error { return nil })
	if err != nil {
		w.Fatal(err)
	}
	return caller
}

// ask asks whether mina may make the call.
func (w *world) ask(call gate.Call) (gate.Pass, error) {
	w.Helper()
	return w.Authorize(w.Context(), w.login("AKIAX"), call)
}

// push returns a call to push a key for the OS user.
func push(user string) gate.Call {
	return gate.Call{
		RequestID: "r-1", Source: "ec2-instance-connect.amazonaws.com", Name: "SendSSHPublicKey", Region: "on-prem-1",
		SourceIP: netip.MustParseAddr("192.0.2.7"), UserAgent: "test",
		Asks: []gate.Ask{{
			Action: "ec2-instance-connect:SendSSHPublicKey", ARN: instance, Type: "AWS::EC2::Instance",
			Keys: policy.Keys{"ec2:osuser": {user}},
		}},
	}
}

// statement returns a policy with one statement.
func statement(text string) string { return `{"Version":"2012-10-17","Statement":{` + text + `}}` }

// allow returns a policy that allows everything under the condition.
func allow(condition string) string {
	return statement(`"Effect":"Allow","Action":"*","Resource":"*","Condition":` + condition)
}

const allowDebian = `{"Version":"2012-10-17","Statement":{
	"Effect":"Allow","Action":"ec2-instance-connect:SendSSHPublicKey",
	"Resource":"arn:aws:ec2:*:*:instance/*","Condition":{"StringEquals":{"ec2:osuser":"debian"}}}}`

func TestAuthenticateRefuses(t *testing.T) {
	w := newWorld(t)
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
		caller, err := w.Authenticate(t.Context(), gate.Call{}, c.key, c.token, func(gate.Secret) error { return c.verify })
		switch {
		case err == nil:
			t.Errorf("%s was let in", c.name)
		case c.verify != nil && !errors.Is(err, c.verify):
			t.Errorf("%s: %v", c.name, err)
		case c.verify == nil && (fault.Of(err).Kind != fault.Unauthenticated || fault.Of(err).Subject.String() != c.resource):
			t.Errorf("%s: %v (%v %s)", c.name, err, fault.Of(err).Kind, fault.Of(err).Subject.String())
		}
		if _, err := w.Authorize(t.Context(), caller, push("debian")); err == nil {
			t.Errorf("%s: the caller that was returned passes", c.name)
		}
	}
	right := func(gate.Secret) error { return nil }
	if _, err := w.Authenticate(t.Context(), gate.Call{}, "ASIAX", "token", right); err != nil {
		t.Errorf("a session with its token: %v", err)
	}
}

// A stolen key is tried on operations that are refused before a policy is asked. That is a use of the key all the same.
func TestUseIsNotedWithTheSignature(t *testing.T) {
	w := newWorld(t)
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
		// TestAuthenticateRefuses has the errors.
		_, _ = w.Authenticate(t.Context(), push("debian"), attempt.key, "", attempt.verify)
	}
	if want := []string{"AKIAX ec2-instance-connect.amazonaws.com on-prem-1"}; !slices.Equal(w.used, want) {
		t.Errorf("noted are %q", w.used)
	}
}

func TestZeroValuesAreRefused(t *testing.T) {
	w := newWorld(t)
	var none *gate.Tx
	for _, err := range []error{
		(gate.Pass{}).Check(), none.Check(), (&gate.Tx{}).Check(), (&gate.Tx{Tx: &db.Tx{}}).Check(),
		w.Write(t.Context(), gate.Pass{}, func(*gate.Tx) error { t.Error("a write began without a Pass"); return nil }),
	} {
		if !errors.Is(err, gate.ErrNoPass) {
			t.Errorf("a zero Pass or Tx: %v", err)
		}
	}
	if _, err := w.Authorize(t.Context(), gate.Caller{}, gate.Call{}); !fault.Is(err, fault.Unauthenticated) {
		t.Errorf("the zero Caller: %v", err)
	}
	if _, err := w.AdmitHost(trail.Identity{}, gate.Call{}); err == nil {
		t.Error("nobody is admitted as a host")
	}
	defer func() {
		if recover() == nil {
			t.Error("a gate without a trail was made")
		}
	}()
	gate.New(account, &world{}, &world{}, nil, clocktest.Follow(time.Now), rand.Reader)
}

func TestSecretsDoNotPrint(t *testing.T) {
	p := gate.Principal{Secret: "hunter2", SessionToken: "hunter3"}
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "principal", p, "secret", p.Secret)
	printed := fmt.Sprintf("%+v %#v %v %s %q", p, p, p.Secret, p.Secret, p.Secret)
	for _, text := range []string{fmt.Sprint(p), printed, log.String()} {
		if strings.Contains(text, "hunter") {
			t.Errorf("a secret was printed: %s", text)
		}
	}
}
