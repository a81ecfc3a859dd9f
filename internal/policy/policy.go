// Package policy holds IAM policy documents and the one function that decides by them.
//
// It does no I/O and has no clock: everything a decision depends on comes in with the Request, so the same
// request and documents always give the same Decision. The rules are AWS's:
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html
package policy

// Policy is a parsed document under the name by which a Decision refers to it.
type Policy struct {
	// Name is the ARN of a managed policy, or "NAME (inline policy of user|group OWNER)".
	Name     string
	Document *Document
}

// Set is all policies of one sort that limit a caller. The zero Set allows nothing.
type Set struct {
	Sort     Sort
	Policies []Policy
}

// Sort is why policies apply, in the words of AWS's refusals.
type Sort string

// The sorts of policies.
const (
	IdentityBased Sort = "identity-based policy"
	Boundary      Sort = "permissions boundary"
	Session       Sort = "session policy"
)

// Context gives the values of condition keys. Keys are passed folded (Fold), as AWS compares them without
// regard to case. ok is false for a key that is not in the request.
type Context interface {
	Values(key string) (values []string, ok bool)
}

// Keys is a Context from a map with folded keys.
type Keys map[string][]string

// Values implements Context.
func (k Keys) Values(key string) ([]string, bool) { v, ok := k[key]; return v, ok }

// Request is one question: may this action be done to this resource under these circumstances.
type Request struct {
	Action   string // "ec2:DescribeInstances"; compared without regard to case
	Resource string // an ARN, or "*" for actions that have no resource
	Context  Context
}

// Decision is the answer with its reason. The zero Decision is an implicit denial.
type Decision struct {
	Allowed  bool
	Explicit bool // a denial by a Deny statement, rather than by the absence of an Allow
	Set      Sort // of the policies that decided
	// Policy and Statement name what decided: the policy's Name, and the statement's Sid or "#" and its
	// position counted from 1. Both are empty for an implicit denial.
	Policy    string
	Statement string
}
