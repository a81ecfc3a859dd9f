package gate

import (
	"errors"
	"time"

	"github.com/sallyport/sallyport/internal/trail"
	"github.com/sallyport/sallyport/internal/uuid"
)

// Pass is the proof that a call was allowed. Every domain method that reads takes one and begins with Check. It is
// valid for one call and belongs to the goroutine that serves it.
type Pass struct{ call *passState }

type passState struct {
	call     Call
	identity trail.Identity
	account  string
	time     time.Time
	eventID  string
	kind     string // the event's type: trail.AwsAPICall or trail.AwsServiceEvent
	recorded bool   // the write's event was committed, or the write was taken back and its event may be there
}

func (g *Gate) open(identity trail.Identity, call Call, kind string) Pass {
	now := g.clock.Now()
	return Pass{call: &passState{
		call: call, identity: identity, account: g.account, time: now, eventID: uuid.New(now, g.random), kind: kind,
	}}
}

// ErrNoPass is returned by domain methods for the zero Pass or Tx.
var ErrNoPass = errors.New("gate: this needs a Pass, and the zero Pass is refused")

// Check returns ErrNoPass for the zero Pass.
func (p Pass) Check() error {
	if p.call == nil {
		return ErrNoPass
	}
	return nil
}

// What a Pass says about its call.

func (p Pass) RequestID() string        { return p.call.call.RequestID }
func (p Pass) Region() string           { return p.call.call.Region }
func (p Pass) Account() string          { return p.call.account }
func (p Pass) Identity() trail.Identity { return p.call.identity }

// Time returns when the call was allowed. All that the call writes has this time.
func (p Pass) Time() time.Time { return p.call.time }

// event returns the call's event. A call has one event: if it fails after its write was committed, Record replaces the
// event under the same id.
func (s *passState) event() trail.Event {
	event := trail.Event{
		Version:    "1.11",
		Identity:   s.identity,
		Time:       s.time,
		Source:     s.call.Source,
		Name:       s.call.Name,
		Region:     s.call.Region,
		UserAgent:  s.call.UserAgent,
		Parameters: s.call.Parameters,
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
	seen := map[string]bool{}
	for _, ask := range s.call.Asks {
		if ask.Type != "" && ask.ARN != "*" && !seen[ask.ARN] {
			seen[ask.ARN] = true
			event.Resources = append(event.Resources, trail.Resource{ARN: ask.ARN, AccountID: s.account, Type: ask.Type})
		}
	}
	return event
}
