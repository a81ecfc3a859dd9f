package awsapi

import (
	"iter"

	"github.com/sallyport/sallyport/internal/fault"
	"github.com/sallyport/sallyport/internal/policy"
)

// RequestTags makes the condition keys aws:RequestTag/KEY and aws:TagKeys of the tags in a request, so that
// policies can decide by what a resource would be tagged with. Conditions compare keys without regard to case: of tags
// whose keys differ by nothing else, the condition key has every value, so that none slips past a condition on the
// other. A key that is there twice is refused (Invalid "tag").
func RequestTags(tags iter.Seq2[string, string]) (policy.Keys, error) {
	keys := policy.Keys{}
	seen := map[string]bool{}
	for key, value := range tags {
		if seen[key] {
			return nil, fault.New(fault.Invalid, "tag", "Duplicate tag key '%s' specified.", key)
		}
		seen[key] = true
		name := "aws:requesttag/" + policy.Fold(key)
		keys[name] = append(keys[name], value)
		keys["aws:tagkeys"] = append(keys["aws:tagkeys"], key)
	}
	return keys, nil
}
