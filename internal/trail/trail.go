// Package trail is the audit record. Every call to the API, whether allowed, denied or failed, and every use of a
// granted key is one Event in CloudTrail's format, see
// https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-record-contents.html
package trail

import (
	"encoding/json"
	"strings"
	"time"
)

// Retention is how long events are kept, as in CloudTrail's event history.
const Retention = 90 * 24 * time.Hour

// Event is one record. Its JSON form is the CloudTrail record.
type Event struct {
	Version        string         `json:"eventVersion"`
	Identity       Identity       `json:"userIdentity"`
	Time           time.Time      `json:"eventTime"` // exact for the trail's order; in the record, whole seconds UTC
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

// TLSDetails describes the TLS connection of a call.
type TLSDetails struct {
	Version     string `json:"tlsVersion"`               // "TLSv1.3"
	CipherSuite string `json:"cipherSuite"`              // OpenSSL's name, as in CloudTrail
	Host        string `json:"clientProvidedHostHeader"` // the host name that the client used
}

// The types of an Event.
const (
	AwsAPICall      = "AwsApiCall"
	AwsServiceEvent = "AwsServiceEvent"
)

// The types of an Identity. They are CloudTrail's, except for Host.
const (
	Root       = "Root"
	IAMUser    = "IAMUser"
	Host       = "Host"       // a machine that is enrolled, or presents a token to enroll
	AWSService = "AWSService" // this deployment itself
	Unknown    = "Unknown"    // an unauthenticated caller
)

// Identity identifies who made the call. The zero Identity is nobody.
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

// SessionContext describes temporary credentials.
type SessionContext struct {
	Attributes SessionAttributes `json:"attributes"`
}

// SessionAttributes say when temporary credentials were made, and that no second factor was used: Sallyport has none.
type SessionAttributes struct {
	CreationDate     time.Time `json:"creationDate"` // UTC, whole seconds
	MFAAuthenticated string    `json:"mfaAuthenticated"`
}

// NewSession returns the context of credentials that were made at the time.
func NewSession(created time.Time) *SessionContext {
	return &SessionContext{SessionAttributes{CreationDate: created.UTC().Truncate(time.Second), MFAAuthenticated: "false"}}
}

// Username returns the name by which LookupEvents knows the identity: the user's name, "root", or the principal id.
func (i Identity) Username() string {
	switch {
	case i.Type == Root:
		return "root"
	case i.UserName != "":
		return i.UserName
	}
	return i.PrincipalID
}

// Resource is a resource that an event concerns.
type Resource struct {
	ARN       string `json:"ARN,omitempty"`
	AccountID string `json:"accountId,omitempty"`
	Type      string `json:"type,omitempty"` // such as AWS::EC2::Instance
}

// Name returns the resource's short name, by which LookupEvents finds it: the last part of its ARN.
func (r Resource) Name() string { return r.ARN[strings.LastIndexAny(r.ARN, "/:")+1:] }

// CloudTrail's limits, in bytes. Without them any caller, even one whose calls are all denied, could fill the disk.
const (
	MaxRecord  = 256 << 10 // of a whole event
	maxLine    = 1 << 10   // of a user agent, host header or error message, which is cut off there
	maxContent = 100 << 10 // of parameters, response or details, as JSON; longer ones are left out
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

// leaveOut replaces parameters, response and details that are longer than most by a note, and returns the record.
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

// cut returns the beginning of a text that fits into maxLine, in whole characters.
func cut(text string) string {
	if len(text) <= maxLine {
		return text
	}
	return strings.ToValidUTF8(text[:maxLine], "")
}

// Query selects events. The zero Query selects all.
type Query struct {
	// Attribute is one of LookupEvents' keys (EventId, EventName, ReadOnly, Username, ResourceType, ResourceName,
	// EventSource, AccessKeyId); empty for all events. Value is compared exactly.
	Attribute, Value string
	Region           string    // events of this region; empty for all
	From, To         time.Time // From inclusive, To exclusive; zero is open
	Before           Position  // only events older than this; zero for the newest page
	Limit            int       // at most this many
}

// Position is a place in the trail's order, newest first. The zero Position is the newest end.
type Position struct {
	Time time.Time
	ID   string // of the event: events of the same time are in the order of their ids
}

// Entry is an event in the trail.
type Entry struct {
	Event    Event
	Record   string // the event's JSON, as it was written
	Position Position
}
