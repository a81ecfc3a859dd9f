// Package trail is the audit record: every call to the API, allowed, denied or failed, and every use of a
// granted key is one Event in CloudTrail's own format.
// https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-record-contents.html
package trail

import (
	"encoding/json"
	"strings"
	"time"
)

// Retention is how long Lookup reaches back, as CloudTrail's event history does.
const Retention = 90 * 24 * time.Hour

// Event is one record. Its JSON form is the CloudTrail record.
type Event struct {
	Version        string         `json:"eventVersion"`
	Identity       Identity       `json:"userIdentity"`
	Time           time.Time      `json:"eventTime"` // exact in the trail's order, whole seconds UTC in the record
	Source         string         `json:"eventSource"`
	Name           string         `json:"eventName"`
	Region         string         `json:"awsRegion"`
	SourceIP       string         `json:"sourceIPAddress"`
	UserAgent      string         `json:"userAgent"`
	ErrorCode      string         `json:"errorCode,omitempty"`
	ErrorMessage   string         `json:"errorMessage,omitempty"`
	Parameters     map[string]any `json:"requestParameters"`
	Response       map[string]any `json:"responseElements"`
	ServiceDetails map[string]any `json:"serviceEventDetails,omitempty"`
	RequestID      string         `json:"requestID"`
	ID             string         `json:"eventID"`
	ReadOnly       bool           `json:"readOnly"`
	Resources      []Resource     `json:"resources,omitempty"`
	Type           string         `json:"eventType"` // AwsAPICall or AwsServiceEvent
	Management     bool           `json:"managementEvent"`
	Account        string         `json:"recipientAccountId"`
	Category       string         `json:"eventCategory"`
	TLS            *TLSDetails    `json:"tlsDetails,omitempty"` // of a call that came over TLS
}

// TLSDetails is how a call came over TLS.
type TLSDetails struct {
	Version     string `json:"tlsVersion"`               // "TLSv1.3"
	CipherSuite string `json:"cipherSuite"`              // under OpenSSL's name, as CloudTrail has it
	Host        string `json:"clientProvidedHostHeader"` // by which the client called the server
}

// The two types of Event.
const (
	AwsAPICall      = "AwsApiCall"
	AwsServiceEvent = "AwsServiceEvent"
)

// The types of an Identity. They are CloudTrail's, but for Host, which is ours.
const (
	Root       = "Root"
	IAMUser    = "IAMUser"
	Host       = "Host"       // a machine that was enrolled, or shows the token to be
	AWSService = "AWSService" // this deployment itself
	Unknown    = "Unknown"    // somebody who proved nothing
)

// Identity is who made the call. The zero Identity is nobody.
type Identity struct {
	Type        string `json:"type"`
	PrincipalID string `json:"principalId,omitempty"`
	ARN         string `json:"arn,omitempty"`
	AccountID   string `json:"accountId,omitempty"`
	AccessKeyID string `json:"accessKeyId,omitempty"`
	UserName    string `json:"userName,omitempty"`
	// Session is set if the credentials are temporary.
	Session *SessionContext `json:"sessionContext,omitempty"`
}

// SessionContext is about temporary credentials.
type SessionContext struct {
	Attributes SessionAttributes `json:"attributes"`
}

// SessionAttributes say when temporary credentials were made, and that no second factor was asked for: there is none
// here.
type SessionAttributes struct {
	CreationDate     time.Time `json:"creationDate"` // UTC, whole seconds
	MFAAuthenticated string    `json:"mfaAuthenticated"`
}

// NewSession returns the context of credentials that were made at the time.
func NewSession(created time.Time) *SessionContext {
	return &SessionContext{SessionAttributes{CreationDate: created.UTC().Truncate(time.Second), MFAAuthenticated: "false"}}
}

// Username is the name LookupEvents knows the identity by: the user's name, "root", or the principal id.
func (i Identity) Username() string {
	switch {
	case i.Type == Root:
		return "root"
	case i.UserName != "":
		return i.UserName
	}
	return i.PrincipalID
}

// Resource is something an event touched.
type Resource struct {
	ARN       string `json:"ARN,omitempty"`
	AccountID string `json:"accountId,omitempty"`
	Type      string `json:"type,omitempty"` // AWS::EC2::Instance and the like
}

// Name is the resource's short name, by which LookupEvents finds it: the last part of its ARN.
func (r Resource) Name() string { return r.ARN[strings.LastIndexAny(r.ARN, "/:")+1:] }

// CloudTrail's limits, in bytes. Whoever may call, even if every call is denied, could fill the disk otherwise.
const (
	MaxRecord  = 256 << 10 // of an event as a whole
	maxLine    = 1 << 10   // of a user agent, host header or error message: what is beyond is cut off
	maxContent = 100 << 10 // of parameters, response or details, as JSON: more is left out
)

// Record returns the event as CloudTrail writes it, within CloudTrail's limits: MaxRecord at most.
func (e Event) Record() ([]byte, error) {
	e.Time, e.UserAgent, e.ErrorMessage = e.Time.UTC().Truncate(time.Second), cut(e.UserAgent), cut(e.ErrorMessage)
	if e.TLS != nil {
		details := *e.TLS
		details.Host = cut(details.Host)
		e.TLS = &details
	}
	record, err := json.Marshal(e)
	if err != nil || len(record) <= maxContent {
		return record, err
	}
	if record, err = e.leaveOut(maxContent); err != nil || len(record) <= MaxRecord {
		return record, err
	}
	if record, err = e.leaveOut(0); err != nil || len(record) <= MaxRecord {
		return record, err
	}
	for len(record) > MaxRecord && len(e.Resources) > 0 {
		e.Resources = e.Resources[:len(e.Resources)/2]
		if record, err = json.Marshal(e); err != nil {
			return nil, err
		}
	}
	return record, nil
}

// leaveOut puts a note in place of parameters, response and details that are longer than most, and returns the record.
func (e *Event) leaveOut(most int) ([]byte, error) {
	for _, content := range []*map[string]any{&e.Parameters, &e.Response, &e.ServiceDetails} {
		text, err := json.Marshal(*content)
		if err != nil {
			return nil, err
		}
		if *content != nil && len(text) > most {
			*content = map[string]any{"omitted": true, "originalSize": len(text), "reason": "too large"}
		}
	}
	return json.Marshal(*e)
}

// cut leaves of a text what fits into maxLine, in whole characters.
func cut(text string) string {
	if len(text) <= maxLine {
		return text
	}
	return strings.ToValidUTF8(text[:maxLine], "")
}

// Query selects events. Its zero fields select everything.
type Query struct {
	// Attribute is one of LookupEvents' keys (EventId, EventName, ReadOnly, Username, ResourceType,
	// ResourceName, EventSource, AccessKeyId); empty for all events. Value is compared exactly.
	Attribute, Value string
	Region           string    // events of this region; empty for all
	From, To         time.Time // From inclusive, To exclusive; zero is open
	Before           Position  // only events older than this; zero for the newest page
	Limit            int       // at most this many
}

// Position is a place in the trail's order, newest first. Zero is the newest end.
type Position struct {
	Time time.Time
	ID   string // of the event: of events of one time the order is that of their ids
}

// Entry is an event as it stands in the trail.
type Entry struct {
	Event    Event
	Record   string // the event's JSON as it was written
	Position Position
}
