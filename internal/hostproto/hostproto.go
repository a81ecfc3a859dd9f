// Package hostproto holds the messages between the control plane and a host's agent, and the connection they go over.
//
// The agent dials out: a TLS connection to the control plane whose certificate chains to the pinned authority,
// its own Ed25519 key as the TLS client certificate, and a WebSocket at LinkPath. Both ends send Messages, each as one
// WebSocket message of JSON text. The agent begins with Hello; the control plane answers with Welcome, Dismiss or Bye.
// After a Welcome each end may send what it has to say at any time, and answers what has an ID with an Ack.
package hostproto

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/sallyport/sallyport/internal/keyblob"
)

// The paths the control plane serves to machines.
const (
	EnrollPath = "/host/enroll"
	LinkPath   = "/host/link"
)

// InstanceHeader names, on LinkPath, the instance the agent believes to be. The key decides who it is; the name
// only lets the control plane tell an instance that was un-enrolled from one it never knew.
const InstanceHeader = "Sallyport-Instance"

// The rhythm of a link. The agent pings; each end gives the link up after a silence.
const (
	PingInterval  = 7 * time.Second
	AgentSilence  = 15 * time.Second // without a message from the control plane
	ServerSilence = 20 * time.Second // without a message from the agent
)

// OpenTimeout is how long the agent may take until its Hello, and the control plane to find out what to welcome it
// with.
const OpenTimeout = 10 * time.Second

// MaxMessage bounds the text of a Message, in bytes.
const MaxMessage = 256 << 10

// Enroll is the body of a POST to EnrollPath. The TLS client certificate holds the key the agent will prove
// itself with.
type Enroll struct {
	Token  string `json:"token"` // the enrollment token whole, as it was printed
	Report Report `json:"report"`
}

// Enrolled is its answer.
type Enrolled struct {
	InstanceID string `json:"instanceId"`
	Account    string `json:"account"`
	Region     string `json:"region"`
	Zone       string `json:"zone"`
	Authority  []byte `json:"authority"` // DER of the certificate authority: must have the fingerprint in the token
}

// Refusal is the JSON body of any answer but 200. 410 Gone on LinkPath means: un-enrolled, remove yourself.
type Refusal struct {
	Message string `json:"message"`
}

// ReadRefusal returns what an answer other than 200 says: its Refusal's message or, of a server that is none of ours,
// the status and the beginning of the text.
func ReadRefusal(response *http.Response) string {
	text, _ := io.ReadAll(io.LimitReader(response.Body, 4096))
	var refusal Refusal
	if json.Unmarshal(text, &refusal) == nil && refusal.Message != "" {
		return refusal.Message
	}
	return fmt.Sprintf("%s: %.200q", response.Status, text)
}

// Report is what the agent says of its machine. See compute.Report for the fields.
type Report struct {
	Hostname     string   `json:"hostname"`
	OS           string   `json:"os"`
	Architecture string   `json:"architecture"`
	Addresses    []string `json:"addresses"`
	SSHPort      int      `json:"sshPort"`
	HostKeys     []string `json:"hostKeys"`
	Users        []string `json:"users"`
	Version      string   `json:"version"`
	KeyTypes     []string `json:"keyTypes,omitempty"`
	Problems     []string `json:"problems,omitempty"`
	Machine      string   `json:"machine,omitempty"`
}

// Message is one message. Exactly one of the pointers is set, beside Clocks. A message with an ID is answered by an Ack
// with the same ID; each end numbers its own messages from 1.
type Message struct {
	ID uint64 `json:"id,omitempty"`

	// Clocks are the control plane's, with Welcome, Grant and the Ack of a Ping.
	Clocks *Clocks `json:"clocks,omitempty"`

	// from the agent
	Hello   *Hello   `json:"hello,omitempty"`   // first message
	Report  *Report  `json:"report,omitempty"`  // after the welcome, and when it changed; acknowledged once it is stored
	Release *Release `json:"release,omitempty"` // acknowledged once it is in the trail

	// from the control plane
	Welcome *Welcome `json:"welcome,omitempty"` // answers Hello
	Grant   *Grant   `json:"grant,omitempty"`   // acknowledged once the keys helper would find it
	Revoke  *Revoke  `json:"revoke,omitempty"`  // acknowledged
	Dismiss *Dismiss `json:"dismiss,omitempty"` // the agent removes itself
	Bye     *Bye     `json:"bye,omitempty"`     // the link is about to be closed

	// from both
	Ping *Ping `json:"ping,omitempty"` // acknowledged
	Ack  *Ack  `json:"ack,omitempty"`
}

