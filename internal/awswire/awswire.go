// Package awswire reads requests and writes responses in three of AWS's protocols: ec2, query and JSON 1.1. It works
// on the AWS SDK's own Go types. The names on the wire come from the SDK too, and are never typed by hand (names.go).
//
// A codec walks the Go types by reflection, along a plan that is made once per type (plan.go). ec2 and query share
// the reading of forms (form.go) and the writing of XML (xml.go). JSON 1.1 has its own (json_read.go, json_write.go).
// What the trail shows of inputs and outputs follows the same plans (record.go).
//
// Outputs that have a schema could write themselves, but the SDK's code omits false and 0, which AWS sends. Inputs
// cannot read themselves.
package awswire

//go:generate go run ./generate -out names.txt

import (
	"net/http"
	"net/url"
	"reflect"
)

// Request is a request, parsed as far as is possible without knowing its operation.
type Request struct {
	Operation string     // "DescribeInstances"
	form      url.Values // of the ec2 and query protocols
	json      []byte     // of JSON 1.1
}

// Codec is one protocol. EC2, Query and JSON return codecs, which are safe for concurrent use.
type Codec interface {
	// Prepare plans an operation's Input and Output, both structs. It fails if one of them has a field of a type
	// that no codec carries, such as a function or a union (an interface in Go). Types that were not prepared are
	// planned on first use.
	Prepare(in, out reflect.Type) error
	// Parse finds the operation. body is the whole body, whose size the caller has limited. Errors are Invalid faults
	// with Subject Request (the request cannot be read) or Operation (it names no operation).
	Parse(r *http.Request, body []byte) (*Request, error)
	// Decode fills in, a pointer to the operation's Input. It returns the Go names of the top-level fields that the
	// request set, in the order of their declaration. Errors are Invalid faults with Subject Parameter for a parameter
	// that the Input does not have, which the message names, and ParameterValue for a value of the wrong type. The depth
	// and the number of parameters are limited, so that a request costs no more than its length.
	Decode(request *Request, in any) (set []string, err error)
	// Parameters renders in, a pointer to an Input, as CloudTrail writes requestParameters. Names begin in lower case,
	// times are in ISO 8601, EC2's lists are sets of items, unset fields are omitted, and secrets are replaced by
	// HIDDEN_DUE_TO_SECURITY_REASONS. It returns nil if no field is set.
	Parameters(in any) (map[string]any, error)
	// ResponseElements renders out, a pointer to an Output, as CloudTrail writes the responseElements of the call with
	// the request id. Names are as in Parameters, and secrets are omitted. EC2's elements include the request id and,
	// where EC2 answers only true, "_return". It returns nil if there are no elements.
	ResponseElements(requestID string, out any) (map[string]any, error)
	// Encode writes out, a pointer to the operation's Output.
	Encode(operation, requestID string, out any) (Response, error)
	// EncodeError writes an error.
	EncodeError(requestID string, e Error) Response
}

// Response is the answer to a request.
type Response struct {
	Status int
	Header http.Header
	Body   []byte
}

// Error is an error as it is sent.
type Error struct {
	Status  int    // HTTP
	Code    string // "InvalidInstanceID.NotFound"
	Message string
	// Recorded is the code in CloudTrail's record; empty if it is the same.
	Recorded string
}

// Limits on a request; larger ones are refused. AWS's own largest requests (1,000 resources with 50 tags) fit.
const (
	maxParameters = 4096 // values in a request
	maxDepth      = 16   // levels of nesting
)
