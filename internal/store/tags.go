package store

import (
	"cmp"
	"context"
	"slices"

	"github.com/sallyport/sallyport/internal/compute"
	"github.com/sallyport/sallyport/internal/fault"
	"github.com/sallyport/sallyport/internal/trail"
)

// PutTags implements compute.Store. NotFound if a resource does not exist.
func (s *Store) PutTags(ctx context.Context, tags []compute.Tag, event trail.Event) error {
	var ids []string
	for _, t := range tags {
		if !slices.Contains(ids, t.ResourceID) {
			ids = append(ids, t.ResourceID)
		}
	}
	return s.mutate(ctx, event, func(tx *session) error {
		if err := requireInstances(tx, ids); err != nil {
			return err
		}
		for _, t := range tags {
			if err := putTag(tx, t); err != nil {
				return err
			}
		}
		for _, id := range ids {
			var count int
			if err := tx.row(`SELECT COUNT(*) FROM tag WHERE resource_id = $1`, id).Scan(&count); err != nil {
				return err
			}
			if count > compute.MaxTags {
				return fault.New(fault.Limit, "tag", "The resource %s would have %d tags; at most %d are allowed. Delete some first.", id, count, compute.MaxTags)
			}
		}
		return nil
	})
}

func putTag(tx *session, t compute.Tag) error {
	_, err := tx.exec(`
		INSERT INTO tag (resource_id, resource_type, key, value) VALUES ($1, $2, $3, $4)
		ON CONFLICT (resource_id, key) DO UPDATE SET value = excluded.value`, t.ResourceID, t.ResourceType, t.Key, t.Value)
	return err
}

// DeleteTags implements compute.Store.
func (s *Store) DeleteTags(ctx context.Context, tags []compute.TagMatch, event trail.Event) error {
	return s.mutate(ctx, event, func(tx *session) error {
		for _, t := range tags {
			var err error
			switch {
			case t.Key == "":
				_, err = tx.exec(`DELETE FROM tag WHERE resource_id = $1`, t.ResourceID)
			case t.Value == nil:
				_, err = tx.exec(`DELETE FROM tag WHERE resource_id = $1 AND key = $2`, t.ResourceID, t.Key)
			default:
				_, err = tx.exec(`DELETE FROM tag WHERE resource_id = $1 AND key = $2 AND value = $3`, t.ResourceID, t.Key, *t.Value)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// Tags implements compute.Store. Those of terminated instances are left out.
func (s *Store) Tags(ctx context.Context, region string) ([]compute.Tag, error) {
	return get(ctx, s, func(conn *session) ([]compute.Tag, error) {
		tags, err := collect(conn, func(row scanner) (t compute.Tag, err error) {
			err = row.Scan(&t.ResourceID, &t.ResourceType, &t.Key, &t.Value)
			return t, err
		}, `SELECT t.resource_id, t.resource_type, t.key, t.value
			FROM instance i JOIN tag t ON t.resource_id = i.id
			WHERE i.region = $1 AND i.terminated = 0`, region)
		slices.SortFunc(tags, func(a, b compute.Tag) int {
			return cmp.Or(cmp.Compare(a.ResourceID, b.ResourceID), cmp.Compare(a.Key, b.Key))
		})
		return tags, err
	})
}

// ResourceTags implements compute.Store.
func (s *Store) ResourceTags(ctx context.Context, resourceID string) (map[string]string, error) {
	return get(ctx, s, func(conn *session) (map[string]string, error) {
		tags := map[string]string{}
		err := conn.each(func(row scanner) error {
			var key, value string
			err := row.Scan(&key, &value)
			tags[key] = value
			return err
		}, `SELECT key, value FROM tag WHERE resource_id = $1`, resourceID)
		return tags, err
	})
}
