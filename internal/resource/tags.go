package resource

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/sallyport/sallyport/internal/clock"
	"github.com/sallyport/sallyport/internal/db"
	"github.com/sallyport/sallyport/internal/fault"
	"github.com/sallyport/sallyport/internal/gate"
	"github.com/sallyport/sallyport/internal/page"
	"github.com/sallyport/sallyport/internal/policy"
)

// EC2's limits on tags, see https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Using_Tags.html#tag-restrictions
const (
	maxTags     = 50  // of one resource
	maxTagKey   = 128 // characters
	maxTagValue = 256 // characters
)

// Tag is one tag of a resource.
type Tag struct {
	ResourceID string
	Kind       string // "instance"
	Key, Value string
}

// TagMatch selects the tags to delete.
type TagMatch struct {
	Key   string
	Value *string // nil for any value
}

// Tags keeps the tags of all resources of every kind.
type Tags struct {
	db    *db.DB
	clock clock.Clock
}

// NewTags returns the tags in the database.
func NewTags(database *db.DB, clock clock.Clock) *Tags { return &Tags{database, clock} }

// Set sets the tags on all the resources, or on none if there is an error: NotFound if a resource does not exist,
// Invalid "tag" if a tag is not valid, Limit "tag" if a resource would have more than 50.
func (s *Tags) Set(tx *gate.Tx, ids []string, tags map[string]string) error {
	if err := tx.Check(); err != nil {
		return err
	}
	if len(tags) == 0 {
		return fault.New(fault.Missing, fault.Tag, "The request must contain the parameter Tag.")
	}
	if err := CheckTags(tags); err != nil {
		return err
	}
	return s.each(tx, ids, func(id string) error {
		if err := putTags(tx.Tx, id, tags); err != nil {
			return err
		}
		var count int
		if err := tx.Row(`SELECT COUNT(*) FROM tag WHERE resource_id = $1`, id).Scan(&count); err != nil {
			return err
		}
		if count > maxTags {
			return fault.New(fault.Limit, fault.Tag, "The resource %s would have %d tags; at most %d are allowed. "+
				"Delete some first.", id, count, maxTags)
		}
		return nil
	})
}

// Delete deletes the tags that match from all the resources, or all their tags if there are no matches. It ignores tags
// that do not exist. The error is NotFound if a resource does not exist.
func (s *Tags) Delete(tx *gate.Tx, ids []string, matches []TagMatch) error {
	if err := tx.Check(); err != nil {
		return err
	}
	for _, m := range matches {
		if err := checkTagKey(m.Key); err != nil {
			return err
		}
	}
	return s.each(tx, ids, func(id string) error {
		if len(matches) == 0 {
			_, err := tx.Exec(`DELETE FROM tag WHERE resource_id = $1`, id)
			return err
		}
		for _, m := range matches {
			query, args := `DELETE FROM tag WHERE resource_id = $1 AND key = $2`, []any{id, m.Key}
			if m.Value != nil {
				query, args = query+` AND value = $3`, append(args, *m.Value)
			}
			if _, err := tx.Exec(query, args...); err != nil {
				return err
			}
		}
		return nil
	})
}

// each calls fn with the ids in order, each once, after it checked that all are resources of the transaction's region.
func (s *Tags) each(tx *gate.Tx, ids []string, fn func(id string) error) error {
	ids = sorted(ids) // transactions that lock rows in the same order do not deadlock
	missing := map[string][]string{}
	for _, id := range ids {
		kind, ok := Of(id)
		if !ok {
			return BadID(id)
		}
		there, err := tx.Exists(`SELECT 1 FROM resource
			WHERE id = $1 AND kind = $2 AND region = $3 AND (ended = 0 OR ended > $4)`,
			id, kind.Name, tx.Region(), db.Micros(s.clock.Now().Add(-kind.Lingers)))
		if err != nil {
			return err
		}
		if !there {
			missing[kind.Name] = append(missing[kind.Name], id)
		}
	}
	for _, kind := range kinds {
		if ids := missing[kind.Name]; len(ids) > 0 {
			return kind.NotFound(ids...)
		}
	}
	for _, id := range ids {
		if err := fn(id); err != nil {
			return err
		}
	}
	return nil
}

// BadID returns the fault for a text that is not an id of any kind.
func BadID(id string) *fault.Error {
	f := fault.New(fault.Invalid, fault.ResourceID,
		"The ID '%s' is not valid. Give the whole ID of a resource, such as i- and 17 hex digits.", Shown(id))
	f.Code = "InvalidID"
	return f
}

