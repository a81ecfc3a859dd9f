package trail

import (
	"encoding/json"
	"strings"
	"testing"
)

// A user without permissions sends policy documents of a megabyte with user agents of sixty kilobytes. Each call is
// denied and leaves an event, which must not take much of the disk.
func TestRecordHasABound(t *testing.T) {
	loud := Event{
		UserAgent: strings.Repeat("é", 30_000), ErrorMessage: strings.Repeat("x", 30_000),
		Parameters:     map[string]any{"policyDocument": strings.Repeat("\x01", 1<<20)},
		Response:       map[string]any{"text": strings.Repeat("x", 1<<20)},
		ServiceDetails: map[string]any{"kept": true},
	}
	text, err := loud.Record()
	if err != nil || len(text) > 4<<10 {
		t.Fatalf("%d bytes, %v", len(text), err)
	}
	var read Event
	if err := json.Unmarshal(text, &read); err != nil {
		t.Fatal(err)
	}
	if n := len(read.UserAgent); n > maxLine || n < maxLine-4 || strings.Trim(read.UserAgent, "é") != "" {
		t.Errorf("the user agent has %d bytes, ending in %q", n, read.UserAgent[n-4:])
	}
	if read.Parameters["omitted"] != true || read.Parameters["originalSize"] == nil ||
		read.Response["omitted"] != true || read.ServiceDetails["kept"] != true {
		t.Errorf("%v %v %v", read.Parameters, read.Response, read.ServiceDetails)
	}
	if len(loud.Parameters["policyDocument"].(string)) != 1<<20 {
		t.Error("the caller's event was changed")
	}
}

// What fits is not shortened: a policy of IAM's greatest size, a full page of ids.
func TestRecordKeepsWhatFits(t *testing.T) {
	document := map[string]any{"policyDocument": strings.Repeat("x", 90_000)}
	whole := Event{UserAgent: strings.Repeat("x", maxLine), Parameters: document}
	text, err := whole.Record()
	if err != nil || len(text) < 90_000+maxLine {
		t.Errorf("%d bytes, %v", len(text), err)
	}
}

// Somebody names as much as possible in one call. The event has a size that CloudTrail's readers expect, and still says
// who did what.
func TestRecordAsAWholeHasABound(t *testing.T) {
	part := map[string]any{"text": strings.Repeat("x", 90<<10)}
	var resources []Resource
	for range 4000 {
		resources = append(resources, Resource{ARN: "arn:aws:ec2:on-prem-1:1:instance/" + strings.Repeat("a", 200)})
	}
	for name, event := range map[string]Event{
		"large parts":    {Name: "CreateTags", Parameters: part, Response: part, ServiceDetails: part},
		"many resources": {Name: "CreateTags", Parameters: part, Resources: resources},
	} {
		text, err := event.Record()
		if err != nil || len(text) > MaxRecord {
			t.Errorf("%s: %d bytes, %v", name, len(text), err)
		}
		if !strings.Contains(string(text), `"eventName":"CreateTags"`) {
			t.Errorf("%s: %.200s", name, text)
		}
	}
}
