package awsapi

import (
	"iter"
	"maps"
	"slices"

	"github.com/sallyport/sallyport/internal/fault"
	"github.com/sallyport/sallyport/internal/gate"
	"github.com/sallyport/sallyport/internal/policy"
)

// RequestTags returns the condition keys aws:RequestTag/KEY and aws:TagKeys for the tags in a request, so that
// policies can decide by the tags that a resource would get. Conditions ignore the case of keys. If the keys of
// several tags differ only in case, the condition key has the values of all of them, so that none evades a condition
// on another. A key that is given twice is refused (Invalid, Subject Tag).
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

// TagOnCreate adds the tags in a request that creates resources to its asks. tagged reports whether an ask is about a
// resource that gets the tags. Such an ask gets the condition keys of the tags. A second ask is added for the same
// resource: ec2:CreateTags with the condition key ec2:CreateAction, which names the operation, since the caller needs
// permission to tag the resource while creating it.
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

// merge returns the keys of both. If both have a key, more wins.
func merge(keys, more policy.Keys) policy.Keys {
	merged := maps.Clone(keys)
	if merged == nil {
		merged = policy.Keys{}
	}
	maps.Copy(merged, more)
	return merged
}