// CheckTaggable checks the ids of a request that tags: it returns an error if there are none, more than MaxIDs, or one
// that is not an id of any kind.
func CheckTaggable(ids []string) error {
	if len(ids) == 0 {
		return fault.New(fault.Missing, fault.Parameter, "The request must contain the parameter resourceIdSet.")
	}
	for _, id := range ids {
		if _, ok := Of(id); !ok {
			return BadID(id)
		}
	}
	return checkCount(ids)
}

var tagFilters = Filters[Tag]{
	Tags: func(t Tag) map[string]string { return map[string]string{t.Key: t.Value} },
	Names: map[string]func(Tag) []string{
		"key":           func(t Tag) []string { return []string{t.Key} },
		"value":         func(t Tag) []string { return []string{t.Value} },
		"resource-id":   func(t Tag) []string { return []string{t.ResourceID} },
		"resource-type": func(t Tag) []string { return []string{t.Kind} },
	},
}

// List returns the tags of the pass's region that match the filters, ordered by resource and key, and the token of the
// next page. It leaves out the tags of resources that ended.
func (s *Tags) List(ctx context.Context, pass gate.Pass, wanted []Filter, p page.Page) ([]Tag, string, error) {
	if err := pass.Check(); err != nil {
		return nil, "", err
	}
	tags, err := db.Get(ctx, s.db, func(tx *db.Tx) ([]Tag, error) {
		return db.Collect(tx, func(row db.Scanner) (t Tag, err error) {
			err = row.Scan(&t.ResourceID, &t.Kind, &t.Key, &t.Value)
			return t, err
		}, `SELECT r.id, r.kind, t.key, t.value FROM resource r JOIN tag t ON t.resource_id = r.id
			WHERE r.region = $1 AND r.ended = 0`, pass.Region())
	})
	if err != nil {
		return nil, "", err
	}
	if tags, err = tagFilters.Keep(tags, wanted); err != nil {
		return nil, "", err
	}
	slices.SortFunc(tags, func(a, b Tag) int {
		return cmp.Or(cmp.Compare(a.ResourceID, b.ResourceID), cmp.Compare(a.Key, b.Key))
	})
	key := func(t Tag) string { return t.ResourceID + "\x00" + t.Key } // sorts like the pair
	return page.Cut(tags, key, p.Size, p.Token, []any{"tags", pass.Region(), wanted})
}

// ResourceTags implements gate.Tags: it returns the tags of the resource with the ARN. Policies are evaluated with
// them, so it takes no pass. A resource that does not exist has no tags.
func (s *Tags) ResourceTags(ctx context.Context, arn string) (map[string]string, error) {
	id := arn[strings.LastIndexByte(arn, '/')+1:]
	if _, ok := Of(id); !ok || !strings.HasPrefix(arn, "arn:aws:ec2:") {
		return nil, nil
	}
	return db.Get(ctx, s.db, func(tx *db.Tx) (map[string]string, error) {
		tags := map[string]string{}
		err := tx.Each(func(row db.Scanner) error {
			var key, value string
			err := row.Scan(&key, &value)
			tags[key] = value
			return err
		}, `SELECT key, value FROM tag WHERE resource_id = $1`, id)
		return tags, err
	})
}

func putTags(tx *db.Tx, id string, tags map[string]string) error {
	for key, value := range tags {
		_, err := tx.Exec(`INSERT INTO tag (resource_id, key, value) VALUES ($1, $2, $3)
			ON CONFLICT (resource_id, key) DO UPDATE SET value = excluded.value`, id, key, value)
		if err != nil {
			return err
		}
	}
	return nil
}

// CheckTags returns an error if no resource can have the tags.
func CheckTags(tags map[string]string) error {
	if len(tags) > maxTags {
		return fault.New(fault.Limit, fault.Tag, "A resource can have at most %d tags.", maxTags)
	}
	for key, value := range tags {
		if err := checkTagKey(key); err != nil {
			return err
		}
		if utf8.RuneCountInString(value) > maxTagValue || !utf8.ValidString(value) {
			return fault.New(fault.Invalid, fault.Tag, "Tag value exceeds the maximum length of %d characters", maxTagValue)
		}
	}
	return nil
}

func checkTagKey(key string) error {
	switch {
	case key == "":
		return fault.New(fault.Invalid, fault.Tag, "Tag keys cannot be empty")
	case utf8.RuneCountInString(key) > maxTagKey || !utf8.ValidString(key):
		return fault.New(fault.Invalid, fault.Tag, "Tag key exceeds the maximum length of %d characters", maxTagKey)
	case strings.HasPrefix(policy.Fold(key), "aws:"):
		return fault.New(fault.Invalid, fault.Tag, "Tag keys starting with 'aws:' are reserved for internal use")
	}
	return nil
}
