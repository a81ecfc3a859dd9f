package iam

import (
	"github.com/sallyport/sallyport/internal/fault"
	"github.com/sallyport/sallyport/internal/policy"
)

// checkManagedDocument returns a fault, Subject "policy-document", if no managed policy can have the document.
func checkManagedDocument(document string) error {
	if err := policy.Validate(document, true); err != nil {
		return err
	}
	if n := size(document); n > maxManagedDocument {
		return fault.New(fault.Limit, fault.PolicyDocument,
			"Cannot exceed quota for PolicySize: %d. The document has %d characters without white space.",
			maxManagedDocument, n)
	}
	return nil
}

// checkInlineSize returns an error if the inline policies together are longer than the identity's kind permits.
func checkInlineSize(i Identity, all []InlinePolicy) error {
	kind, err := kindOf(i.Kind)
	if err != nil {
		return err
	}
	total := 0
	for _, p := range all {
		total += size(p.Document)
	}
	if total > kind.maxInline {
		return fault.New(fault.Limit, fault.PolicyDocument, "Maximum policy size of %d bytes exceeded for %s %s: its "+
			"inline policies would have %d characters without white space. Use a managed policy instead.",
			kind.maxInline, i.Kind, i.Name, total)
	}
	return nil
}

// size returns a document's length as IAM counts it: in characters, without white space.
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
