package storetest

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"pgregory.net/rapid"

	"github.com/sallyport/sallyport/internal/fault"
	"github.com/sallyport/sallyport/internal/trail"
)

func trailTests() []test {
	return []test{
		{"AppendEvent", appendEvent},
		{"ReplaceAfterMutation", replaceAfterMutation},
		{"HostileText", hostileText},
		{"UnknownAttribute", unknownAttribute},
		{"PruneEvents", pruneEvents},
		{"Lookup", lookup},
	}
}

func appendEvent(b *bench) {
	ctx := b.Context()
	e := b.event("RunInstances")
	e.Response = map[string]any{"nested": map[string]any{"list": []any{"a", float64(1), true, nil}}}
	e.ServiceDetails = map[string]any{"bytes": float64(7)}
	e.Resources = []trail.Resource{{ARN: "arn:aws:ec2:on-prem-1:1:instance/i-1", AccountID: "1", Type: "AWS::EC2::Instance"}}
	b.ok(b.AppendEvent(ctx, e))
	entries, err := b.Events(ctx, trail.Query{})
	b.ok(err)
	b.same(len(entries), 1)
	b.same(entries[0].Event, e)
	record, err := e.Record()
	b.ok(err)
	b.same(entries[0].Record, string(record))
	b.same(entries[0].Position.Time, e.Time)

	// Appending again changes nothing …
	again := e
	again.Name = "Other"
	b.ok(b.AppendEvent(ctx, again))
	b.recorded("RunInstances")
	// … unless the call failed after all, and only the first failure counts.
	failed := e
	failed.ErrorCode, failed.ErrorMessage, failed.Response = "Unavailable", "gone", nil
	failed.Resources = []trail.Resource{{ARN: "arn:aws:ec2:on-prem-1:1:instance/i-2", Type: "AWS::EC2::Instance"}}
	b.ok(b.AppendEvent(ctx, failed))
	worse := failed
	worse.ErrorCode = "Worse"
	b.ok(b.AppendEvent(ctx, worse))
	b.ok(b.AppendEvent(ctx, e))
	entries, err = b.Events(ctx, trail.Query{})
	b.ok(err)
	b.same(len(entries), 1)
	b.same(entries[0].Event, failed)
	for name, want := range map[string]int{"i-1": 0, "i-2": 1} {
		entries, err := b.Events(ctx, trail.Query{Attribute: "ResourceName", Value: name})
		b.ok(err)
		b.same(len(entries), want)
	}
}

func replaceAfterMutation(b *bench) {
	ctx := b.Context()
	i := b.enroll("on-prem-1")
	g, e := b.grant(i.ID, b.at(0)), b.event("SendSSHPublicKey")
	b.ok(b.PutGrant(ctx, g, e))
	b.ok(b.WithdrawGrant(ctx, g.RequestID))
	e.ErrorCode = "EC2InstanceUnavailableException"
	b.ok(b.AppendEvent(ctx, e))
	entries, err := b.Events(ctx, trail.Query{Attribute: "EventId", Value: e.ID})
	b.ok(err)
	b.same(len(entries), 1)
	b.same(entries[0].Event.ErrorCode, e.ErrorCode)
}

// hostileText: an event can always be written, whatever an unauthenticated caller puts into a request.
func hostileText(b *bench) {
	ctx := b.Context()
	e := b.event("Bad\x00Name\xff")
	e.Identity = trail.Identity{Type: "Unknown", AccessKeyID: "AKIA\x00\xc3\x28", PrincipalID: "'; DROP TABLE trail; --"}
	e.Source, e.Region, e.ErrorCode = "\x00", "\xff", "\x00"
	e.Resources = []trail.Resource{{ARN: "arn:\x00/\xfe", Type: "\x00"}, {}, {}}
	e.Parameters = map[string]any{"k\x00": "v\x00\xff"}
	b.ok(b.AppendEvent(ctx, e))
	for attribute, value := range map[string]string{"Username": e.Identity.PrincipalID, "EventName": e.Name, "AccessKeyId": e.Identity.AccessKeyID} {
		entries, err := b.Events(ctx, trail.Query{Attribute: attribute, Value: value})
		b.ok(err)
		b.same(len(entries), 1)
	}
}

func unknownAttribute(b *bench) {
	for _, q := range []trail.Query{{Attribute: "Colour", Value: "red"}, {Attribute: "ReadOnly", Value: "maybe"}} {
		_, err := b.Events(b.Context(), q)
		b.fails(err, fault.Invalid, "lookup-attribute")
	}
}

func pruneEvents(b *bench) {
	ctx := b.Context()
	var at time.Time
	for n := range 5 {
		e := b.event(fmt.Sprint("e", n))
		e.Resources = []trail.Resource{{ARN: "arn:x/same", Type: "T"}, {ARN: "arn:x/other", Type: "T"}}
		b.ok(b.AppendEvent(ctx, e))
		if n == 2 {
			at = e.Time
		}
	}
	b.ok(b.PruneEvents(ctx, at))
	b.recorded("e2", "e3", "e4")
	entries, err := b.Events(ctx, trail.Query{Attribute: "ResourceType", Value: "T"})
	b.ok(err)
	b.same(len(entries), 3)
	b.ok(b.PruneEvents(ctx, at))
	b.recorded("e2", "e3", "e4")
}