// Clocks are what the control plane's clocks show when it makes a message.
type Clocks struct {
	Time   time.Time     `json:"time"`   // of day, which may be set
	Uptime time.Duration `json:"uptime"` // since its machine was started, which may not
}

// Hello opens the link. Its fields are those of the same names in Report.
type Hello struct {
	Hostname string `json:"hostname"`
	Version  string `json:"version"`
	Machine  string `json:"machine,omitempty"`
}

// Welcome takes the agent in.
type Welcome struct {
	// Grants are those that are live: they replace whatever the agent holds. Those that do not fit in one
	// message (see WelcomeGrants) follow as Grant messages.
	Grants []Grant `json:"grants"`
}

// WelcomeGrants is how many grants a Welcome holds at most, which keeps it below MaxMessage.
const WelcomeGrants = 32

// Grant is a key to let in.
type Grant struct {
	RequestID string       `json:"requestId"`
	OSUser    string       `json:"osUser"`
	Blob      keyblob.Blob `json:"blob"`

	// Until is when it ends by the control plane's uptime, which no clock that is set moves.
	Until time.Duration `json:"until"`
}

// Revoke takes a grant back.
type Revoke struct {
	RequestID string `json:"requestId"`
}

// Dismiss ends the enrollment.
type Dismiss struct{}

// Bye says why the control plane is about to close the link.
type Bye struct {
	Reason string `json:"reason"` // one of the Bye constants
}

// The reasons of a Bye.
const (
	ByeRestart  = "restart"  // the control plane stops or restarts: connect again at once
	ByeReplaced = "replaced" // another agent with the same key has connected: do not fight over it
	// ByeDuplicate: another machine has this one's identity, and is linked or about to be. One of them must enroll anew.
	ByeDuplicate = "duplicate"
)

// DuplicateRetry is how long an agent waits at most after a ByeDuplicate before it connects again.
const DuplicateRetry = 30 * time.Second

// MaxReleases is how many Releases an agent has unacknowledged at one time. The control plane ends a link on
// which there are more.
const MaxReleases = 16

// Release says that a key was handed to sshd, for one connection.
type Release struct {
	EventID   string    `json:"eventId"`   // a UUID of its own, so that a repeated report is one event
	RequestID string    `json:"requestId"` // of the grant
	OSUser    string    `json:"osUser"`
	Time      time.Time `json:"time"` // by the server's clock, as the agent knows it
	// Client is the other end of sshd's connection, as ADDRESS:PORT or [ADDRESS]:PORT; empty if it is not known.
	Client string `json:"client,omitempty"`
}

// Ping asks the control plane for its clocks, and the agent whether it is there.
type Ping struct{}

// The codes of an Ack. The empty code is success.
const (
	AckUnknownUser = "unknown-user" // the machine has no such user
	AckBadGrant    = "bad-grant"    // the blob does not verify
	AckRefused     = "refused"      // the key would not let the user in: Message says why, Subject what is at fault
	AckFailed      = "failed"       // something else, which may pass: Message says what
)

// The subjects of an Ack whose code is AckRefused. The empty subject is the machine as a whole: no push to it works.
const (
	SubjectUser = "os-user"    // the account cannot log in
	SubjectKey  = "public-key" // sshd accepts no keys of that type
)

// Ack answers a message with an ID.
type Ack struct {
	Code    string `json:"code,omitempty"`
	Subject string `json:"subject,omitempty"`
	Message string `json:"message,omitempty"` // a sentence for people; read it through Reason
}

// Refused is the Ack of a grant that would let nobody in. The reason is a sentence for whoever pushed the key.
func Refused(subject, format string, args ...any) Ack {
	return Ack{Code: AckRefused, Subject: subject, Message: Reason(fmt.Sprintf(format, args...))}
}

// maxReason is how many characters of the other end's words are shown.
const maxReason = 300

// Reason returns what the other end says in a form that can be shown anywhere: printable characters on one line, at
// most 300 of them.
func Reason(text string) string {
	text = strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, text)
	shown := []rune(strings.Join(strings.Fields(text), " "))
	if len(shown) > maxReason {
		shown = append(shown[:maxReason-1], '…')
	}
	return string(shown)
}
