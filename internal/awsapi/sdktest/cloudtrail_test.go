package sdktest

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awscloudtrail "github.com/aws/aws-sdk-go-v2/service/cloudtrail"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail/types"
	awsec2 "github.com/aws/aws-sdk-go-v2/service/ec2"
	awseic "github.com/aws/aws-sdk-go-v2/service/ec2instanceconnect"
)

// by returns the attribute by which events are looked up.
func by(key types.LookupAttributeKey, value string) []types.LookupAttribute {
	return []types.LookupAttribute{{AttributeKey: key, AttributeValue: &value}}
}

func TestLookupEvents(t *testing.T) {
	w := newWorld(t)
	id := w.enroll(nil)
	alice := w.user("alice", allow("ec2-instance-connect:*", "*", ""))
	pushed, err := eicClient(alice).SendSSHPublicKey(t.Context(), &awseic.SendSSHPublicKeyInput{
		InstanceId: &id, InstanceOSUser: aws.String("admin"), SSHPublicKey: aws.String(publicKey()),
	})
	if err != nil {
		t.Fatal(err)
	}
	_, err = ec2Client(alice).DescribeInstances(t.Context(), &awsec2.DescribeInstancesInput{})
	refused(t, err, 403, "UnauthorizedOperation")
	client := trailClient(w.root())
	lookup := func(key types.LookupAttributeKey, value string) []types.Event {
		t.Helper()
		out, err := client.LookupEvents(t.Context(), &awscloudtrail.LookupEventsInput{LookupAttributes: by(key, value)})
		if err != nil {
			t.Fatalf("%s: %v", key, err)
		}
		return out.Events
	}
	push := lookup(types.LookupAttributeKeyEventName, "SendSSHPublicKey")[0]
	var record struct {
		RequestID    string `json:"requestID"`
		UserIdentity struct{ UserName string }
	}
	err = json.Unmarshal([]byte(*push.CloudTrailEvent), &record)
	if err != nil || record.RequestID != *pushed.RequestId || record.UserIdentity.UserName != "alice" {
		t.Errorf("the record is %s, %v", *push.CloudTrailEvent, err)
	}
	if r := push.Resources[0]; *r.ResourceName != id || *r.ResourceType != "AWS::EC2::Instance" {
		t.Errorf("the resource is %+v", r)
	}
	if *push.Username != "alice" || *push.ReadOnly != "false" || !strings.HasPrefix(*push.AccessKeyId, "AKIA") {
		t.Errorf("the event is %+v", push)
	}
	for key, value := range map[types.LookupAttributeKey]string{
		types.LookupAttributeKeyEventId:      *push.EventId,
		types.LookupAttributeKeyEventSource:  "ec2-instance-connect.amazonaws.com",
		types.LookupAttributeKeyUsername:     "alice",
		types.LookupAttributeKeyResourceName: id,
		types.LookupAttributeKeyResourceType: "AWS::EC2::Instance",
		types.LookupAttributeKeyReadOnly:     "false",
		types.LookupAttributeKeyAccessKeyId:  *push.AccessKeyId,
	} {
		if !slices.ContainsFunc(lookup(key, value), func(e types.Event) bool { return *e.EventId == *push.EventId }) {
			t.Errorf("not found by %s %s", key, value)
		}
	}
	denied := lookup(types.LookupAttributeKeyUsername, "alice")[0] // the newest
	const code = `"errorCode":"Client.UnauthorizedOperation"`
	if *denied.EventName != "DescribeInstances" || !strings.Contains(*denied.CloudTrailEvent, code) {
		t.Errorf("the denial is %+v", denied)
	}
	if events := lookup(types.LookupAttributeKeyUsername, "nobody"); len(events) != 0 {
		t.Errorf("found %v", events)
	}
}

