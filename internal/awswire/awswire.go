// Package awswire reads requests and writes responses in AWS's three protocols of interest: ec2, query and
// JSON 1.1, over the AWS SDK's own Go types. The names on the wire are the SDK's too, never typed by hand (names.go).
//
// A codec walks the Go types by reflection along a plan made once a type (plan.go). ec2 and query share the
// reading of forms (form.go) and the writing of XML (xml.go); JSON 1.1 has its own (json_read.go,
// json_write.go). What the trail shows of inputs and outputs is made along the same plans (record.go).
//
// Outputs that have a schema could write themselves, but the SDK's code leaves out what is false or 0, which AWS
// answers; and inputs cannot read themselves.
package awswire

//go:generate go run ./generate -out names.txt

import (
	"net/http"
	"net/url"
	"reflect"
)

// Request is a request taken apart as far as is possible without knowing its operation.
type Request struct {
	Operation string     // "DescribeInstances"
	form      url.Values // of the ec2 and query protocols
	json      []byte     // of JSON 1.1
}

// Codec is one protocol. EC2, Query and JSON make them; they are safe for concurrent use.
type Codec interface {
	// Prepare makes the plans of an operation's Input and Output, both structs. It fails for one with a field that no
	// codec carries: a union, which is an interface in Go, a function or the like. What was not prepared is planned when
	// it is first used.
	Prepare(in, out reflect.Type) error
	// Parse finds the operation. body is the whole body, already bounded. Errors are Invalid faults with
	// Resource "request" (what cannot be read) or "operation" (no operation is named).
	Parse(r *http.Request, body []byte) (*Request, error)
	// Decode fills in, a pointer to the operation's Input, and returns the names of the top-level fields the
	// request set, in Go's spelling and in the order of their declaration. A parameter the Input does not have
	// is an Invalid fault with Subject "parameter" that names it; a value of the wrong type is one with Resource
	// "parameter-value". Limits on depth and number of parameters hold, so that no request costs more than its length.
	Decode(request *Request, in any) (set []string, err error)
	// Parameters renders in, a pointer to an Input, as CloudTrail writes requestParameters: names begin in lower case,
	// times are in ISO 8601, EC2's lists are sets of items, what is not set is left out, and secrets are replaced by
	// HIDDEN_DUE_TO_SECURITY_REASONS. It is nil for an input of which nothing is set.
	Parameters(in any) (map[string]any, error)
	// ResponseElements renders out, a pointer to an Output, as CloudTrail writes the responseElements of the call with
	// the id: named as in Parameters, with what the answer holds and without its secrets. EC2's have the id and, where
	// EC2 answers nothing but true, "_return". It is nil for an output of which nothing is set.
	ResponseElements(requestID string, out any) (map[string]any, error)
	// Encode writes out, a pointer to the operation's Output.
	Encode(operation, requestID string, out any) (Response, error)
	// EncodeError writes an error.
	EncodeError(requestID string, e Error) Response
}

// Response is what goes back.
type Response struct {
	Status int
	Header http.Header
	Body   []byte
}

// Error is an error as it goes over the wire.
type Error struct {
	Status  int    // HTTP
	Code    string // "InvalidInstanceID.NotFound"
	Message string
	// Recorded is the code in CloudTrail's record; empty where it is the same.
	Recorded string
}

// Limits on a request, over which it is refused. AWS's own largest requests (1,000 resources with 50 tags) fit.
const (
	maxParameters = 4096 // values in a request
	maxDepth      = 16   // levels of nesting
)
