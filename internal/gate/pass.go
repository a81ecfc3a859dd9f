package gate

import (
	"errors"
	"time"

	"github.com/sallyport/sallyport/internal/trail"
	"github.com/sallyport/sallyport/internal/uuid"
)

// Pass is the proof that a call was allowed. Every domain method takes one and begins with Check. It is good
// for one call and belongs to the goroutine that serves it.
type Pass struct{ call *passState }

type passState struct {
	call     Call
	identity trail.Identity
	account  string
	time     time.Time
	eventID  string
	kind     string
	recorded bool
}

func (g *Gate) open(identity trail.Identity, call Call, kind string) Pass {
	now := g.clock.Now()
	return Pass{call: &passState{call: call, identity: identity, account: g.account, time: now, eventID: uuid.New(now, g.random), kind: kind}}
}

// ErrNoPass is what a domain method answers to the zero Pass.
var ErrNoPass = errors.New("gate: this needs a Pass, and the zero Pass is refused")

// Check returns ErrNoPass for the zero Pass.
func (p Pass) Check() error {
	if p.call == nil {
		return ErrNoPass
	}
	return nil
}

// The circumstances of the call.

func (p Pass) RequestID() string        { return p.call.call.RequestID }
func (p Pass) Region() string           { return p.call.call.Region }
func (p Pass) Account() string          { return p.call.account }
func (p Pass) Identity() trail.Identity { return p.call.identity }

// Time is when the call was let in. All that one call writes bears this time.
func (p Pass) Time() time.Time { return p.call.time }

// Event returns the call's event for a mutation to commit in its own transaction. response becomes the
// record's responseElements and holds no secret; resources are added to those that were authorized. A call has
// one event: if the call fails after all, Record replaces it under the same id.
func (p Pass) Event(response map[string]any, resources ...trail.Resource) trail.Event {
	p.call.recorded = true
	return p.call.event(response, resources)
}

func (s *passState) event(response map[string]any, resources []trail.Resource) trail.Event {
	event := trail.Event{
		Version:    "1.11",
		Identity:   s.identity,
		Time:       s.time.UTC().Truncate(time.Second),
		Source:     s.call.Source,
		Name:       s.call.Name,
		Region:     s.call.Region,
		UserAgent:  s.call.UserAgent,
		Parameters: s.call.Parameters,
		Response:   response,
		RequestID:  s.call.RequestID,
		ID:         s.eventID,
		ReadOnly:   s.call.ReadOnly,
		Type:       s.kind,
		Management: true,
		Account:    s.account,
		Category:   "Management",
		TLS:        s.call.TLS,
	}
	if s.call.SourceIP.IsValid() {
		event.SourceIP = s.call.SourceIP.Unmap().String()
	}
	for _, r := range s.call.Resources {
		if r.Type != "" && r.ARN != "*" {
			event.Resources = append(event.Resources, trail.Resource{ARN: r.ARN, AccountID: s.account, Type: r.Type})
		}
	}
	for _, r := range resources {
		r.AccountID = s.account
		event.Resources = append(event.Resources, r)
	}
	return event
}
