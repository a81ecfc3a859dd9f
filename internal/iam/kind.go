package iam

import (
	"fmt"

	"github.com/sallyport/sallyport/internal/fault"
)

// Owner names a user or a group: whatever can have policies.
type Owner struct {
	Kind OwnerKind
	Name string
}

// OwnerKind is a kind of identity, as in an ARN.
type OwnerKind string

// The kinds of identities.
const (
	OwnerUser  OwnerKind = "user"
	OwnerGroup OwnerKind = "group"
)

// kind is what sets the identities of one kind apart from the others.
type kind struct {
	title     string // as in AWS::IAM::User
	subject   fault.Subject
	idPrefix  string
	maxInline int // characters of all inline policies of one identity together, without white space
}

// kindOf is the table of kinds. What is none is an error.
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

// Type is what the trail calls identities of the kind, AWS::IAM::User; empty for what is no kind.
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
