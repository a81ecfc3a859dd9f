package compute

import (
	"context"
	"strings"
	"unicode/utf8"

	"github.com/sallyport/sallyport/internal/fault"
	"github.com/sallyport/sallyport/internal/gate"
	"github.com/sallyport/sallyport/internal/policy"
)

// EC2's limits on tags.
// https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Using_Tags.html#tag-restrictions
const (
	MaxTags     = 50  // on a resource
	MaxTagKey   = 128 // characters
	MaxTagValue = 256 // characters
)

// Tag sets the tags on every instance of the ids, or none of them anywhere if an instance does not exist
// (NotFound "instance"), a tag is not a valid one (Invalid "tag") or an instance would have too many (Limit
// "tag").
func (s *Service) Tag(ctx context.Context, pass gate.Pass, ids []string, tags map[string]string) error {
	if err := pass.Check(); err != nil {
		return err
	}
	if len(tags) == 0 {
		return fault.New(fault.Missing, "Tag", "The request must contain the parameter Tag.")
	}
	if err := checkTags(tags); err != nil {
		return err
	}
	ids, err := s.taggable(ctx, pass, ids)
	if err != nil {
		return err
	}
	var all []Tag
	for _, id := range ids {
		for key, value := range tags {
			all = append(all, Tag{ResourceID: id, ResourceType: "instance", Key: key, Value: value})
		}
	}
	return s.store.PutTags(ctx, all, pass.Event(done(pass)))
}

// done is the response of an operation that answers nothing else, as CloudTrail writes it.
func done(pass gate.Pass) map[string]any {
	return map[string]any{"requestId": pass.RequestID(), "_return": true}
}

// Untag deletes from every instance of the ids the tags that match, or all its tags if there are no matches.
// Tags that are not there are no error; an instance that is not there is (NotFound "instance"). The matches'
// ResourceID is left empty.
func (s *Service) Untag(ctx context.Context, pass gate.Pass, ids []string, matches []TagMatch) error {
	if err := pass.Check(); err != nil {
		return err
	}
	for _, m := range matches {
		if err := checkTagKey(m.Key); err != nil {
			return err
		}
	}
	if len(matches) == 0 {
		matches = []TagMatch{{}}
	}
	ids, err := s.taggable(ctx, pass, ids)
	if err != nil {
		return err
	}
	var all []TagMatch
	for _, id := range ids {
		for _, m := range matches {
			m.ResourceID = id
			all = append(all, m)
		}
	}
	return s.store.DeleteTags(ctx, all, pass.Event(done(pass)))
}

// Tags returns the tags of the pass's region that match the filters, by resource and key, and the token of the
// next page.
func (s *Service) Tags(ctx context.Context, pass gate.Pass, wanted []Filter, p Page) ([]Tag, string, error) {
	if err := pass.Check(); err != nil {
		return nil, "", err
	}
	tags, err := s.store.Tags(ctx, pass.Region())
	if err != nil {
		return nil, "", err
	}
	tags, err = tagFilters().keep(tags, wanted)
	if err != nil {
		return nil, "", err
	}
	key := func(t Tag) string { return t.ResourceID + "\x00" + t.Key } // in the store's order, whatever is in an id
	return cut(tags, p, []any{"tags", pass.Region(), wanted}, key)
}

// taggable returns the ids sorted, each once, if every one is an instance we have.
func (s *Service) taggable(ctx context.Context, pass gate.Pass, ids []string) ([]string, error) {
	if len(ids) == 0 {
		return nil, fault.New(fault.Missing, "ResourceId", "The request must contain the parameter resourceIdSet.")
	}
	_, err := s.find(ctx, pass, ids)
	return sortedSet(ids), err // transactions that lock rows in one order do not wait for each other
}

func checkTags(tags map[string]string) error {
	if len(tags) > MaxTags {
		return fault.New(fault.Limit, "tag", "A resource can have at most %d tags.", MaxTags)
	}
	for key, value := range tags {
		if err := checkTagKey(key); err != nil {
			return err
		}
		if utf8.RuneCountInString(value) > MaxTagValue || !utf8.ValidString(value) {
			return fault.New(fault.Invalid, "tag", "Tag value exceeds the maximum length of %d characters", MaxTagValue)
		}
	}
	return nil
}

func checkTagKey(key string) error {
	switch {
	case key == "":
		return fault.New(fault.Invalid, "tag", "Tag keys cannot be empty")
	case utf8.RuneCountInString(key) > MaxTagKey || !utf8.ValidString(key):
		return fault.New(fault.Invalid, "tag", "Tag key exceeds the maximum length of %d characters", MaxTagKey)
	case strings.HasPrefix(policy.Fold(key), "aws:"):
		return fault.New(fault.Invalid, "tag", "Tag keys starting with 'aws:' are reserved for internal use")
	}
	return nil
}
