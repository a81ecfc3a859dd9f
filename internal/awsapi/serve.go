package awsapi

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"reflect"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/sallyport/sallyport/internal/awswire"
	"github.com/sallyport/sallyport/internal/awswire/sigv4"
	"github.com/sallyport/sallyport/internal/fault"
	"github.com/sallyport/sallyport/internal/gate"
	"github.com/sallyport/sallyport/internal/trail"
	"github.com/sallyport/sallyport/internal/uuid"
)

// MaxBody is the maximum size of a request body, in bytes. The largest legitimate body is a policy
// document in a form.
const MaxBody = 1 << 20

// maxUnsigned limits how much is read of a body that no signature covers, in bytes. It is enough to find the protocol
// in which to refuse the request.
const maxUnsigned = 8 << 10

// Limits on what a request can put into the trail and the log.
const (
	maxARN    = 2048 // characters; AWS's own limit
	maxLogged = 1024 // bytes of a message
)

// Observer is told about every answered call, for example to count it.
type Observer interface {
	// Observe is called once per call. code is the error code of the answer, or "" for success. service and operation
	// are names from the tables or "unknown", so their number is limited.
	Observe(service, operation, code string, took time.Duration)
}

// Config is what the pipeline needs. Every field except PlainHTTP is required.
type Config struct {
	Account  string
	Regions  []string // the first is the default
	Gate     *gate.Gate
	Observer Observer
	Log      *slog.Logger
	Now      func() time.Time
	Random   io.Reader
	// PlainHTTP admits requests without TLS from other machines too.
	PlainHTTP bool
}

// Server is the pipeline: an http.Handler for every AWS service at one address.
type Server struct {
	Config
	services map[string]service
}

type service struct {
	Service
	operations map[string]Operation
}

// New returns the pipeline over the services. It panics if a table is wrong, since that is a mistake in the program:
// two rows have one name, a row accepts a field that its input does not have, or a type is carried by no codec.
func New(config Config, services ...Service) *Server {
	if config.Gate == nil || config.Observer == nil || config.Log == nil ||
		config.Now == nil || config.Random == nil || len(config.Regions) == 0 {
		panic("awsapi: New needs every field of Config")
	}
	s := &Server{Config: config, services: map[string]service{}}
	for _, sv := range services {
		if _, twice := s.services[sv.Name]; twice {
			panic("awsapi: two services named " + sv.Name)
		}
		table := map[string]Operation{}
		for _, op := range sv.Operations {
			if _, twice := table[op.Name]; twice {
				panic("awsapi: two rows named " + op.Name)
			}
			for _, field := range op.Accepts {
				if _, ok := op.Input.FieldByName(field); !ok {
					panic(fmt.Sprintf("awsapi: %s accepts %s, which its input does not have", op.Name, field))
				}
			}
			if err := sv.Codec.Prepare(op.Input, op.Output); err != nil {
				panic("awsapi: " + op.Name + ": " + err.Error())
			}
			table[op.Name] = op
		}
		s.services[sv.Name] = service{Service: sv, operations: table}
	}
	return s
}

// exchange is one request in the pipeline. Each step records what it found, so that the answer, the trail and the log
// have as much as can be known, whatever happens.
type exchange struct {
	request *http.Request
	body    []byte
	began   time.Time

	service   service
	wire      *awswire.Request
	operation Operation
	caller    gate.Caller
	claimed   string // the access key id the request claims
	call      gate.Call
	pass      gate.Pass
	unread    bool     // some of the body may not have been read
	removed   []string // the texts that redact hid in the parameters
	answer    awswire.Response
	code      string // the answer's error code; empty for success
}

// ServeHTTP takes a request through the pipeline, records it and answers it.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x := &exchange{request: r, began: s.Now()}
	x.call = gate.Call{
		RequestID: uuid.New(x.began, s.Random), Region: s.Regions[0], UserAgent: r.UserAgent(),
		Secure: r.TLS != nil, TLS: tlsDetails(r),
	}
	if source, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
		x.call.SourceIP = source.Addr().Unmap()
	}
	response := s.finish(x, x.hungUp(s.protect(x)))
	for name, values := range response.Header {
		w.Header()[name] = values
	}
	w.Header().Set("X-Amzn-Requestid", x.call.RequestID)
	if x.unread {
		w.Header().Set("Connection", "close") // otherwise the server reads the rest before it answers
	}
	w.WriteHeader(response.Status)
	w.Write(response.Body)
}

