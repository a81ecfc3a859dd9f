// Package gate authorizes and records. Whatever reads behind it takes a Pass, which exists only after a policy allowed
// the call or a host proved its identity. Whatever writes takes a Tx, which only the gate makes, and which commits the
// call's event with what it writes. So nothing is done without a decision and a record.
//
// Every call leaves one event, allowed or not. Unauthenticated calls are rate-limited: see Record. What hosts report
// leaves an event if it changes anything.
package gate

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"time"

	"golang.org/x/time/rate"

	"github.com/sallyport/sallyport/internal/clock"
	"github.com/sallyport/sallyport/internal/db"
	"github.com/sallyport/sallyport/internal/fault"
	"github.com/sallyport/sallyport/internal/policy"
	"github.com/sallyport/sallyport/internal/trail"
)

// Principal is an identity that can sign requests. The zero Principal has no permissions.
type Principal struct {
	Identity     trail.Identity
	Secret       Secret            // signs requests; no signature is valid if it is empty
	SessionToken Secret            // must accompany the access key; empty for long-lived keys
	Issued       clock.Reading     // of the session; zero for long-lived keys
	Expires      time.Time         // of the session; zero for long-lived keys
	Root         bool              // the account's root user, whom no policy limits
	Policies     []policy.Set      // each must allow a call: identity-based policies, a boundary, a session's
	Tags         map[string]string // of the user, for aws:PrincipalTag
}

// Principals finds the owners of access keys.
type Principals interface {
	// Principal returns the owner of an active access key as of the latest committed change. The error is NotFound if
	// the key does not exist or is inactive. Principal is called for every request: it must be fast, and safe for
	// concurrent use.
	Principal(ctx context.Context, accessKeyID string) (Principal, error)
}

// Uses is implemented by a Principals that records the use of access keys: of each request with a valid signature,
// allowed or not. It must not block.
type Uses interface {
	// Used records the use. source is the event source, such as "ec2.amazonaws.com".
	Used(ctx context.Context, accessKeyID, source, region string)
}

// Tags finds the tags of a resource, for the aws:ResourceTag and ec2:ResourceTag condition keys.
type Tags interface {
	// ResourceTags returns the tags of the resource with the ARN. A resource that does not exist has none.
	ResourceTags(ctx context.Context, arn string) (map[string]string, error)
}

// Gate authenticates, authorizes and records.
type Gate struct {
	principals Principals
	tags       Tags
	writer     *db.Writer
	account    string
	clock      clock.Clock
	random     io.Reader
	calls      *rates // by principal
	throttled  *rates // events of throttled calls, by principal
	guesses    *rates // events of wrong signatures, by access key
	strangers  *rate.Limiter
}

// New returns a Gate over the database of the trail. It panics if an argument is missing: a gate without principals or
// without a trail must not exist.
func New(
	account string, principals Principals, tags Tags, writer *db.Writer, clock clock.Clock, random io.Reader,
) *Gate {
	if account == "" || principals == nil || tags == nil || writer == nil || clock == nil || random == nil {
		panic("gate: New needs an account, principals, tags, a database, a clock and randomness")
	}
	g := &Gate{
		principals: principals, tags: tags, writer: writer, account: account, clock: clock, random: random,
		strangers: rate.NewLimiter(strangersASecond, strangersAtOnce),
		throttled: newRates(rate.Every(throttledInterval), throttledAtOnce),
		guesses:   newRates(rate.Every(guessInterval), guessesAtOnce),
	}
	g.LimitCalls(DefaultCallRate)
	return g
}

// LimitCalls sets how many calls a second each principal may make, with bursts of ten times as many. Call it before the
// Gate is used. The default is DefaultCallRate.
func (g *Gate) LimitCalls(aSecond int) { g.calls = newRates(rate.Limit(aSecond), callsAtOnce*aSecond) }

// Caller is an authenticated Principal. The zero Caller is refused by Authorize.
type Caller struct {
	principal Principal
	verified  bool
	guessed   bool
}

// Guessed reports whether the caller named an access key of this deployment without proving that they have it.
func (c Caller) Guessed() bool { return c.guessed }

// Identity returns who the caller is; the zero Caller is nobody.
func (c Caller) Identity() trail.Identity { return c.principal.Identity }

// Knows reports whether the access key is an active one of this deployment, or cannot be looked up now. It proves
// nothing about the caller.
func (g *Gate) Knows(ctx context.Context, accessKeyID string) bool {
	_, err := g.principals.Principal(ctx, accessKeyID)
	return !fault.Is(err, fault.NotFound)
}

