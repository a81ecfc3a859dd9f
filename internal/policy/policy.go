// Package policy parses IAM policy documents and decides requests by them.
//
// It does no I/O and has no clock. A decision depends only on the request and the documents, so the same input always
// gives the same Decision. The rules are AWS's:
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html
package policy

// Policy is a parsed document with the name that a Decision reports.
type Policy struct {
	// Name is the ARN of a managed policy, or "NAME (inline policy of user|group OWNER)".
	Name     string
	Document *Document
}

// Set holds the policies of one sort that apply to a caller. The zero Set allows nothing.
type Set struct {
	Sort     Sort
	Policies []Policy
}

// Sort says why policies apply, in the words of AWS's denials.
type Sort string

// The sorts of policies.
const (
	IdentityBased Sort = "identity-based policy"
	Boundary      Sort = "permissions boundary"
	Session       Sort = "session policy"
)

// Context supplies the values of condition keys. Keys are passed folded (see Fold), because AWS ignores their case.
// ok is false if the request does not have the key.
type Context interface {
	Values(key string) (values []string, ok bool)
}

// Keys is a Context backed by a map, whose keys must be folded.
type Keys map[string][]string

// Values implements Context.
func (k Keys) Values(key string) ([]string, bool) { v, ok := k[key]; return v, ok }

// Request asks whether an action on a resource is allowed.
type Request struct {
	Action   string // "ec2:DescribeInstances"; compared without regard to case
	Resource string // an ARN, or "*" for actions that have no resource
	Context  Context
}

// Decision is the result of an evaluation, with its reason. The zero Decision is an implicit denial.
type Decision struct {
	Allowed  bool
	Explicit bool // denied by a Deny statement, not for lack of an Allow
	Set      Sort // the sort of the policies that decided
	// Policy and Statement identify what decided: the policy's Name, and the statement's Sid, or "#" and its position
	// counted from 1. Both are empty for an implicit denial.
	Policy    string
	Statement string
}
