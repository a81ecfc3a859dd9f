package policy

// verdict is the answer of a condition. Beside no and yes there is unsettled, where AWS does not say what the
// answer is (docs/policy-decisions.md lists the cases): it never helps the caller, since an Allow needs a yes and a
// Deny is content with unsettled. The order makes min an "and", max an "or".
type verdict uint8

const (
	no verdict = iota
	unsettled
	yes
)

// not turns no and yes around; unsettled stays.
func (v verdict) not() verdict { return yes - v }

func verdictOf(b bool) verdict {
	if b {
		return yes
	}
	return no
}