// Authenticate finds the owner of the access key and calls verify to check the request's signature with the owner's
// secret. Only the Source and Region of call need to be set. Errors are Unauthenticated faults, told apart by their
// Subject: "access-key" for an unknown key, "session" for a wrong session token, "expired-session" for an expired one;
// an error of verify is returned as it is. If the principal makes too many calls, a Throttled fault is returned with
// the Caller. With any other error the Caller has no permissions and no identity, and only says whether it Guessed.
func (g *Gate) Authenticate(
	ctx context.Context, call Call, accessKeyID, sessionToken string, verify func(secret Secret) error,
) (Caller, error) {
	principal, err := g.principals.Principal(ctx, accessKeyID)
	if fault.Is(err, fault.NotFound) {
		return Caller{}, fault.Wrap(err, fault.Unauthenticated, fault.AccessKey, "The access key id %q is not known here "+
			"or is not active. Check the profile, or ask for a new access key.", accessKeyID)
	}
	if err != nil {
		return Caller{}, err
	}
	if principal.Secret == "" {
		return Caller{}, fault.New(fault.Unauthenticated, fault.AccessKey, "The access key %q has no secret.", accessKeyID)
	}
	if err := verify(principal.Secret); err != nil {
		return Caller{guessed: true}, err
	}
	if !equalSecrets(sessionToken, principal.SessionToken) {
		return Caller{guessed: true}, fault.New(fault.Unauthenticated, fault.Session,
			"The session token does not belong to the access key %q.", accessKeyID)
	}
	if !principal.Expires.IsZero() && g.clock().Left(principal.Issued, principal.Expires) == 0 {
		return Caller{guessed: true}, fault.New(fault.Unauthenticated, fault.ExpiredSession,
			"The session token of the access key %q expired at %s. Ask for a new one.",
			accessKeyID, principal.Expires.UTC().Format(time.RFC3339))
	}
	if uses, ok := g.principals.(Uses); ok {
		uses.Used(ctx, accessKeyID, call.Source, call.Region)
	}
	caller := Caller{principal: principal, verified: true}
	if !g.calls.allow(principal.Identity.PrincipalID, g.clock.Now()) {
		return caller, fault.New(fault.Throttled, fault.Rate,
			"Rate exceeded: %s makes too many calls. Wait, and make fewer in a second.", principal.Identity.ARN)
	}
	return caller, nil
}

// Call is a request to do something.
type Call struct {
	RequestID  string
	Source     string // the event source, such as "ec2.amazonaws.com"
	Name       string // the operation
	Region     string
	ReadOnly   bool
	SourceIP   netip.Addr
	UserAgent  string
	Secure     bool // the call came over TLS
	TLS        *trail.TLSDetails
	Guessed    bool           // see Caller.Guessed
	Parameters map[string]any // for the trail, without secrets
	Asks       []Ask          // each must be allowed
	Open       bool           // every authenticated caller may call it, except for asks that name an action
}

// Ask is one question to the policies: may the caller do the action to the resource? Condition keys that belong to one
// resource are absent for the others, as on AWS.
type Ask struct {
	Action string // the IAM action, such as "ec2:RunInstances"
	ARN    string // of the resource, or "*"
	// Type is the resource's type, such as AWS::EC2::Instance. Without one (the path of a listing) the resource is not
	// in the trail.
	Type string
	// Named is the caller's own name for the resource, for a refusal; the ARN if empty. It is set if the ARN reveals
	// what the caller may not know: the path of a user, or whose an access key is.
	Named string
	// Keys are the condition keys of this ask, folded: the resource's, the request's tags, the operation's.
	Keys policy.Keys
	// Condition returns the value of a condition key of the resource, in lower case (such as "ec2:availabilityzone").
	// It is called when a policy needs the key; nil if the resource has no such keys. An error denies the call.
	Condition func(ctx context.Context, key string) (value string, ok bool, err error)
	// Tags are the resource's tags; nil to look them up.
	Tags map[string]string
}

// Authorize evaluates the caller's policies for each ask. It returns a Pass, or a Denied fault that names the action,
// the resource and what decided. It writes no event: the pipeline ends every call with Record.
func (g *Gate) Authorize(ctx context.Context, caller Caller, call Call) (Pass, error) {
	pass := g.open(caller.Identity(), call, trail.AwsAPICall)
	if !caller.verified {
		return Pass{}, fault.New(fault.Unauthenticated, fault.Caller, "The request is not authenticated.")
	}
	if caller.principal.Root {
		return pass, nil
	}
	if len(call.Asks) == 0 && !call.Open {
		return Pass{}, fmt.Errorf("gate: the call %s asks no policy, and is not open to all", call.Name)
	}
	for _, ask := range call.Asks {
		if call.Open && ask.Action == "" {
			continue
		}
		keys := &requestContext{
			ctx: ctx, gate: g, principal: caller.principal, call: call, ask: ask, now: pass.call.time,
		}
		request := policy.Request{Action: ask.Action, Resource: ask.ARN, Context: keys}
		decision := policy.EvaluateAll(caller.principal.Policies, request)
		if keys.err != nil {
			return Pass{}, fmt.Errorf("look up the condition keys of %s: %w", ask.ARN, keys.err)
		}
		if !decision.Allowed {
			return Pass{}, denial(caller.Identity().ARN, ask, decision)
		}
	}
	return pass, nil
}

