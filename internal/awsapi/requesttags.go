package awsapi

import (
	"iter"
	"strings"

	"github.com/sallyport/sallyport/internal/fault"
	"github.com/sallyport/sallyport/internal/policy"
)

// RequestTags makes the condition keys aws:RequestTag/KEY and aws:TagKeys of the tags in a request, so that
// policies can decide by what a resource would be tagged with. Conditions compare keys without regard to case;
// tags whose keys differ by nothing else could slip past one, and are refused (Invalid "tag").
func RequestTags(tags iter.Seq2[string, string]) (policy.Keys, error) {
	keys := policy.Keys{}
	for key, value := range tags {
		name := "aws:requesttag/" + strings.ToLower(key)
		if _, twice := keys[name]; twice {
			return nil, fault.New(fault.Invalid, "tag", "Duplicate tag key '%s' specified. Keys that differ only by case cannot be given in one request.", key)
		}
		keys[name] = []string{value}
		keys["aws:tagkeys"] = append(keys["aws:tagkeys"], key)
	}
	return keys, nil
}
