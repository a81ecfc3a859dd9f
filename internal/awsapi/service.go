// Package awsapi serves AWS's APIs. serve.go is the pipeline that every request goes through, and each folder has one
// service as a table of operations. An operation runs only for an authenticated caller whom the policies allow, and
// its call is recorded, whatever the outcome.
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
	Global     bool   // has no regions: a request may be signed for any region (iam, sts)
	Codec      awswire.Codec
	Operations []Operation
	// Keys returns the condition keys that every ask of the service has, in lower case; nil if there are none.
	Keys func(scope Scope) policy.Keys
	// Error returns the service's own code and HTTP status for a fault. The pipeline adds the fault's message if
	// Error sets none.
	Error func(f *fault.Error) awswire.Error
}

// Operation is one row of a service's table. Make one with Row.
type Operation struct {
	Name     string
	Action   string   // the IAM action; empty if every authenticated caller may call it
	ReadOnly bool     // for the trail
	Accepts  []string // Go names of the input's fields that are honoured; any other that is set is refused by name
	Input    reflect.Type
	Output   reflect.Type

	parameters func(in any) map[string]any // nil for the codec's rules
	response   func(out any) map[string]any
	asks       func(ctx context.Context, scope Scope, in any) ([]gate.Ask, error)
	read       func(ctx context.Context, pass gate.Pass, in any) (any, error)
	write      func(tx *gate.Tx, in any) (any, error)
}

// Scope is where a request was sent. It completes the ARNs that the request asks about.
type Scope struct {
	Account string
	Region  string
	Caller  string // the caller's user name, for IAM's operations on oneself; empty for root
}

// Row is an Operation before its types are erased. It has either a Read or a Write.
type Row[In, Out any] struct {
	Name    string
	Action  string // empty if every authenticated caller may call it
	Accepts []string
	// Asks lists what the policies are asked. If it is nil, they are asked the Action on "*". An ask without an Action
	// is about the row's. Asks may look up what an ARN needs beyond the input, such as the path of an IAM user. The gate
	// finds tags. An error (Invalid, Missing) refuses the request.
	Asks func(ctx context.Context, scope Scope, in *In) ([]gate.Ask, error)
	// Parameters and Response return the input and the output as CloudTrail writes them, for an operation where it has
	// names of its own. If they are nil, the codec's rules hold.
	Parameters func(in *In) map[string]any
	Response   func(out *Out) map[string]any
	// Read serves an operation that changes nothing.
	Read func(ctx context.Context, pass gate.Pass, in *In) (*Out, error)
	// Write serves an operation that changes something, in the transaction that commits the call's event with the
	// change. It may be run again: see gate.Tx.
	Write func(tx *gate.Tx, in *In) (*Out, error)
}

// Operation erases the row's types. It panics unless the row has exactly one of Read and Write.
func (r Row[In, Out]) Operation() Operation {
	if (r.Read == nil) == (r.Write == nil) {
		panic("awsapi: " + r.Name + " needs a Read or a Write, and not both")
	}
	op := Operation{
		Name: r.Name, Action: r.Action, ReadOnly: r.Read != nil, Accepts: r.Accepts,
		Input: reflect.TypeFor[In](), Output: reflect.TypeFor[Out](),
	}
	if r.Read != nil {
		op.read = func(ctx context.Context, pass gate.Pass, in any) (any, error) { return r.Read(ctx, pass, in.(*In)) }
	} else {
		op.write = func(tx *gate.Tx, in any) (any, error) { return r.Write(tx, in.(*In)) }
	}
	if r.Parameters != nil {
		op.parameters = func(in any) map[string]any { return r.Parameters(in.(*In)) }
	}
	if r.Response != nil {
		op.response = func(out any) map[string]any { return r.Response(out.(*Out)) }
	}
	op.asks = func(ctx context.Context, scope Scope, in any) ([]gate.Ask, error) {
		asks := []gate.Ask{{ARN: "*"}}
		if r.Asks != nil {
			var err error
			if asks, err = r.Asks(ctx, scope, in.(*In)); err != nil {
				return nil, err
			}
		}
		for i := range asks {
			if asks[i].Action == "" {
				asks[i].Action = r.Action
			}
		}
		return asks, nil
	}
	return op
}
