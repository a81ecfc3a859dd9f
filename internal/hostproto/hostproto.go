// Package hostproto defines the messages between the control plane and a host's agent, and the connection that carries
// them.
//
// The agent dials out. It opens a TLS connection to the control plane, whose certificate must chain to the pinned
// authority, shows its own Ed25519 key as the TLS client certificate, and opens a WebSocket at LinkPath. Both ends send
// Messages, each as one WebSocket message of JSON text. The agent begins with Hello; the control plane answers with
// Welcome, Dismiss or Bye. After a Welcome each end may send messages at any time, and answers each message that has an
// ID with an Ack.
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

// The paths that the control plane serves to machines.
const (
	EnrollPath = "/host/enroll"
	LinkPath   = "/host/link"
)

// InstanceHeader is a header of requests to LinkPath: the id of the instance that the agent believes it is. The key
// alone authenticates the agent. The id only lets the control plane tell an un-enrolled instance from one that it never
// knew.
const InstanceHeader = "Sallyport-Instance"

// The timing of a link. The agent pings, and each end closes the link after a silence.
const (
	PingInterval  = 7 * time.Second
	AgentSilence  = 15 * time.Second // without a message from the control plane
	ServerSilence = 20 * time.Second // without a message from the agent
)

// OpenTimeout is how long the agent may take to send its Hello, and the control plane to send its Welcome.
const OpenTimeout = 10 * time.Second

// MaxMessage is the most bytes of a Message's text.
const MaxMessage = 256 << 10

// Enroll is the body of a POST to EnrollPath. The TLS client certificate has the key that will authenticate the agent.
type Enroll struct {
	Token  string `json:"token"` // the whole enrollment token, as it was printed
	Report Report `json:"report"`
}

// Enrolled is the answer to Enroll.
type Enrolled struct {
	InstanceID string `json:"instanceId"`
	Account    string `json:"account"`
	Region     string `json:"region"`
	Zone       string `json:"zone"`
	Authority  []byte `json:"authority"` // DER of the authority's certificate; must have the token's fingerprint
}

// Refusal is the JSON body of every answer but 200 OK. An answer of 410 Gone on LinkPath means that the instance was
// un-enrolled and the agent must remove itself.
type Refusal struct {
	Message string `json:"message"`
}

// ReadRefusal returns the message of a response that is not 200 OK: its Refusal's or, if the server is not a Sallyport
// control plane, the status and the beginning of the body.
func ReadRefusal(response *http.Response) string {
	text, _ := io.ReadAll(io.LimitReader(response.Body, 4096))
	var refusal Refusal
	if json.Unmarshal(text, &refusal) == nil && refusal.Message != "" {
		return refusal.Message
	}
	return fmt.Sprintf("%s: %.200q", response.Status, text)
}

// Report is the agent's description of its machine. See hosts.Report for the fields.
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

// Message is one message. Exactly one of the pointers is set, besides Clocks. A message with an ID is answered by an
// Ack with the same ID. Each end numbers its own messages from 1.
type Message struct {
	ID uint64 `json:"id,omitempty"`

	// Clocks are the control plane's. They accompany Welcome, Grant and the Ack of a Ping.
	Clocks *Clocks `json:"clocks,omitempty"`

	// from the agent
	Hello   *Hello   `json:"hello,omitempty"`   // first message
	Report  *Report  `json:"report,omitempty"`  // after the welcome, and after changes; acknowledged once it is stored
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

// Clocks are the control plane's clocks when it made a message.
type Clocks struct {
	Time   time.Time     `json:"time"`   // time of day, which can be set
	Uptime time.Duration `json:"uptime"` // since its machine's boot, which cannot be set
}

// Hello opens the link. Its fields are those of the same names in Report.
type Hello struct {
	Hostname string `json:"hostname"`
	Version  string `json:"version"`
	Machine  string `json:"machine,omitempty"`
}

// Welcome accepts the agent.
type Welcome struct {
	// Grants are the live grants. They replace all that the agent has. Those beyond WelcomeGrants follow as Grant
	// messages.
	Grants []Grant `json:"grants"`
}

// WelcomeGrants is the most grants of a Welcome, which keeps it below MaxMessage.
const WelcomeGrants = 32

// Grant is a key to accept.
type Grant struct {
	RequestID string       `json:"requestId"`
	OSUser    string       `json:"osUser"`
	Blob      keyblob.Blob `json:"blob"`

	// Until is the control plane's uptime at which the grant ends. Setting a clock does not move it.
	Until time.Duration `json:"until"`
}

// Revoke ends a grant early.
type Revoke struct {
	RequestID string `json:"requestId"`
}

// Dismiss ends the enrollment.
type Dismiss struct{}

// Bye says why the control plane will close the link now.
type Bye struct {
	Reason string `json:"reason"` // one of the Bye constants
}

// The reasons of a Bye.
const (
	ByeRestart  = "restart"  // the control plane stops or restarts; connect again at once
	ByeReplaced = "replaced" // another agent with the same key has connected; do not fight over the link
	// ByeDuplicate: another machine has this one's identity, and is linked or about to be. One of the two must enroll
	// anew.
	ByeDuplicate = "duplicate"
)

// DuplicateRetry is the longest that an agent waits after a ByeDuplicate before it connects again.
const DuplicateRetry = 30 * time.Second

// MaxReleases is the most unacknowledged Releases of an agent. The control plane closes a link that has more.
const MaxReleases = 16

// Release reports that a key was handed to sshd, for one connection.
type Release struct {
	EventID   string    `json:"eventId"`   // a UUID, so that a repeated release is one event
	RequestID string    `json:"requestId"` // the grant's
	OSUser    string    `json:"osUser"`
	Time      time.Time `json:"time"` // server time, as the agent estimates it
	// Client is the other end of sshd's connection, as ADDRESS:PORT or [ADDRESS]:PORT; empty if it is unknown.
	Client string `json:"client,omitempty"`
}

// Ping asks the control plane for its clocks, or the agent whether it is there.
type Ping struct{}

// The codes of an Ack. The empty code is success.
const (
	AckUnknownUser = "unknown-user" // the machine has no such user
	AckBadGrant    = "bad-grant"    // the blob does not verify
	AckRefused     = "refused"      // the key would not let the user in; Message says why, Subject what is at fault
	AckFailed      = "failed"       // another error, which may be temporary; Message says what
)

// The subjects of an Ack whose code is AckRefused. The empty subject is the whole machine: no push to it works.
const (
	SubjectUser = "os-user"    // the account cannot log in
	SubjectKey  = "public-key" // sshd accepts no keys of that type
)

// Ack answers a message with an ID.
type Ack struct {
	Code    string `json:"code,omitempty"`
	Subject string `json:"subject,omitempty"`
	Message string `json:"message,omitempty"` // a sentence for people; pass it through Reason
}

// Refused returns the Ack of a grant that would let nobody in. The reason is a sentence for the caller who pushed the
// key.
func Refused(subject, format string, args ...any) Ack {
	return Ack{Code: AckRefused, Subject: subject, Message: Reason(fmt.Sprintf(format, args...))}
}

// maxReason is the most characters of the other end's text that are shown.
const maxReason = 300

// Reason returns the other end's text in a form that is safe to show anywhere: at most 300 printable characters on one
// line.
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