// AdmitHost returns a Pass for what an enrolled host does by itself over its authenticated link, or for what a machine
// with an enrollment token requests. The caller has verified the host's key, or passes the Pass to the method that
// verifies the token.
func (g *Gate) AdmitHost(identity trail.Identity, call Call) (Pass, error) {
	if identity.Type != trail.Host || identity.PrincipalID == "" {
		return Pass{}, fault.New(fault.Unauthenticated, fault.Host, "Only an identified host can be admitted.")
	}
	return g.open(identity, call, trail.AwsServiceEvent), nil
}

// Self returns a Pass for what the deployment does by itself.
func (g *Gate) Self(call Call) Pass {
	const self = "sallyport"
	identity := trail.Identity{Type: trail.AWSService, PrincipalID: self, AccountID: g.account}
	call.UserAgent = self
	return g.open(identity, call, trail.AwsServiceEvent)
}

// Record ends a call: it writes the call's event, unless the call's write has committed it. failure is the call's error
// with the code of the answer, or nil. identity is who was authenticated so far. pass is zero if the call did not get
// that far. After an error of Record the event could not be written, and the call must fail whatever else it did.
//
// A failure replaces the event of a committed write if the write has failed since or was taken back. If the database
// did not say whether it committed the write, the event tells: where it is, the write lasts, and it stays as it is.
//
// Unauthenticated calls, whose identity is trail.Unknown, are recorded at a rate of strangersASecond at most; those
// beyond it are only in the log. Wrong signatures for an existing access key, and throttled calls, have limits of their
// own (rates.go), which never drop another caller's event. A call without a Pass counts as several calls of its caller.
func (g *Gate) Record(ctx context.Context, identity trail.Identity, call Call, pass Pass, failure *Failure) error {
	state, now := pass.call, g.clock.Now()
	if state == nil && !g.recordable(identity, call, failure, now) {
		return nil
	}
	if state == nil {
		if failure != nil && !failure.Throttled && isCaller(identity) {
			g.calls.charge(identity.PrincipalID, now, refusalCost+len(call.Asks))
		}
		state = g.open(identity, call, trail.AwsAPICall).call
	}
	if failure == nil && state.recorded {
		return nil
	}
	event := state.event()
	if failure != nil {
		event.ErrorCode, event.ErrorMessage = failure.Code, failure.Message
	}
	write := trail.Append
	if state.recorded {
		write = trail.Replace
	}
	if err := g.writer.Update(ctx, func(tx *db.Tx) error { return write(tx, event) }); err != nil {
		return fmt.Errorf("record the call in the trail: %w", err)
	}
	return nil
}

// recordable reports whether a call without a Pass becomes an event, by the limits in rates.go.
func (g *Gate) recordable(identity trail.Identity, call Call, failure *Failure, now time.Time) bool {
	switch {
	case identity.Type == trail.Unknown && call.Guessed:
		return g.guesses.allow(identity.AccessKeyID, now)
	case identity.Type == trail.Unknown:
		return g.strangers.AllowN(now, 1)
	case failure != nil && failure.Throttled && isCaller(identity):
		return g.throttled.allow(identity.PrincipalID, now)
	}
	return true
}

// isCaller reports whether the identity is one that signs requests.
func isCaller(identity trail.Identity) bool {
	return identity.Type == trail.IAMUser || identity.Type == trail.Root
}

// Failure is the answer to a call that did not succeed.
type Failure struct {
	Code, Message string
	Throttled     bool // the caller makes too many calls
}

func denial(caller string, ask Ask, d policy.Decision) *fault.Error {
	why := fmt.Sprintf("because no %s allows the %s action", d.Set, ask.Action)
	if d.Explicit {
		why = fmt.Sprintf("with an explicit deny in %s %s: statement %s of %s",
			article(string(d.Set)), d.Set, d.Statement, d.Policy)
	}
	return fault.New(fault.Denied, fault.Action, "User: %s is not authorized to perform: %s on resource: %s %s",
		caller, ask.Action, cmp.Or(ask.Named, ask.ARN), why)
}

func article(noun string) string {
	if strings.ContainsAny(noun[:1], "aeiou") {
		return "an"
	}
	return "a"
}
