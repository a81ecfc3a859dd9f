package iam

import (
	"cmp"
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/internal/awsapi"
	"github.com/sallyport/sallyport/internal/gate"
	"github.com/sallyport/sallyport/internal/page"
)

// The parameters of an operation: those it needs and those it may have. All others are refused.
type (
	need []string
	may  []string
)

// row returns what all rows share. The operation and its IAM action have the name of the input.
func row[In, Out any](on asks, n need, m may) awsapi.Row[In, Out] {
	name := nameOf(reflect.TypeFor[In]())
	constraints := constraintsOf(name, n)
	return awsapi.Row[In, Out]{
		Name: name, Action: "iam:" + name, Accepts: slices.Concat([]string(n), []string(m)),
		Asks: func(ctx context.Context, scope awsapi.Scope, in *In) ([]gate.Ask, error) {
			p := parametersOf(in)
			if err := cmp.Or(constraints.Check(in), p.checkTagKeys()); err != nil {
				return nil, err
			}
			asked, err := on(ctx, scope, p)
			if err != nil {
				return nil, err
			}
			keys, err := p.conditions()
			for i := range asked {
				asked[i].Keys = keys
			}
			return asked, err
		},
	}
}

// nameOf returns the name of the operation whose input has the type.
func nameOf(in reflect.Type) string { return strings.TrimSuffix(in.Name(), "Input") }

// read returns the row of an operation that only reads.
func read[In, Out any](
	f func(ctx context.Context, pass gate.Pass, in *In) (*Out, error), on asks, n need, m may,
) awsapi.Operation {
	r := row[In, Out](on, n, m)
	r.Read = f
	return r.Operation()
}

// write returns the row of an operation that makes something and returns it.
func write[In, Out any](f func(tx *gate.Tx, in *In) (*Out, error), on asks, n need, m may) awsapi.Operation {
	r := row[In, Out](on, n, m)
	r.Write = f
	return r.Operation()
}

// change returns the row of an operation that changes something and returns nothing.
func change[In, Out any](f func(tx *gate.Tx, p parameters) error, on asks, n need, m may) awsapi.Operation {
	return write(func(tx *gate.Tx, in *In) (*Out, error) { return new(Out), f(tx, parametersOf(in)) }, on, n, m)
}

// list returns the row of an operation that returns a page of a list. all returns all things in the order of key,
// which is unique. convert turns a thing into its type on the wire, and the output has one field with a
// list of that type.
func list[In, Out, T, Wire any](
	all func(ctx context.Context, pass gate.Pass, p parameters) ([]T, error), key func(T) string, convert func(T) Wire,
	on asks, n need, m may,
) awsapi.Operation {
	field := only(reflect.TypeFor[Out](), reflect.TypeFor[[]Wire]())
	return read(func(ctx context.Context, pass gate.Pass, in *In) (*Out, error) {
		p := parametersOf(in)
		things, err := all(ctx, pass, p)
		if err != nil {
			return nil, err
		}
		things, marker, err := cut(things, key, p)
		if err != nil {
			return nil, err
		}
		out := new(Out)
		fields := reflect.ValueOf(out).Elem()
		fields.FieldByName(field).Set(reflect.ValueOf(each(things, convert)))
		fields.FieldByName("IsTruncated").SetBool(marker != nil)
		fields.FieldByName("Marker").Set(reflect.ValueOf(marker))
		return out, nil
	}, on, n, append(m, "Marker", "MaxItems"))
}

// only returns the name of the structure's one field of the type. It panics if there is none or more than one, since
// the table is wrong then.
func only(structure, fieldType reflect.Type) string {
	var names []string
	for _, field := range reflect.VisibleFields(structure) {
		if field.Type == fieldType {
			names = append(names, field.Name)
		}
	}
	if len(names) != 1 {
		panic(fmt.Sprintf("awsapi/iam: %s has %d fields of the type %s", structure, len(names), fieldType))
	}
	return names[0]
}

// The default and the maximum size of a page, in items.
const (
	defaultItems = 100
	maxItems     = 1000
)

// cut returns the page that the request asks for, and the marker of the next page, which is nil on the last one.
func cut[T any](all []T, key func(T) string, p parameters) (things []T, marker *string, err error) {
	size := defaultItems
	if given, _ := p.value("MaxItems").(*int32); given != nil {
		size = int(*given) // in bounds, as constraints.go checks
	}
	things, next, err := page.Cut(all, key, size, p.text("Marker"), p.query())
	return things, awsapi.Optional(next), err
}

// each converts the things to their type on the wire. It never returns nil.
func each[T, Wire any](things []T, convert func(T) Wire) []Wire {
	out := make([]Wire, 0, len(things))
	for _, thing := range things {
		out = append(out, convert(thing))
	}
	return out
}

func same[T any](thing T) T { return thing }