// lookup compares the store with a list in memory, on random events and queries.
func lookup(b *bench) {
	ctx := b.Context()
	rapid.Check(b.T, func(t *rapid.T) {
		b.ok(b.PruneEvents(ctx, b.start.Add(time.Hour*24*365))) // begin anew
		var model []trail.Event                                 // in the order of the trail, oldest first
		for range rapid.IntRange(1, 25).Draw(t, "events") {
			e := drawEvent(t, b)
			b.ok(b.AppendEvent(ctx, e))
			model = modelAppend(model, e)
		}
		slices.SortStableFunc(model, func(a, b trail.Event) int { return a.Time.Compare(b.Time) })
		for range rapid.IntRange(1, 5).Draw(t, "queries") {
			q := drawQuery(t, b, model)
			want := modelLookup(model, q)
			got := pages(t, b, q)
			if !slices.Equal(got, want) {
				t.Fatalf("query %+v\ngot  %v\nwant %v", q, got, want)
			}
		}
	})
}

func drawEvent(t *rapid.T, b *bench) trail.Event {
	pick := func(label string, values ...string) string { return rapid.SampledFrom(values).Draw(t, label) }
	e := trail.Event{
		ID:        fmt.Sprint("id", rapid.IntRange(0, 30).Draw(t, "id")),
		Time:      b.start.Add(time.Duration(rapid.IntRange(0, 3).Draw(t, "time")) * time.Second),
		Name:      pick("name", "A", "B", "a"),
		Source:    pick("source", "ec2", "iam"),
		Region:    pick("region", "r1", "r2"),
		ErrorCode: pick("error", "", "", "Denied"),
		ReadOnly:  rapid.Bool().Draw(t, "read-only"),
		Identity:  trail.Identity{UserName: pick("user", "", "mina", "Mina"), AccessKeyID: pick("key", "", "K1", "K2")},
	}
	for range rapid.IntRange(0, 3).Draw(t, "resources") {
		e.Resources = append(e.Resources, trail.Resource{ARN: "arn:x/" + pick("resource", "one", "two", ""), Type: pick("type", "T", "U", "")})
	}
	return e
}

func drawQuery(t *rapid.T, b *bench, model []trail.Event) trail.Query {
	q := trail.Query{
		Attribute: rapid.SampledFrom([]string{"", "EventId", "EventName", "ReadOnly", "Username", "ResourceType", "ResourceName", "EventSource", "AccessKeyId"}).Draw(t, "attribute"),
		Region:    rapid.SampledFrom([]string{"", "r1"}).Draw(t, "region"),
		Limit:     rapid.IntRange(1, 7).Draw(t, "limit"),
	}
	if q.Attribute != "" {
		values := attributes(rapid.SampledFrom(model).Draw(t, "like"), q.Attribute)
		q.Value = rapid.SampledFrom(append(values, "true")).Draw(t, "value")
	}
	if rapid.Bool().Draw(t, "bounded") {
		q.From = b.start.Add(time.Duration(rapid.IntRange(0, 3).Draw(t, "from")) * time.Second)
		q.To = b.start.Add(time.Duration(rapid.IntRange(0, 4).Draw(t, "to")) * time.Second)
	}
	return q
}

// pages reads all pages of the query and returns the events' ids.
func pages(t *rapid.T, b *bench, q trail.Query) (ids []string) {
	for {
		page, err := b.Events(b.Context(), q)
		if err != nil {
			t.Fatalf("%+v: %v", q, err)
		}
		if len(page) > q.Limit {
			t.Fatalf("a page of %d, the limit is %d", len(page), q.Limit)
		}
		for _, entry := range page {
			ids = append(ids, entry.Event.ID+entry.Event.ErrorCode)
		}
		if len(page) < q.Limit {
			return ids
		}
		q.Before = page[len(page)-1].Position
	}
}

func modelAppend(model []trail.Event, e trail.Event) []trail.Event {
	for i, old := range model {
		if old.ID == e.ID {
			if old.ErrorCode == "" && e.ErrorCode != "" {
				e.Time = old.Time // it keeps its place
				model[i] = e
			}
			return model
		}
	}
	return append(model, e)
}

func modelLookup(model []trail.Event, q trail.Query) (ids []string) {
	for _, e := range slices.Backward(model) {
		if q.Attribute != "" && !slices.Contains(attributes(e, q.Attribute), q.Value) {
			continue
		}
		if e.Region == cmp.Or(q.Region, e.Region) && !e.Time.Before(q.From) && (q.To.IsZero() || e.Time.Before(q.To)) {
			ids = append(ids, e.ID+e.ErrorCode)
		}
	}
	return ids
}

// attributes are the event's values of the lookup attribute.
func attributes(e trail.Event, attribute string) (values []string) {
	switch attribute {
	case "EventId":
		return []string{e.ID}
	case "EventName":
		return []string{e.Name}
	case "EventSource":
		return []string{e.Source}
	case "Username":
		return []string{e.Identity.Username()}
	case "AccessKeyId":
		return []string{e.Identity.AccessKeyID}
	case "ReadOnly":
		return []string{fmt.Sprint(e.ReadOnly)}
	}
	for _, r := range e.Resources {
		if attribute == "ResourceType" {
			values = append(values, r.Type)
		} else {
			values = append(values, r.Name())
		}
	}
	return values
}
