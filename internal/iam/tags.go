package iam

import (
	"maps"
	"strings"

	"github.com/sallyport/sallyport/internal/fault"
	"github.com/sallyport/sallyport/internal/policy"
)

// invalid is a fault about a parameter's value.
func invalid(format string, args ...any) error {
	return fault.New(fault.Invalid, "parameter", format, args...)
}

// mergeTags returns old with the new tags set. Tag keys are compared without regard to case, and keep the
// spelling they first had.
func mergeTags(old, set map[string]string) (map[string]string, error) {
	merged := maps.Clone(old)
	if merged == nil {
		merged = map[string]string{}
	}
	for key, value := range set {
		if strings.HasPrefix(policy.Fold(key), "aws:") {
			return nil, invalid("The tag key %q begins with aws:, which is reserved.", key)
		}
		if present, ok := findTag(merged, key); ok {
			key = present
		}
		merged[key] = value
	}
	if len(merged) > maxTags {
		return nil, fault.New(fault.Limit, "tag", "Cannot exceed quota for TagsPerUser: %d", maxTags)
	}
	return merged, nil
}

// findTag returns the spelling in which the tags have the key.
func findTag(tags map[string]string, key string) (string, bool) {
	for present := range tags {
		if policy.Fold(present) == policy.Fold(key) {
			return present, true
		}
	}
	return "", false
}
