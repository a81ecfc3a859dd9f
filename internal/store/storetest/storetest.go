// Package storetest is the conformance suite of the stores: what iam, compute, access and trail rely on, checked
// on whatever implements it. It also starts a private PostgreSQL to run it on.
package storetest

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/internal/access"
	"github.com/sallyport/sallyport/internal/compute"
	"github.com/sallyport/sallyport/internal/fault"
	"github.com/sallyport/sallyport/internal/iam"
	"github.com/sallyport/sallyport/internal/trail"
)

// Store is what the suite runs on. *store.Store is one.
type Store interface {
	iam.Store
	compute.Store
	access.Store
	trail.Store
	PruneEvents(ctx context.Context, before time.Time) error
	Meta(ctx context.Context, key string) (string, error)
	SetMeta(ctx context.Context, key, value string) error
}

// Run runs the suite. open returns an empty store that the test closes.
func Run(t *testing.T, open func(testing.TB) Store) {
	for _, group := range []struct {
		name  string
		tests []test
	}{
		{"Meta", []test{{"Set", meta}}},
		{"IAM", iamTests()},
		{"Compute", computeTests()},
		{"Access", accessTests()},
		{"Trail", trailTests()},
		{"Concurrency", concurrencyTests()},
	} {
		t.Run(group.name, func(t *testing.T) {
			for _, one := range group.tests {
				t.Run(one.name, func(t *testing.T) { one.run(&bench{T: t, Store: open(t), start: epoch}) })
			}
		})
	}
}

type test struct {
	name string
	run  func(*bench)
}

// epoch is when the tests' world begins.
var epoch = time.Date(2026, 11, 22, 2, 2, 10, 0, time.UTC)

// bench is where one test works: the store, and makers of things that are all different.
type bench struct {
	*testing.T
	Store
	start time.Time
	count atomic.Int64
}

func (b *bench) number() int64 { return b.count.Add(1) }

// at is a moment n milliseconds and 1 microsecond after the world's beginning.
func (b *bench) at(n int) time.Time {
	return b.start.Add(time.Duration(n)*time.Millisecond + time.Microsecond)
}

// event is a new event of the name.
func (b *bench) event(name string) trail.Event {
	n := b.number()
	return trail.Event{
		Version:    "1.11",
		Identity:   trail.Identity{Type: "IAMUser", PrincipalID: "AIDAX", ARN: "arn:aws:iam::123456789012:user/mina", AccessKeyID: "AKIAX", UserName: "mina"},
		Time:       b.start.Add(time.Duration(n) * time.Second),
		Source:     "ec2.amazonaws.com",
		Name:       name,
		Region:     "on-prem-1",
		SourceIP:   "192.0.2.7",
		UserAgent:  "storetest",
		Parameters: map[string]any{"number": float64(n), "text": "한국어 <&> \u2028"},
		RequestID:  fmt.Sprintf("request-%d", n),
		ID:         fmt.Sprintf("event-%d", n),
		Type:       trail.AwsAPICall,
		Management: true,
		Category:   "Management",
	}
}

// ok fails the test if err is not nil.
func (b *bench) ok(err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

// fails fails the test unless err is a fault of the kind about the resource with the message, if one is given.
func (b *bench) fails(err error, kind fault.Kind, resource string, message ...string) {
	b.Helper()
	f := fault.Of(err)
	if err == nil || f.Kind != kind || f.Resource != resource {
		b.Fatalf("got %v (%v %q), want a %v fault about %q", err, f.Kind, f.Resource, kind, resource)
	}
	if len(message) > 0 && f.Message != message[0] {
		b.Fatalf("message %q, want %q", f.Message, message[0])
	}
}

// same fails the test unless the two are equal.
func (b *bench) same(got, want any) {
	b.Helper()
	if diff := cmp.Diff(want, got, cmp.Comparer(sameAddress)); diff != "" {
		b.Fatalf("not what was stored (-want +got):\n%s", diff)
	}
}

// recorded fails the test unless the events, and only they, are in the trail by these names, oldest first.
func (b *bench) recorded(names ...string) {
	b.Helper()
	entries, err := b.Events(b.Context(), trail.Query{})
	b.ok(err)
	var got []string
	for i := len(entries) - 1; i >= 0; i-- {
		got = append(got, entries[i].Event.Name)
	}
	b.same(got, names)
}

func meta(b *bench) {
	ctx := b.Context()
	value, err := b.Meta(ctx, "account")
	b.ok(err)
	b.same(value, "")
	b.ok(b.SetMeta(ctx, "account", "123456789012"))
	b.ok(b.SetMeta(ctx, "account", "210987654321"))
	b.ok(b.SetMeta(ctx, "other", "x"))
	value, err = b.Meta(ctx, "account")
	b.ok(err)
	b.same(value, "210987654321")
}
