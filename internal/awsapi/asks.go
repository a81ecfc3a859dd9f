package awsapi

import (
	"iter"
	"maps"
	"slices"

	"github.com/sallyport/sallyport/internal/fault"
	"github.com/sallyport/sallyport/internal/gate"
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
			return nil, fault.New(fault.Invalid, fault.Tag, "Duplicate tag key '%s' specified.", key)
		}
		seen[key] = true
		name := "aws:requesttag/" + policy.Fold(key)
		keys[name] = append(keys[name], value)
		keys["aws:tagkeys"] = append(keys["aws:tagkeys"], key)
	}
	return keys, nil
}

// TagOnCreate adds the tags of a request that creates resources to its asks. Each ask about a resource that will have
// them (tagged says which) is asked with them, and beside it whether the caller may tag such a resource while creating
// it: ec2:CreateTags with the condition key ec2:CreateAction, which names the operation.
// https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/supported-iam-actions-tagging.html
func TagOnCreate(
	operation string, asks []gate.Ask, tags iter.Seq2[string, string], tagged func(gate.Ask) bool,
) ([]gate.Ask, error) {
	keys, err := RequestTags(tags)
	if err != nil || len(keys) == 0 {
		return asks, err
	}
	var also []gate.Ask
	for i, ask := range asks {
		if !tagged(ask) {
			continue
		}
		asks[i].Keys = merge(ask.Keys, keys)
		ask.Action, ask.Keys = "ec2:CreateTags", merge(asks[i].Keys, policy.Keys{"ec2:createaction": {operation}})
		also = append(also, ask)
	}
	return slices.Concat(asks, also), nil
}

// merge returns the keys of both, of which more's win.
func merge(keys, more policy.Keys) policy.Keys {
	merged := maps.Clone(keys)
	if merged == nil {
		merged = policy.Keys{}
	}
	maps.Copy(merged, more)
	return merged
}
