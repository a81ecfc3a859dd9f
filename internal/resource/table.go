package resource

import (
	"cmp"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/sallyport/sallyport/internal/db"
	"github.com/sallyport/sallyport/internal/fault"
)

// Head is what every resource has. A document embeds it with the JSON tag "-", as its fields have columns of their own.
type Head struct {
	ID      string
	Region  string
	Version int64     // 1 when created, and one more with each update; 0 before
	Ended   time.Time // zero while it lives; see Kind.Lingers
	Tags    map[string]string
}

func (h *Head) head() *Head { return h }

// Document is a struct that embeds Head and is stored as JSON.
type Document[T any] interface {
	*T
	head() *Head
}

// Table keeps the resources of a kind.
type Table[T any, P Document[T]] struct{ Kind Kind }

// Create adds a resource and its tags.
func (t Table[T, P]) Create(tx *db.Tx, resource P) error {
	text, err := db.Encode(resource)
	if err != nil {
		return err
	}
	h := resource.head()
	h.Version = 1
	_, err = tx.Exec(`INSERT INTO resource (id, kind, region, version, ended, document) VALUES ($1, $2, $3, $4, $5, $6)`,
		h.ID, t.Kind.Name, h.Region, h.Version, db.Micros(h.Ended), text)
	if err != nil {
		return err
	}
	return putTags(tx, h.ID, h.Tags)
}

// Update writes back a resource that was read in the same transaction. It does not write tags. It returns NotFound if
// the resource was changed or deleted since it was read.
func (t Table[T, P]) Update(tx *db.Tx, resource P) error {
	text, err := db.Encode(resource)
	if err != nil {
		return err
	}
	h := resource.head()
	h.Version++
	return tx.Change(t.Kind.NotFound(h.ID),
		`UPDATE resource SET version = $2, ended = $3, document = $4 WHERE id = $1 AND version = $2 - 1`,
		h.ID, h.Version, db.Micros(h.Ended), text)
}

// Delete deletes a resource with its tags, its claims and its references to others. It returns InUse if another
// resource refers to it.
func (t Table[T, P]) Delete(tx *db.Tx, id string) error {
	users, err := Users(tx, id)
	if err != nil {
		return err
	}
	if len(users) > 0 {
		f := fault.New(fault.InUse, t.Kind.Subject, "The %s '%s' has a dependency on it: %s uses it.",
			t.Kind.Noun, id, users[0].Source)
		f.Code = "DependencyViolation"
		return f
	}
	for _, of := range []string{`tag WHERE resource_id`, `claim WHERE resource_id`, `reference WHERE source`} {
		if _, err := tx.Exec(`DELETE FROM `+of+` = $1`, id); err != nil {
			return err
		}
	}
	return tx.Change(t.Kind.NotFound(id), `DELETE FROM resource WHERE id = $1 AND kind = $2`, id, t.Kind.Name)
}

// selectResources selects resources and their tags: one row for each tag, or one row for a resource without tags.
const selectResources = `
	SELECT r.id, r.region, r.version, r.ended, r.document, t.key, t.value
	FROM resource r LEFT JOIN tag t ON t.resource_id = r.id WHERE r.kind = $1 AND `

// Get returns the resource of the kind with the id, in any region, even if it has ended. The error is NotFound if there
// is none.
func (t Table[T, P]) Get(tx *db.Tx, id string) (T, error) {
	var found T
	err := error(t.Kind.NotFound(id))
	each := t.each(tx, func(one T) error {
		found, err = one, nil
		return nil
	}, selectResources+`r.id = $2`, t.Kind.Name, id)
	return found, cmp.Or(each, err)
}

// Find returns the region's resources with the ids, in the order of the ids, each once. A single NotFound fault names
// all that are missing. A resource that ended is found while it lingers.
func (t Table[T, P]) Find(tx *db.Tx, region string, now time.Time, ids ...string) ([]T, error) {
	if err := checkCount(ids); err != nil {
		return nil, err
	}
	var all []T
	var missing []string
	seen := map[string]bool{}
	for _, id := range ids {
		if seen[id] {
			continue
		}
		seen[id] = true
		found, err := t.Get(tx, id)
		switch {
		case fault.Is(err, fault.NotFound), err == nil && !t.visible(P(&found).head(), region, now):
			missing = append(missing, id)
		case err != nil:
			return nil, err
		default:
			all = append(all, found)
		}
	}
	if len(missing) > 0 {
		return nil, t.Kind.NotFound(missing...)
	}
	return all, nil
}

func (t Table[T, P]) visible(h *Head, region string, now time.Time) bool {
	return h.Region == region && (h.Ended.IsZero() || h.Ended.After(now.Add(-t.Kind.Lingers)))
}

// List calls fn with the region's resources in the order of their ids, beginning after the given id, including those
// that ended and linger. fn returns ErrEnough to end the listing.
func (t Table[T, P]) List(tx *db.Tx, region string, now time.Time, after string, fn func(T) error) error {
	err := t.each(tx, fn, selectResources+`r.region = $2 AND r.id > $3 AND (r.ended = 0 OR r.ended > $4) ORDER BY r.id`,
		t.Kind.Name, region, after, db.Micros(now.Add(-t.Kind.Lingers)))
	if errors.Is(err, ErrEnough) {
		return nil
	}
	return err
}

// ErrEnough is returned by the function of a listing to end it. The listing itself then returns nil.
var ErrEnough = errors.New("resource: enough")

// each runs a query of selectResources that orders the rows by resource, and calls fn with each resource.
func (t Table[T, P]) each(tx *db.Tx, fn func(T) error, query string, args ...any) error {
	var current *T // its tags may still follow
	done := func() error {
		if current == nil {
			return nil
		}
		one := *current
		current = nil
		return fn(one)
	}
	err := tx.Each(func(row db.Scanner) error {
		var h Head
		var document sql.RawBytes // valid until the next row; decoded once for each resource
		var ended int64
		var key, value *string
		if err := row.Scan(&h.ID, &h.Region, &h.Version, &ended, &document, &key, &value); err != nil {
			return err
		}
		if current == nil || P(current).head().ID != h.ID {
			if err := done(); err != nil {
				return err
			}
			one, err := db.Decode[T](document)
			if err != nil {
				return fmt.Errorf("%s %s: %w", t.Kind.Noun, h.ID, err)
			}
			h.Ended = db.Time(ended)
			*P(&one).head() = h
			current = &one
		}
		if key != nil {
			h := P(current).head()
			if h.Tags == nil {
				h.Tags = map[string]string{}
			}
			h.Tags[*key] = *value
		}
		return nil
	}, query, args...)
	if err != nil {
		return err
	}
	return done()
}

// sorted returns the strings sorted, each once.
func sorted(list []string) []string { return slices.Compact(slices.Sorted(slices.Values(list))) }
