package store

import (
	"cmp"
	"context"
	"database/sql"
	"slices"

	"github.com/sallyport/sallyport/internal/iam"
)

// selectCredential reads all that belongs to an access key in one statement, and so in one view: the key or
// session, its user, and a row for each policy (or one without). CROSS JOIN with a condition is a plain join that
// SQLite does in the order written: from the one key to what belongs to it, by index all the way.
const selectCredential = `
	WITH held AS MATERIALIZED (
		SELECT id, user_id, secret, active, created, '' AS boot, 0 AS uptime, used, used_service, used_region, NULL AS token, 0 AS expires, 0 AS temporary
		FROM iam_access_key WHERE id = $1
		UNION ALL
		SELECT id, user_id, secret, TRUE, created, boot, uptime, 0, '', '', token, expires, 1
		FROM iam_session WHERE id = $1
	), owner AS MATERIALIZED (
		SELECT u.id, 'user' AS kind, u.name
		FROM held CROSS JOIN iam_user u WHERE u.id = held.user_id
		UNION ALL
		SELECT g.id, 'group', g.name
		FROM held CROSS JOIN iam_member m CROSS JOIN iam_group g WHERE m.user_id = held.user_id AND g.id = m.group_id
	), applied AS (
		SELECT owner.kind, owner.name AS owner, '' AS arn, p.name, p.document
		FROM owner CROSS JOIN iam_inline_policy p WHERE p.owner_id = owner.id
		UNION ALL
		SELECT owner.kind, owner.name, a.policy_arn, COALESCE(p.name, ''), COALESCE(v.document, '')
		FROM owner CROSS JOIN iam_attachment a
			LEFT JOIN iam_policy p ON p.arn = a.policy_arn
			LEFT JOIN iam_policy_version v ON v.policy_id = p.id AND v.number = p.default_version
		WHERE a.owner_id = owner.id
	)
	SELECT held.id, held.user_id, held.secret, held.active, held.created, held.used, held.used_service, held.used_region,
		held.token, held.boot, held.uptime, held.expires, held.temporary, u.id, u.name, u.path, u.arn, u.created, u.tags,
		applied.kind, applied.owner, applied.arn, applied.name, applied.document
	FROM held LEFT JOIN iam_user u ON u.id = held.user_id LEFT JOIN applied ON TRUE`

// Credential implements iam.Store. A key whose user does not exist is not found: it must not pass for the root
// user's. Policies come by owner, users before groups, then by name.
func (s *Store) Credential(ctx context.Context, accessKeyID string) (iam.Credential, error) {
	return get(ctx, s, func(conn *session) (iam.Credential, error) {
		var c iam.Credential
		found := false
		err := conn.each(func(row scanner) error {
			r, err := scanCredential(row)
			if err != nil {
				return err
			}
			if !found {
				if c, err = r.credential(); err != nil {
					return err
				}
				found = true
			}
			if r.policyName.Valid {
				c.Policies = append(c.Policies, iam.OwnedPolicy{
					ARN:      r.policyARN.String,
					Name:     cmp.Or(r.policyName.String, nameOf(r.policyARN.String)),
					Owner:    iam.Owner{Kind: iam.OwnerKind(r.ownerKind.String), Name: r.ownerName.String},
					Document: r.document.String,
				})
			}
			return nil
		}, selectCredential, accessKeyID)
		if err == nil && (!found || c.Key.ID == "") {
			err = noKey(accessKeyID)
		}
		slices.SortFunc(c.Policies, func(a, b iam.OwnedPolicy) int {
			return cmp.Or(compareOwners(a.Owner, b.Owner), byName(a.Name, b.Name), cmp.Compare(a.ARN, b.ARN))
		})
		return c, err
	})
}

// credentialRow is a row of selectCredential.
type credentialRow struct {
	key                   iam.AccessKey
	userID                string
	created, used         int64
	token                 []byte
	boot                  string
	uptime, expires       int64
	temporary             bool
	id, name, path, arn   sql.NullString // of the user
	userCreated           sql.NullInt64
	tags                  sql.NullString
	ownerKind, ownerName  sql.NullString
	policyARN, policyName sql.NullString
	document              sql.NullString
}

func scanCredential(row scanner) (r credentialRow, err error) {
	err = row.Scan(&r.key.ID, &r.userID, &r.key.Secret, &r.key.Active, &r.created, &r.used, &r.key.LastUsed.Service, &r.key.LastUsed.Region,
		&r.token, &r.boot, &r.uptime, &r.expires, &r.temporary, &r.id, &r.name, &r.path, &r.arn, &r.userCreated, &r.tags,
		&r.ownerKind, &r.ownerName, &r.policyARN, &r.policyName, &r.document)
	return r, err
}

// credential is what the row says besides its policy; zero if the key's user does not exist.
func (r credentialRow) credential() (iam.Credential, error) {
	c := iam.Credential{Key: r.key}
	c.Key.Created, c.Key.LastUsed.Time = timeOf(r.created), timeOf(r.used)
	if r.userID != "" {
		if !r.id.Valid {
			return iam.Credential{}, nil
		}
		tags, err := decodeTags(r.tags.String)
		if err != nil {
			return iam.Credential{}, err
		}
		c.User = &iam.User{ID: r.id.String, Name: r.name.String, Path: r.path.String, ARN: r.arn.String, Created: timeOf(r.userCreated.Int64), Tags: tags}
		c.Key.UserName = c.User.Name
	}
	if r.temporary {
		c.Session = &iam.Session{
			AccessKeyID: c.Key.ID, UserName: c.Key.UserName, Secret: c.Key.Secret, Token: r.token,
			Created: readingOf(r.created, r.boot, r.uptime), Expires: timeOf(r.expires),
		}
	}
	return c, nil
}

// nameOf is the name within a policy's ARN, for AWS's own policies, which have no row.
func nameOf(arn string) string {
	for i := len(arn) - 1; i >= 0; i-- {
		if arn[i] == '/' {
			return arn[i+1:]
		}
	}
	return arn
}
