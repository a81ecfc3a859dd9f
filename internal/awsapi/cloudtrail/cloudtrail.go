// Package cloudtrail serves LookupEvents from the trail of the request's region, as far back as trail.Retention.
// https://docs.aws.amazon.com/awscloudtrail/latest/APIReference/API_LookupEvents.html
package cloudtrail

import (
	"context"
	"fmt"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail/types"

	"github.com/sallyport/sallyport/internal/awsapi"
	"github.com/sallyport/sallyport/internal/awswire"
	"github.com/sallyport/sallyport/internal/fault"
	"github.com/sallyport/sallyport/internal/gate"
	"github.com/sallyport/sallyport/internal/page"
	"github.com/sallyport/sallyport/internal/trail"
)

const (
	pageSize = 50   // events of a page: both the maximum and the default
	maxValue = 2000 // characters of a lookup attribute's value
)

type api struct {
	trail trail.Log
	now   func() time.Time
}

// New returns the service. It reads the log.
func New(log trail.Log, now func() time.Time) awsapi.Service {
	a := api{trail: log, now: now}
	return awsapi.Service{
		Name:       "cloudtrail",
		Source:     "cloudtrail.amazonaws.com",
		Codec:      awswire.JSON("com.amazonaws.cloudtrail.v20131101.CloudTrail_20131101", "message"),
		Operations: []awsapi.Operation{a.lookupEvents()},
		Error:      errorOf,
	}
}

func (a api) lookupEvents() awsapi.Operation {
	return awsapi.Row[cloudtrail.LookupEventsInput, cloudtrail.LookupEventsOutput]{
		Name:    "LookupEvents",
		Action:  "cloudtrail:LookupEvents",
		Accepts: []string{"LookupAttributes", "StartTime", "EndTime", "MaxResults", "NextToken", "EventCategory"},
		Read: func(
			ctx context.Context, pass gate.Pass, in *cloudtrail.LookupEventsInput,
		) (*cloudtrail.LookupEventsOutput, error) {
			if err := pass.Check(); err != nil {
				return nil, err
			}
			query, err := a.query(pass.Region(), in)
			if err != nil {
				return nil, err
			}
			out := &cloudtrail.LookupEventsOutput{Events: []types.Event{}}
			if in.EventCategory == types.EventCategoryInsight {
				return out, nil // there are none: nothing here detects unusual activity
			}
			size := query.Limit
			query.Limit++ // one more, to know whether there is a next page
			entries, err := a.trail.Events(ctx, query)
			if err != nil {
				return nil, err
			}
			if len(entries) > size {
				entries = entries[:size]
				next := page.Token(bound(pass.Region(), in), entries[size-1].Position)
				out.NextToken = &next
			}
			for _, entry := range entries {
				out.Events = append(out.Events, event(entry))
			}
			return out, nil
		},
	}.Operation()
}

// query returns the trail's query for the request.
func (a api) query(region string, in *cloudtrail.LookupEventsInput) (trail.Query, error) {
	q := trail.Query{Region: region, From: a.now().Add(-trail.Retention), Limit: pageSize}
	if in.EventCategory != "" && in.EventCategory != types.EventCategoryInsight {
		return q, fault.New(fault.Invalid, fault.EventCategory,
			"%q is not an event category: there is only insight. Leave EventCategory out to get management events.",
			in.EventCategory)
	}
	if len(in.LookupAttributes) > 1 {
		return q, fault.New(fault.Invalid, fault.LookupAttribute,
			"You can only specify one lookup attribute; %d were given.", len(in.LookupAttributes))
	}
	for _, attribute := range in.LookupAttributes {
		if !slices.Contains(attribute.AttributeKey.Values(), attribute.AttributeKey) {
			return q, fault.New(fault.Invalid, fault.LookupAttribute,
				"%q is not an attribute to look events up by: those are %s.",
				attribute.AttributeKey, attribute.AttributeKey.Values())
		}
		if attribute.AttributeValue == nil || *attribute.AttributeValue == "" {
			return q, fault.New(fault.Invalid, fault.LookupAttribute,
				"The lookup attribute %s needs a value.", attribute.AttributeKey)
		}
		if n := utf8.RuneCountInString(*attribute.AttributeValue); n > maxValue {
			return q, fault.New(fault.Invalid, fault.LookupAttribute,
				"The value of the lookup attribute %s has %d characters; it may have %d.", attribute.AttributeKey, n, maxValue)
		}
		q.Attribute, q.Value = string(attribute.AttributeKey), *attribute.AttributeValue
	}
	if in.StartTime != nil && in.StartTime.After(q.From) {
		q.From = *in.StartTime
	}
	if in.EndTime != nil {
		// The range includes its end, and the times of events are whole seconds.
		q.To = in.EndTime.Truncate(time.Second).Add(time.Second)
	}
	if in.StartTime != nil && in.EndTime != nil && in.StartTime.After(*in.EndTime) {
		return q, fault.New(fault.Invalid, fault.TimeRange, "The start time %s is after the end time %s.",
			in.StartTime.UTC().Format(time.RFC3339), in.EndTime.UTC().Format(time.RFC3339))
	}
	if in.MaxResults != nil {
		if *in.MaxResults < 1 || *in.MaxResults > pageSize {
			return q, fault.New(fault.Invalid, fault.PageSize,
				"MaxResults is %d; it must be from 1 to %d.", *in.MaxResults, pageSize)
		}
		q.Limit = int(*in.MaxResults)
	}
	if in.NextToken != nil {
		if *in.NextToken == "" {
			return q, fault.New(fault.Invalid, fault.PageToken, "NextToken is empty. Leave it out for the first page.")
		}
		if err := page.Position(*in.NextToken, bound(region, in), &q.Before); err != nil {
			return q, err
		}
	}
	return q, nil
}

// bound returns what a page token is bound to.
func bound(region string, in *cloudtrail.LookupEventsInput) any {
	return []any{"events", region, in.LookupAttributes, in.StartTime, in.EndTime}
}

func event(entry trail.Entry) types.Event {
	e := entry.Event
	username, readOnly := e.Identity.Username(), fmt.Sprint(e.ReadOnly)
	out := types.Event{
		EventId: &e.ID, EventName: &e.Name, EventSource: &e.Source, EventTime: &e.Time, ReadOnly: &readOnly,
		CloudTrailEvent: &entry.Record, Resources: []types.Resource{},
	}
	if username != "" {
		out.Username = &username
	}
	if e.Identity.AccessKeyID != "" {
		out.AccessKeyId = &e.Identity.AccessKeyID
	}
	for _, r := range e.Resources {
		name := r.Name()
		out.Resources = append(out.Resources, types.Resource{ResourceName: &name, ResourceType: &r.Type})
	}
	return out
}
