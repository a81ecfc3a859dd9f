package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail/types"
)

type trailCommand struct {
	connection
	Event    string        `help:"Only this operation, for example SendSSHPublicKey."`
	User     string        `help:"Only this user's calls; root for the root user."`
	Resource string        `help:"Only what touched this resource, for example an instance id."`
	Request  string        `help:"Only what has this request id: a push, and each login by its key." placeholder:"ID"`
	Denied   bool          `help:"Only what was refused or failed, and why."`
	Since    time.Duration `default:"24h" help:"How far back to look (${default})."`
	Max      int           `short:"n" default:"30" help:"At most this many events (${default})."`
	Output   string        `enum:"text,json" default:"text" help:"text, or json: one CloudTrail record a line."`
}

// Help returns the text of sallyport trail --help.
func (trailCommand) Help() string {
	return `Every call is one event, whether it was allowed, denied or failed. So is every login for which sshd was given a
pushed key, as ReleaseSSHPublicKey, with the address of the ssh client. The newest come last.

  sallyport trail
  sallyport trail --event SendSSHPublicKey --denied
  sallyport trail --resource i-0123456789abcdef0 --output json
  sallyport trail --request 01a21566-a9b6-7909-8fd9-9008da2e9aa8

The same record by the AWS CLI:
  aws --profile sallyport cloudtrail lookup-events ` +
		`--lookup-attributes AttributeKey=EventName,AttributeValue=SendSSHPublicKey`
}

// trailRecord holds the fields of a CloudTrail record that the command shows.
type trailRecord struct {
	EventTime      time.Time      `json:"eventTime"`
	EventName      string         `json:"eventName"`
	SourceIP       string         `json:"sourceIPAddress"`
	RequestID      string         `json:"requestID"`
	ErrorCode      string         `json:"errorCode"`
	ErrorMessage   string         `json:"errorMessage"`
	Parameters     map[string]any `json:"requestParameters"`
	ServiceDetails map[string]any `json:"serviceEventDetails"`
	Identity       struct {
		Type        string `json:"type"`
		PrincipalID string `json:"principalId"`
		UserName    string `json:"userName"`
		AccessKeyID string `json:"accessKeyId"`
	} `json:"userIdentity"`
	Resources []struct {
		ARN string `json:"ARN"`
	} `json:"resources"`
}

func (c trailCommand) Run(ctx context.Context, term terminal) error {
	if c.Max < 1 {
		return errors.New("--max must be 1 or more")
	}
	config, err := c.config(ctx)
	if err != nil {
		return err
	}
	events, err := c.lookUp(ctx, config)
	if err != nil {
		return err
	}
	if c.Output == "json" {
		for _, event := range events {
			fmt.Fprintln(term.out, visibleJSON(event.raw))
		}
		return nil
	}
	if len(events) == 0 {
		fmt.Fprintf(term.err, "No such event in the last %s.\n", c.Since)
		return nil
	}
	return c.print(term.out, events)
}

type trailEvent struct {
	trailRecord
	raw string
}

// lookUp returns the newest events, the oldest of them first. The server accepts only one attribute, so lookUp asks by
// the rarest and filters by the others here.
func (c trailCommand) lookUp(ctx context.Context, config aws.Config) ([]trailEvent, error) {
	input := &cloudtrail.LookupEventsInput{StartTime: aws.Time(time.Now().Add(-c.Since)), MaxResults: aws.Int32(50)}
	for _, attribute := range []types.LookupAttribute{
		{AttributeKey: types.LookupAttributeKeyResourceName, AttributeValue: aws.String(c.Resource)},
		{AttributeKey: types.LookupAttributeKeyUsername, AttributeValue: aws.String(c.User)},
		{AttributeKey: types.LookupAttributeKeyEventName, AttributeValue: aws.String(c.Event)},
	} {
		if *attribute.AttributeValue != "" {
			input.LookupAttributes = []types.LookupAttribute{attribute}
			break
		}
	}
	var events []trailEvent
	pages := cloudtrail.NewLookupEventsPaginator(cloudtrail.NewFromConfig(config), input)
	for pages.HasMorePages() && len(events) < c.Max {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, err
		}
		for _, found := range page.Events {
			event := trailEvent{raw: aws.ToString(found.CloudTrailEvent)}
			if err := json.Unmarshal([]byte(event.raw), &event.trailRecord); err != nil {
				return nil, fmt.Errorf("read event %s: %w", aws.ToString(found.EventId), err)
			}
			if c.wants(event.trailRecord) {
				events = append(events, event)
			}
		}
	}
	events = events[:min(len(events), c.Max)]
	slices.Reverse(events) // the newest go last, where a terminal shows them
	return events, nil
}

func (c trailCommand) wants(r trailRecord) bool {
	return (c.Event == "" || c.Event == r.EventName) && (c.User == "" || c.User == r.who()) &&
		(!c.Denied || r.ErrorCode != "") && (c.Request == "" || c.Request == r.RequestID)
}

// print prints a table; if only refused events were asked for, with the reasons.
func (c trailCommand) print(out io.Writer, events []trailEvent) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	why := func(text string) string {
		if !c.Denied {
			return ""
		}
		return "\t" + text
	}
	fmt.Fprintln(table, "TIME\tWHO\tWHAT\tON\tFROM\tRESULT"+why("WHY"))
	for _, e := range events {
		result := "ok"
		if e.ErrorCode != "" {
			result = e.ErrorCode
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s%s\n", e.EventTime.Local().Format("2006-01-02 15:04:05"),
			visible(e.who()), visible(e.EventName), dash(visible(e.on())), dash(visible(e.SourceIP)), visible(result),
			why(visible(e.ErrorMessage)))
	}
	return table.Flush()
}

func (r trailRecord) who() string {
	switch {
	case r.Identity.Type == "Root":
		return "root"
	case r.Identity.UserName == "root": // an IAM user may have that name, and is not the root user
		return "user/root"
	case r.Identity.UserName != "":
		return r.Identity.UserName
	case r.Identity.PrincipalID != "":
		return r.Identity.PrincipalID
	case r.Identity.AccessKeyID != "":
		return r.Identity.AccessKeyID
	}
	return "unknown"
}

// on returns what the event acted on: the OS user at the instance if there is one, else the resources' short names.
func (r trailRecord) on() string {
	var names []string
	for _, resource := range r.Resources {
		names = append(names, resource.ARN[strings.LastIndexAny(resource.ARN, "/:")+1:])
	}
	text := strings.Join(names, ",")
	for _, user := range []any{r.Parameters["osUser"], r.ServiceDetails["instanceOSUser"]} {
		if user, ok := user.(string); ok {
			return user + "@" + text
		}
	}
	return text
}

func dash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}
