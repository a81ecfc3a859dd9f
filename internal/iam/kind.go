package iam

import (
	"fmt"

	"github.com/sallyport/sallyport/internal/fault"
)

// Owner names a user or a group, which can have policies.
type Owner struct {
	Kind OwnerKind
	Name string
}

// OwnerKind is a kind of identity, named as in ARNs.
type OwnerKind string

// The kinds of identities.
const (
	OwnerUser  OwnerKind = "user"
	OwnerGroup OwnerKind = "group"
)

// kind has what differs between the kinds of identities.
type kind struct {
	title     string // "User", as in AWS::IAM::User
	subject   fault.Subject
	idPrefix  string
	maxInline int // characters of all inline policies of one identity, without white space
}

// kindOf returns the entry of the table of kinds. An unknown kind is an error.
func kindOf(k OwnerKind) (kind, error) {
	switch k {
	case OwnerUser:
		return kind{title: "User", subject: fault.User, idPrefix: "AIDA", maxInline: 2048}, nil
	case OwnerGroup:
		return kind{title: "Group", subject: fault.Group, idPrefix: "AGPA", maxInline: 5120}, nil
	default:
		return kind{}, fmt.Errorf("iam: there are no identities of the kind %q", k)
	}
}

// Type returns the type of the kind's identities in the trail, such as AWS::IAM::User; empty for an unknown kind.
func (k OwnerKind) Type() string {
	kind, err := kindOf(k)
	if err != nil {
		return ""
	}
	return "AWS::IAM::" + kind.title
}

func (o Owner) notFound() error {
	kind, err := kindOf(o.Kind)
	if err != nil {
		return err
	}
	return fault.New(fault.NotFound, kind.subject, "The %s with name %s cannot be found.", o.Kind, o.Name)
}

func (o Owner) exists() error {
	kind, err := kindOf(o.Kind)
	if err != nil {
		return err
	}
	return fault.New(fault.Exists, kind.subject, "%s with name %s already exists.", kind.title, o.Name)
}
