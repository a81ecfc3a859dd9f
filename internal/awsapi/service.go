// Package awsapi is the AWS side of the house: serve.go is the pipeline every request goes through, and each
// folder beneath holds one service as a table of operations. What a row does is done only for an authenticated
// caller whom a policy allowed it, and is recorded, whatever comes of it.
package awsapi

import (
	"context"
	"reflect"

	"github.com/sallyport/sallyport/internal/awswire"
	"github.com/sallyport/sallyport/internal/fault"
	"github.com/sallyport/sallyport/internal/gate"
	"github.com/sallyport/sallyport/internal/policy"
)

// Service is one AWS service: how to reach it, how it speaks and what it can do.
type Service struct {
	Name       string // as in a signature's credential scope: "ec2"
	Source     string // as in the trail: "ec2.amazonaws.com"
	Global     bool   // has no regions: whatever region a request is signed for is taken (iam, sts)
	Codec      awswire.Codec
	Operations []Operation
	// Conditions are the condition keys that every request to the service has, in lower case; nil for none.
	Conditions func(scope Scope) policy.Keys
	// Error gives a fault the service's own code and HTTP status. The pipeline fills in the fault's message
	// where it sets none.
	Error func(f *fault.Error) awswire.Error
}

// Operation is one row of a service's table. Make one with Row.
type Operation struct {
	Name     string
	Action   string   // the IAM action; empty if every authenticated caller may
	ReadOnly bool     // for the trail
	Accepts  []string // the input's fields we honour, in Go's spelling; any other that is set is refused by name
	Input    reflect.Type
	Output   reflect.Type

	parameters func(in any) map[string]any // nil where the codec knows
	touches    func(ctx context.Context, scope Scope, in any) (Touch, error)
	do         func(ctx context.Context, pass gate.Pass, in any) (any, error)
}

// Scope is where a request was sent, for the ARNs of what it touches.
type Scope struct {
	Account string
	Region  string
	Caller  string // the caller's user name; empty for root. IAM's operations on "myself" need it
}

// Touch is what the policies are asked about.
type Touch struct {
	Resources  []gate.Resource // none means "*"
	Conditions policy.Keys     // folded
}

// Row is an Operation before its types are erased.
type Row[In, Out any] struct {
	Name     string
	Action   string
	ReadOnly bool
	Accepts  []string
	// Touches names the resources and condition keys of a request; nil for an operation on "*". It may look up
	// what an ARN needs beyond the input (the path of an IAM user); tags are the gate's to find. An error
	// (Invalid, Missing) refuses the request.
	Touches func(ctx context.Context, scope Scope, in *In) (Touch, error)
	// Parameters is how CloudTrail writes the input of an operation that it has names of its own for; nil for the
	// codec's rule.
	Parameters func(in *In) map[string]any
	// Do does it.
	Do func(ctx context.Context, pass gate.Pass, in *In) (*Out, error)
}

// Operation erases the row's types.
func (r Row[In, Out]) Operation() Operation {
	op := Operation{
		Name: r.Name, Action: r.Action, ReadOnly: r.ReadOnly, Accepts: r.Accepts,
		Input: reflect.TypeFor[In](), Output: reflect.TypeFor[Out](),
		do: func(ctx context.Context, pass gate.Pass, in any) (any, error) { return r.Do(ctx, pass, in.(*In)) },
	}
	if r.Parameters != nil {
		op.parameters = func(in any) map[string]any { return r.Parameters(in.(*In)) }
	}
	op.touches = func(ctx context.Context, scope Scope, in any) (Touch, error) {
		if r.Touches == nil {
			return Touch{}, nil
		}
		return r.Touches(ctx, scope, in.(*In))
	}
	return op
}