// hungUp turns the error of a call that did not begin, because its caller had closed the connection, into the caller's:
// the server has not failed, and its operator is not told that it has.
func (x *exchange) hungUp(err error) error {
	if x.request.Context().Err() == nil || !errors.Is(err, context.Canceled) || !fault.Is(err, fault.Internal) {
		return err
	}
	return fault.Wrap(err, fault.Invalid, fault.Request,
		"The caller closed the connection before the call was done. Nothing was changed.")
}

// protect calls perform and turns a panic into an internal error, so that one bad request does not end the others.
func (s *Server) protect(x *exchange) (err error) {
	defer func() {
		if p := recover(); p != nil {
			if x.service.Codec == nil {
				x.service = unserved("", x.request)
			}
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	return s.perform(x)
}

// perform takes a request through the steps, top to bottom. Authentication comes before everything that
// depends on what the request says. So a stranger learns only which services exist, and a refused call is
// recorded as its caller's.
func (s *Server) perform(x *exchange) error {
	bodyErr := s.readBody(x)
	claim, routeErr := s.route(x) // route even on error: it selects the codec that reports the error
	if err := s.checkTransport(x); err != nil {
		return err
	}
	if bodyErr != nil {
		return bodyErr
	}
	if claim == nil {
		return routeErr
	}
	ctx := x.request.Context()
	err := s.authenticate(ctx, x, claim)
	if err != nil && x.service.served() { // anybody may know that a service is not served
		return err
	}
	if routeErr != nil {
		return routeErr
	}
	in, err := s.decode(ctx, x)
	if err != nil {
		return err
	}
	x.pass, err = s.Gate.Authorize(ctx, x.caller, x.call)
	switch {
	case err != nil:
		return err
	case dryRun(in):
		return fault.New(fault.Invalid, fault.DryRun, "Request would have succeeded, but DryRun flag is set.")
	case x.operation.read != nil:
		out, err := x.operation.read(ctx, x.pass, in)
		if err != nil {
			return err
		}
		return x.encode(out)
	}
	return s.Gate.Write(ctx, x.pass, func(tx *gate.Tx) error {
		out, err := x.operation.write(tx, in)
		if err != nil {
			return err
		}
		response, err := x.answered(out)
		if err != nil {
			return err
		}
		tx.Respond(response)
		return x.encode(out) // before the commit, so that nothing is done that cannot be answered
	})
}

// encode writes the answer.
func (x *exchange) encode(out any) (err error) {
	x.answer, err = x.service.Codec.Encode(x.operation.Name, x.call.RequestID, out)
	return err
}

// answered returns the output as the trail shows it.
func (x *exchange) answered(out any) (map[string]any, error) {
	if x.operation.response != nil {
		return x.operation.response(out), nil
	}
	return x.service.Codec.ResponseElements(x.call.RequestID, out)
}

func (s *Server) authenticate(ctx context.Context, x *exchange, claim *sigv4.Claim) (err error) {
	verify := func(secret gate.Secret) error { return claim.Verify(secret.Reveal(), x.request, x.body) }
	x.caller, err = s.Gate.Authenticate(ctx, x.call, claim.AccessKeyID, claim.SessionToken, verify)
	x.call.Guessed = x.caller.Guessed()
	return err
}

func (s *Server) readBody(x *exchange) error {
	if encoding := x.request.Header.Get("Content-Encoding"); encoding != "" && encoding != "identity" {
		return fault.New(fault.Invalid, fault.Request,
			"The body is encoded (Content-Encoding: %.60s), which is not supported. Send it as it is: "+
				"neither compressed (AWS_DISABLE_REQUEST_COMPRESSION=true) nor in chunks.", encoding)
	}
	claim, err := sigv4.Parse(x.request, s.Now())
	switch {
	case err != nil, s.checkTransport(x) != nil:
		x.unread = true
		x.body, err = io.ReadAll(io.LimitReader(x.request.Body, maxUnsigned))
		return unread(err)
	case !s.Gate.Knows(x.request.Context(), claim.AccessKeyID):
		x.unread = true
		return nil // it is refused for its key, whatever the body says
	}
	body, err := io.ReadAll(http.MaxBytesReader(nil, x.request.Body, MaxBody))
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return fault.New(fault.Invalid, fault.Request, "The request is larger than %d bytes.", MaxBody)
	}
	x.body = body
	return unread(err)
}

// unread returns the error for the caller if a body could not be read. A fault is returned as it is.
func unread(err error) error {
	var told *fault.Error
	if err == nil || errors.As(err, &told) {
		return err
	}
	return fault.Wrap(err, fault.Invalid, fault.Request, "The request's body could not be read to its end.")
}

// checkTransport refuses requests without TLS from other machines. Signatures do not reveal secrets, but requests and
// answers could be read on the way.
func (s *Server) checkTransport(x *exchange) error {
	if x.call.Secure || x.call.SourceIP.IsLoopback() || s.PlainHTTP {
		return nil
	}
	return fault.New(fault.Denied, fault.PlainHttp, "Sallyport takes plain HTTP from its own machine only. "+
		"Use https:// with the same host and port, and set ca_bundle in the AWS profile (or AWS_CA_BUNDLE) "+
		"to a copy of the server's ca.pem.")
}

// unknownOperation is the name in the trail of a signed call whose operation is not known.
const unknownOperation = "UnknownOperation"

// route finds the service, the region and the operation. It finds the service by the signature's credential scope,
// because AWS's host names are not ours. The claim is nil if the request is not signed as it should be. Any other
// error is for the caller, after authentication.
func (s *Server) route(x *exchange) (*sigv4.Claim, error) {
	claim, err := sigv4.Parse(x.request, s.Now())
	if err != nil {
		x.service = s.guess(x.request, x.body)
		_ = s.name(x) // a stranger's call is recorded only if it names an operation
		return nil, err
	}
	x.claimed = claim.AccessKeyID
	sv, ok := s.services[claim.Service]
	if !ok {
		sv = unserved(claim.Service, x.request)
	}
	x.service = sv
	if err = s.name(x); err != nil {
		x.call.Name = unknownOperation
	}
	switch {
	case !ok:
		return claim, fault.New(fault.Invalid, fault.Operation,
			"The request is signed for the service %q, which is not served here. Served are: %s.",
			claim.Service, strings.Join(s.serviceNames(), ", "))
	case slices.Contains(s.Regions, claim.Region):
		x.call.Region = claim.Region
	case !sv.Global:
		return claim, fault.New(fault.Invalid, fault.Region,
			"The request is signed for the region %q. This server has: %s. Set the profile's region, or pass --region.",
			claim.Region, strings.Join(s.Regions, ", "))
	}
	return claim, err
}

// name finds the operation that the request names, whether or not it is served.
func (s *Server) name(x *exchange) error {
	x.call.Source = x.service.Source
	wire, err := x.service.Codec.Parse(x.request, x.body)
	if err != nil {
		return err
	}
	x.wire, x.call.Name = wire, wire.Operation
	x.operation = x.service.operations[wire.Operation]
	x.call.ReadOnly = x.operation.ReadOnly
	return nil
}

// guess finds the service in whose protocol to answer if the signature does not say: the one whose table has the
// operation, if any.
func (s *Server) guess(r *http.Request, body []byte) service {
	for _, name := range s.serviceNames() {
		sv := s.services[name]
		if wire, err := sv.Codec.Parse(r, body); err == nil {
			if _, ok := sv.operations[wire.Operation]; ok {
				return sv
			}
		}
	}
	return unserved("", r)
}

func (s *Server) serviceNames() []string {
	var names []string
	for name := range s.services {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// decode turns the request into the operation's input, refuses parameters that would be ignored, and finds what the
// policies are asked.
func (s *Server) decode(ctx context.Context, x *exchange) (any, error) {
	if x.operation.Name == "" {
		return nil, fault.New(fault.Invalid, fault.Operation,
			"The operation %s is not supported here. docs/operations lists those that are.", x.wire.Operation)
	}
	in := reflect.New(x.operation.Input).Interface()
	set, err := x.service.Codec.Decode(x.wire, in)
	if err != nil {
		return nil, err
	}
	if x.call.Parameters, err = x.parameters(in); err != nil {
		return nil, err
	}
	x.removed = redact(x.call.Parameters)
	for _, field := range set {
		if !slices.Contains(x.operation.Accepts, field) {
			return nil, fault.New(fault.Unsupported, fault.Parameter,
				"%s does not support the parameter %s here. Leave it out; supported are: %s.",
				x.operation.Name, field, strings.Join(x.operation.Accepts, ", "))
		}
	}
	return in, s.ask(ctx, x, in)
}

// ask finds what the policies are asked about the call.
func (s *Server) ask(ctx context.Context, x *exchange, in any) error {
	scope := Scope{Account: s.Account, Region: x.call.Region, Caller: x.caller.Identity().UserName}
	asks, err := x.operation.asks(ctx, scope, in)
	if err != nil {
		return err
	}
	for i, ask := range asks {
		if n := len(ask.ARN); n > maxARN {
			return fault.New(fault.Invalid, fault.ParameterValue, "A name in the request is too long: "+
				"the ARN it would come to has %d characters, and may have %d.", n, maxARN)
		}
		if x.service.Keys != nil {
			asks[i].Keys = merge(x.service.Keys(scope), ask.Keys)
		}
	}
	if err := checkLists(reflect.ValueOf(in)); err != nil {
		return err
	}
	x.call.Asks, x.call.Open = asks, x.operation.Action == ""
	return nil
}

// parameters returns the input as the trail shows it.
func (x *exchange) parameters(in any) (map[string]any, error) {
	if x.operation.parameters != nil {
		return x.operation.parameters(in), nil
	}
	return x.service.Codec.Parameters(in)
}

// dryRun reports whether an EC2 caller only asks whether the call would be allowed.
func dryRun(in any) bool {
	field := reflect.ValueOf(in).Elem().FieldByName("DryRun")
	if !field.IsValid() {
		return false
	}
	flag, ok := field.Interface().(*bool)
	return ok && flag != nil && *flag
}

// finish writes the trail and returns the answer. It records first: a call whose event cannot be written has failed,
// whatever it did.
func (s *Server) finish(x *exchange, err error) awswire.Response {
	ctx := context.WithoutCancel(x.request.Context())
	var failure *gate.Failure
	if err != nil {
		failure = s.refuse(x, err)
	}
	if x.call.Name != "" {
		if recordErr := s.Gate.Record(ctx, s.identity(x), x.call, x.pass, failure); recordErr != nil {
			err = recordErr
			failure = s.refuse(x, err)
		}
	}
	s.observe(x, failure, err)
	return x.answer
}

// refuse translates an error, once, into the service's own code and format.
func (s *Server) refuse(x *exchange, err error) *gate.Failure {
	f := fault.Of(err)
	e := x.service.Error(f)
	if e.Message == "" {
		e.Message = f.Message
	}
	x.code = e.Code
	x.answer = x.service.Codec.EncodeError(x.call.RequestID, e)
	return &gate.Failure{
		Code: cmp.Or(e.Recorded, e.Code), Message: x.recordable(f.Kind, e.Message), Throttled: f.Kind == fault.Throttled,
	}
}

// identity returns who made the call, for the trail: the authenticated caller, or an unknown one who claimed a key.
func (s *Server) identity(x *exchange) trail.Identity {
	if identity := x.caller.Identity(); identity.Type != "" {
		return identity
	}
	return trail.Identity{Type: trail.Unknown, AccessKeyID: x.claimed}
}

func (s *Server) observe(x *exchange, failure *gate.Failure, err error) {
	took := s.Now().Sub(x.began)
	name, operation := x.service.Name, x.operation.Name
	if operation == "" {
		operation = "unknown"
	}
	level := slog.LevelInfo
	attributes := []slog.Attr{
		slog.String("request", x.call.RequestID), slog.String("service", name), slog.String("operation", x.call.Name),
		slog.String("caller", s.identity(x).ARN), slog.String("source", x.call.SourceIP.String()),
		slog.Int("status", x.answer.Status), slog.Duration("took", took),
	}
	if failure != nil {
		message := failure.Message[:min(len(failure.Message), maxLogged)]
		attributes = append(attributes, slog.String("code", x.code), slog.String("message", message))
		if f := fault.Of(err); f.Cause != nil {
			attributes = append(attributes, slog.String("cause", x.recordable(f.Kind, f.Cause.Error())))
		}
		if x.answer.Status >= 500 && fault.Is(err, fault.Internal) {
			level = slog.LevelError
		}
	}
	s.Observer.Observe(name, operation, x.code, took)
	s.Log.LogAttrs(context.Background(), level, "call", attributes...)
}
