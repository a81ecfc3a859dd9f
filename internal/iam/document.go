package iam

import (
	"github.com/sallyport/sallyport/internal/fault"
	"github.com/sallyport/sallyport/internal/policy"
)

// checkDocument refuses a policy document that is none: a fault with Resource "policy-document".
func checkDocument(document string) error {
	_, err := policy.Parse(document)
	return err
}

// checkManagedDocument is checkDocument with the limit of managed policies.
func checkManagedDocument(document string) error {
	if err := checkDocument(document); err != nil {
		return err
	}
	if n := size(document); n > maxManagedDocument {
		return fault.New(fault.Limit, "policy-document", "Cannot exceed quota for PolicySize: %d. The document has %d characters without white space.", maxManagedDocument, n)
	}
	return nil
}

// checkInlineSize refuses more text than all inline policies of an owner may have together.
func checkInlineSize(owner Owner, others []InlinePolicy, added InlinePolicy) error {
	limit := maxUserInline
	if owner.Kind == OwnerGroup {
		limit = maxGroupInline
	}
	total := size(added.Document)
	for _, p := range others {
		if p.Name != added.Name {
			total += size(p.Document)
		}
	}
	if total > limit {
		return fault.New(fault.Limit, "policy-document", "Maximum policy size of %d bytes exceeded for %s %s: its inline policies would have %d characters without white space. Use a managed policy instead.", limit, owner.Kind, owner.Name, total)
	}
	return nil
}

// size is a document's length as IAM counts it: in characters, without white space.
func size(document string) int {
	n := 0
	for _, r := range document {
		switch r {
		case ' ', '\t', '\n', '\r':
		default:
			n++
		}
	}
	return n
}
