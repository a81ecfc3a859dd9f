package iam

import (
	"maps"
	"strings"

	"github.com/sallyport/sallyport/internal/fault"
	"github.com/sallyport/sallyport/internal/gate"
	"github.com/sallyport/sallyport/internal/policy"
)

// Tag sets tags on a user.
func (s *Service) Tag(tx *gate.Tx, owner Owner, tags map[string]string) error {
	return s.change(tx, owner, func(i *Identity) (err error) {
		i.Tags, err = mergeTags(i.Tags, tags)
		return err
	})
}

// Untag removes tags from a user. It ignores tags that the user does not have.
func (s *Service) Untag(tx *gate.Tx, owner Owner, keys []string) error {
	return s.change(tx, owner, func(i *Identity) error {
		for _, key := range keys {
			delete(i.Tags, spelling(i.Tags, key))
		}
		return nil
	})
}

// mergeTags returns old with the new tags set. Tag keys are compared without regard to case, and keep the spelling that
// they had first. The result is never nil.
func mergeTags(old, set map[string]string) (map[string]string, error) {
	merged := maps.Clone(old)
	if merged == nil {
		merged = map[string]string{}
	}
	for key, value := range set {
		if strings.HasPrefix(policy.Fold(key), "aws:") {
			return nil, invalid("The tag key %q begins with aws:, which is reserved.", key)
		}
		merged[spelling(merged, key)] = value
	}
	if len(merged) > maxTags {
		return nil, fault.New(fault.Limit, fault.Tag, "Cannot exceed quota for TagsPerUser: %d", maxTags)
	}
	return merged, nil
}

// spelling returns the key as it is spelled in tags, or as given if it is not there.
func spelling(tags map[string]string, key string) string {
	for present := range tags {
		if policy.Fold(present) == policy.Fold(key) {
			return present
		}
	}
	return key
}
