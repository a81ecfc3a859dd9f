package iam

import (
	"reflect"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/iam/types"

	"github.com/sallyport/sallyport/internal/fault"
	"github.com/sallyport/sallyport/internal/policy"
)

// parameters reads an operation's input by the names of its fields, which are the same in all of IAM.
type parameters struct{ in reflect.Value }

func parametersOf(in any) parameters { return parameters{reflect.ValueOf(in).Elem()} }

// text is the value of a *string field, empty if it is not set or the input has none of the name.
func (p parameters) text(name string) string {
	field := p.in.FieldByName(name)
	if !field.IsValid() {
		return ""
	}
	value, _ := field.Interface().(*string)
	return deref(value)
}

// check refuses a request that lacks what it needs, or has it empty.
func (p parameters) check(needed need) error {
	for _, name := range needed {
		field := p.in.FieldByName(name)
		if field.IsZero() || field.Kind() == reflect.Pointer && field.Elem().IsZero() {
			return fault.New(fault.Missing, "parameter", "The parameter %s is required and must not be empty.", name)
		}
	}
	return nil
}

// conditions are IAM's own condition keys: what tags a request sets or removes, and which policy it attaches
// or detaches.
func (p parameters) conditions() policy.Keys {
	keys := policy.Keys{}
	if field := p.in.FieldByName("Tags"); field.IsValid() {
		tags, _ := field.Interface().([]types.Tag)
		for _, tag := range tags {
			key := deref(tag.Key)
			keys["aws:tagkeys"] = append(keys["aws:tagkeys"], key)
			keys["aws:requesttag/"+strings.ToLower(key)] = []string{deref(tag.Value)}
		}
	}
	if field := p.in.FieldByName("TagKeys"); field.IsValid() {
		if removed, _ := field.Interface().([]string); len(removed) > 0 {
			keys["aws:tagkeys"] = removed
		}
	}
	if arn := p.text("PolicyArn"); arn != "" {
		keys["iam:policyarn"] = []string{arn}
	}
	return keys
}

func deref[T any](p *T) (value T) {
	if p != nil {
		value = *p
	}
	return value
}

// some returns a pointer to the value, or nil for the zero value, which is left out of a response.
func some[T comparable](value T) *T {
	var zero T
	if value == zero {
		return nil
	}
	return &value
}
