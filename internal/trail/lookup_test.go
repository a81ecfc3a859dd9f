package trail

import (
	"cmp"
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestLookup compares the trail with a list in memory, on random events and queries.
func TestLookup(t *testing.T) {
	each(t, func(b book) {
		rapid.Check(b.T, func(t *rapid.T) {
			b.prune(epoch.Add(time.Hour)) // begin anew
			var model []Event
			for range rapid.IntRange(1, 25).Draw(t, "events") {
				e := drawEvent(t)
				replace := e.ErrorCode != "" && rapid.Bool().Draw(t, "replace")
				if replace {
					b.write(Replace, e)
				} else {
					b.append(e)
				}
				model = modelWrite(model, e, replace)
			}
			slices.SortFunc(model, func(a, b Event) int { return cmp.Or(a.Time.Compare(b.Time), cmp.Compare(a.ID, b.ID)) })
			for range rapid.IntRange(1, 5).Draw(t, "queries") {
				q := drawQuery(t, model)
				want := modelLookup(model, q)
				if got := pages(t, b, q); !slices.Equal(got, want) {
					t.Fatalf("query %+v\ngot  %v\nwant %v", q, got, want)
				}
			}
		})
	})
}

func drawTime(t *rapid.T, label string, most int) time.Time {
	return epoch.Add(time.Duration(rapid.IntRange(0, most).Draw(t, label)) * 400 * time.Millisecond)
}

func drawEvent(t *rapid.T) Event {
	pick := func(label string, values ...string) string { return rapid.SampledFrom(values).Draw(t, label) }
	e := Event{
		ID:        fmt.Sprint("id", rapid.IntRange(0, 30).Draw(t, "id")),
		Time:      drawTime(t, "time", 3),
		Name:      pick("name", "A", "B", "a"),
		Source:    pick("source", "ec2", "iam"),
		Region:    pick("region", "r1", "r2"),
		ErrorCode: pick("error", "", "", "Denied"),
		ReadOnly:  rapid.Bool().Draw(t, "read-only"),
		Identity:  Identity{UserName: pick("user", "", "mina", "Mina"), AccessKeyID: pick("key", "", "K1", "K2")},
	}
	for range rapid.IntRange(0, 3).Draw(t, "resources") {
		e.Resources = append(e.Resources,
			Resource{ARN: "arn:x/" + pick("resource", "one", "two", ""), Type: pick("type", "T", "U", "")})
	}
	return e
}

func drawQuery(t *rapid.T, model []Event) Query {
	q := Query{
		Attribute: rapid.SampledFrom([]string{
			"", "EventId", "EventName", "ReadOnly", "Username", "ResourceType", "ResourceName", "EventSource", "AccessKeyId",
		}).Draw(t, "attribute"),
		Region: rapid.SampledFrom([]string{"", "r1"}).Draw(t, "region"),
		Limit:  rapid.IntRange(1, 7).Draw(t, "limit"),
	}
	if q.Attribute != "" {
		values := attributes(rapid.SampledFrom(model).Draw(t, "like"), q.Attribute)
		q.Value = rapid.SampledFrom(append(values, "true")).Draw(t, "value")
	}
	if rapid.Bool().Draw(t, "bounded") {
		q.From, q.To = drawTime(t, "from", 3), drawTime(t, "to", 4)
	}
	return q
}

// pages reads all pages of the query and returns the events' ids.
func pages(t *rapid.T, b book, q Query) (ids []string) {
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

func modelWrite(model []Event, e Event, replace bool) []Event {
	for i, old := range model {
		if old.ID == e.ID {
			if replace && old.ErrorCode == "" {
				e.Time = old.Time // it keeps its place
				model[i] = e
			}
			return model
		}
	}
	return append(model, e)
}

func modelLookup(model []Event, q Query) (ids []string) {
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

// attributes returns the event's values of the lookup attribute.
func attributes(e Event, attribute string) (values []string) {
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