func TestLookupEventsPagesAndTimes(t *testing.T) {
	w := newWorld(t)
	w.enroll(nil)
	client := trailClient(w.root())
	for range 7 {
		if _, err := ec2Client(w.root()).DescribeRegions(t.Context(), &awsec2.DescribeRegionsInput{}); err != nil {
			t.Fatal(err)
		}
	}
	attributes := by(types.LookupAttributeKeyEventName, "DescribeRegions")
	pages := awscloudtrail.NewLookupEventsPaginator(client, &awscloudtrail.LookupEventsInput{
		LookupAttributes: attributes, MaxResults: aws.Int32(3),
	})
	seen := map[string]bool{}
	count := 0
	for ; pages.HasMorePages(); count++ {
		page, err := pages.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range page.Events {
			seen[*e.EventId] = true
		}
	}
	if len(seen) != 7 || count != 3 {
		t.Errorf("%d pages gave %d events of 7", count, len(seen))
	}
	now := time.Now()
	between := func(from, to time.Time) int {
		out, err := client.LookupEvents(t.Context(), &awscloudtrail.LookupEventsInput{
			LookupAttributes: attributes, StartTime: &from, EndTime: &to,
		})
		if err != nil {
			t.Fatal(err)
		}
		return len(out.Events)
	}
	if n := between(now.Add(-time.Hour), now.Add(time.Minute)); n != 7 {
		t.Errorf("%d within the hour", n)
	}
	if n := between(now.Add(-2*time.Hour), now.Add(-time.Hour)); n != 0 {
		t.Errorf("%d in the hour before", n)
	}
	last := w.last().Time
	if n := between(last.Add(-time.Hour), last); n != 7 {
		t.Errorf("%d up to and including the last", n)
	}
}

func TestLookupEventsErrors(t *testing.T) {
	w := newWorld(t)
	w.enroll(nil)
	client := trailClient(w.root())
	type input = awscloudtrail.LookupEventsInput
	named := func(name string) input { return input{LookupAttributes: by(types.LookupAttributeKeyEventName, name)} }
	one := named("EnrollHost")
	one.MaxResults = aws.Int32(1)
	first, err := client.LookupEvents(t.Context(), &one)
	if err != nil || first.NextToken == nil {
		t.Fatal(first, err)
	}
	for _, in := range []input{{EventCategory: types.EventCategoryInsight}, named(strings.Repeat("é", 2000))} {
		if out, err := client.LookupEvents(t.Context(), &in); err != nil || len(out.Events) != 0 || out.NextToken != nil {
			t.Errorf("%+v gives %+v, %v", in, out, err)
		}
	}
	const attributes, times = "InvalidLookupAttributesException", "InvalidTimeRangeException"
	now := time.Now()
	for name, test := range map[string]struct {
		in   input
		code string
	}{
		"two attributes":  {input{LookupAttributes: slices.Repeat(one.LookupAttributes, 2)}, attributes},
		"unknown":         {input{LookupAttributes: by("Colour", "red")}, attributes},
		"empty value":     {named(""), attributes},
		"0":               {input{MaxResults: aws.Int32(0)}, "InvalidMaxResultsException"},
		"51":              {input{MaxResults: aws.Int32(51)}, "InvalidMaxResultsException"},
		"token":           {input{NextToken: aws.String("x")}, "InvalidNextTokenException"},
		"token elsewhere": {input{NextToken: first.NextToken}, "InvalidNextTokenException"},
		"other category":  {input{EventCategory: "Insight"}, "InvalidEventCategoryException"},
		"long value":      {named(strings.Repeat("é", 2001)), attributes},
		"time":            {input{StartTime: aws.Time(now), EndTime: aws.Time(now.Add(-time.Hour))}, times},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := client.LookupEvents(t.Context(), &test.in)
			refused(t, err, 400, test.code)
		})
	}
	_, err = trailClient(w.user("bob", "")).LookupEvents(t.Context(), &input{})
	refused(t, err, 400, "AccessDeniedException")
}
