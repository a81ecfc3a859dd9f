package policy

// verdict is the answer of a condition. It is unsettled where AWS does not say whether the condition holds
// (docs/policy-decisions.md lists the cases). That never helps the caller: an Allow needs yes, while unsettled is
// enough for a Deny. Because of the order of the values, min is "and" and max is "or".
type verdict uint8

const (
	no verdict = iota
	unsettled
	yes
)

// not exchanges no and yes, and leaves unsettled.
func (v verdict) not() verdict { return yes - v }

func verdictOf(b bool) verdict {
	if b {
		return yes
	}
	return no
}
