package iam

import (
	"cmp"
	"slices"
	"time"

	"github.com/sallyport/sallyport/internal/clock"
	"github.com/sallyport/sallyport/internal/db"
)

// credential is what is stored of an active access key or session, of its user, and of the policies that apply to the
// user.
type credential struct {
	userID   string // empty for the root user
	secret   []byte // sealed
	user     Identity
	policies []ownedPolicy

	// Only for a session:
	token   []byte // sealed
	issued  clock.Reading
	expires time.Time
}

// ownedPolicy is a policy that applies to a user, and who has it.
type ownedPolicy struct {
	owner    Owner  // the user or group that has it
	arn      string // of a managed policy; empty for an inline policy
	name     string
	document string // empty for an AWS managed policy
}

const selectCredential = `
	SELECT user_id, secret, NULL AS token, created, '' AS boot, 0 AS uptime, 0 AS expires
	FROM iam_access_key WHERE id = $1 AND active
	UNION ALL
	SELECT user_id, secret, token, created, boot, uptime, expires
	FROM iam_session WHERE id = $1`

func scanCredential(row db.Scanner) (c credential, err error) {
	var created, uptime, expires int64
	var boot string
	err = row.Scan(&c.userID, &c.secret, &c.token, &created, &boot, &uptime, &expires)
	c.issued, c.expires = db.Reading(created, boot, uptime), db.Time(expires)
	return c, err
}

// selectOwnedPolicies selects the policies of a user and of the user's groups. CROSS JOIN with a condition is a plain
// join that SQLite does in the order written: from the one user to what belongs to it, using an index at every step.
const selectOwnedPolicies = `
	WITH owner AS MATERIALIZED (
		SELECT id, kind, name FROM iam_identity WHERE id = $1
		UNION ALL
		SELECT i.id, i.kind, i.name FROM iam_member m CROSS JOIN iam_identity i WHERE m.user_id = $1 AND i.id = m.group_id
	)
	SELECT owner.kind, owner.name, '', p.name, p.document
	FROM owner CROSS JOIN iam_inline_policy p WHERE p.owner_id = owner.id
	UNION ALL
	SELECT owner.kind, owner.name, a.policy_arn, '', COALESCE(v.document, '')
	FROM owner CROSS JOIN iam_attachment a
		LEFT JOIN iam_policy p ON p.arn = a.policy_arn
		LEFT JOIN iam_policy_version v ON v.policy_id = p.id AND v.number = p.default_version
	WHERE a.owner_id = owner.id`

func scanOwnedPolicy(row db.Scanner) (p ownedPolicy, err error) {
	err = row.Scan(&p.owner.Kind, &p.owner.Name, &p.arn, &p.name, &p.document)
	p.name = cmp.Or(p.name, nameOf(p.arn))
	return p, err
}

// findCredential returns what the gate must know of an active access key or session. The error is NotFound if there is
// none. The policies are ordered by owner, users before groups, and then by name.
func findCredential(tx *db.Tx, accessKeyID string) (credential, error) {
	absent := noAccessKey(accessKeyID)
	c, err := db.One(tx, absent, scanCredential, selectCredential, accessKeyID)
	if err != nil || c.userID == "" {
		return c, err
	}
	// The key of a user who does not exist must not be taken for the root user's.
	c.user, err = db.One(tx, absent, scanIdentity,
		`SELECT `+identityColumns+` FROM iam_identity i WHERE i.id = $1`, c.userID)
	if err != nil {
		return credential{}, err
	}
	c.policies, err = db.Collect(tx, scanOwnedPolicy, selectOwnedPolicies, c.userID)
	slices.SortFunc(c.policies, func(a, b ownedPolicy) int {
		return cmp.Or(cmp.Compare(b.owner.Kind, a.owner.Kind), compareNames(a.owner.Name, b.owner.Name),
			compareNames(a.name, b.name), cmp.Compare(a.arn, b.arn))
	})
	return c, err
}
