package iam

import (
	"iter"
	"reflect"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"

	"github.com/sallyport/sallyport/internal/awsapi"
	"github.com/sallyport/sallyport/internal/fault"
	domain "github.com/sallyport/sallyport/internal/iam"
	"github.com/sallyport/sallyport/internal/policy"
)

// parameters reads an operation's input by the names of its fields, which are the same in all of IAM.
type parameters struct{ in reflect.Value }

func parametersOf(in any) parameters { return parameters{reflect.ValueOf(in).Elem()} }

// value returns the value of a field, or nil if the input has no field of the name.
func (p parameters) value(name string) any {
	if field := p.in.FieldByName(name); field.IsValid() {
		return field.Interface()
	}
	return nil
}

// text returns the value of a *string field. It is empty if the field is not set.
func (p parameters) text(name string) string {
	value, _ := p.value(name).(*string)
	return aws.ToString(value)
}

// list returns the value of a []string field.
func (p parameters) list(name string) []string {
	value, _ := p.value(name).([]string)
	return value
}

// owner returns the identity that an operation is about. An operation on a group's members is about the group.
func (p parameters) owner() domain.Owner {
	for _, named := range []struct {
		field string
		kind  domain.OwnerKind
	}{{"GroupName", domain.OwnerGroup}, {"UserName", domain.OwnerUser}} {
		if p.in.FieldByName(named.field).IsValid() {
			return domain.Owner{Kind: named.kind, Name: p.text(named.field)}
		}
	}
	return domain.Owner{}
}

// query returns the operation and all its parameters except those that select the page.
func (p parameters) query() any {
	query := map[string]any{"operation": nameOf(p.in.Type())}
	for i := range p.in.NumField() {
		field := p.in.Type().Field(i)
		if field.IsExported() && field.Name != "Marker" && field.Name != "MaxItems" {
			query[field.Name] = p.in.Field(i).Interface()
		}
	}
	return query
}

// checkTagKeys refuses two tags with the same key. IAM compares tag keys without regard to case.
func (p parameters) checkTagKeys() error {
	seen := map[string]bool{}
	for key := range p.tags() {
		key = policy.Fold(key)
		if seen[key] {
			return fault.New(fault.Invalid, fault.TagKeys,
				"Duplicate tag keys found. Please note that Tag keys are case insensitive.")
		}
		seen[key] = true
	}
	return nil
}

// conditions returns IAM's own condition keys: the tags that a request sets or removes, and the policy that it
// attaches or detaches.
func (p parameters) conditions() (policy.Keys, error) {
	keys, err := awsapi.RequestTags(p.tags())
	if err != nil {
		return nil, err
	}
	if removed := p.list("TagKeys"); len(removed) > 0 {
		keys["aws:tagkeys"] = removed
	}
	if arn := p.text("PolicyArn"); arn != "" {
		keys["iam:policyarn"] = []string{arn}
	}
	return keys, nil
}

// tags returns the tags in the field Tags.
func (p parameters) tags() iter.Seq2[string, string] {
	return func(yield func(key, value string) bool) {
		tags, _ := p.value("Tags").([]types.Tag)
		for _, tag := range tags {
			if !yield(aws.ToString(tag.Key), aws.ToString(tag.Value)) {
				return
			}
		}
	}
}
