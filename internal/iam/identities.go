package iam

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/sallyport/sallyport/internal/db"
	"github.com/sallyport/sallyport/internal/fault"
	"github.com/sallyport/sallyport/internal/gate"
	"github.com/sallyport/sallyport/internal/policy"
	"github.com/sallyport/sallyport/internal/trail"
)

// Identity is a user or a group.
type Identity struct {
	Owner
	ID      string // AIDA… or AGPA…
	Path    string // begins and ends with "/"
	ARN     string
	Created time.Time
	Tags    map[string]string // only of users
}

// rootPath is the path of users, groups and policies that were created without one.
const rootPath = "/"

func (i Identity) resource() trail.Resource { return trail.Resource{ARN: i.ARN, Type: i.Kind.Type()} }

const identityColumns = `i.kind, i.name, i.id, i.path, i.arn, i.created, i.tags`

func scanIdentity(row db.Scanner) (i Identity, err error) {
	var created int64
	var tags []byte
	if err := row.Scan(&i.Kind, &i.Name, &i.ID, &i.Path, &i.ARN, &created, &tags); err != nil {
		return i, err
	}
	i.Created = db.Time(created)
	i.Tags, err = db.Decode[map[string]string](tags)
	return i, err
}

// find returns the identity with the name. The error is NotFound if there is none.
func find(tx *db.Tx, owner Owner) (Identity, error) {
	if _, err := kindOf(owner.Kind); err != nil {
		return Identity{}, err
	}
	return db.One(tx, owner.notFound(), scanIdentity,
		`SELECT `+identityColumns+` FROM iam_identity i WHERE i.kind = $1 AND i.folded = $2`,
		string(owner.Kind), policy.Fold(owner.Name))
}

// NewIdentity describes a user or group to create. An empty Path is "/".
type NewIdentity struct {
	Owner
	Path string
	Tags map[string]string // only of a user
}

// Create creates a user without permissions, or a group without members.
func (s *Service) Create(tx *gate.Tx, in NewIdentity) (Identity, error) {
	if err := s.begin(tx); err != nil {
		return Identity{}, err
	}
	kind, err := kindOf(in.Kind)
	if err != nil {
		return Identity{}, err
	}
	i := Identity{Owner: in.Owner, Path: cmp.Or(in.Path, rootPath), Created: moment(tx)}
	i.ARN = s.NewARN(string(in.Kind), i.Path, i.Name)
	if i.Tags, err = mergeTags(nil, in.Tags); err != nil {
		return Identity{}, err
	}
	tags, err := db.Encode(i.Tags)
	if err != nil {
		return Identity{}, err
	}
	if i.ID, err = newID(s.random, kind.idPrefix); err != nil {
		return Identity{}, err
	}
	return i, tx.Change(i.exists(), `
		INSERT INTO iam_identity (id, kind, name, folded, path, arn, created, tags)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING`,
		i.ID, string(i.Kind), i.Name, policy.Fold(i.Name), i.Path, i.ARN, db.Micros(i.Created), tags)
}

// Identities returns the users or groups whose path has the prefix, ordered by name. An empty prefix is "/".
func (s *Service) Identities(
	ctx context.Context, pass gate.Pass, kind OwnerKind, pathPrefix string,
) ([]Identity, error) {
	return read(ctx, s, pass, func(tx *db.Tx) ([]Identity, error) {
		if _, err := kindOf(kind); err != nil {
			return nil, err
		}
		all, err := byName(db.Collect(tx, scanIdentity,
			`SELECT `+identityColumns+` FROM iam_identity i WHERE i.kind = $1`, string(kind)))
		return slices.DeleteFunc(all, func(i Identity) bool { return !strings.HasPrefix(i.Path, pathPrefix) }), err
	})
}

// byName sorts identities by kind, and those of one kind by name.
func byName(identities []Identity, err error) ([]Identity, error) {
	slices.SortFunc(identities, func(a, b Identity) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), compareNames(a.Name, b.Name))
	})
	return identities, err
}

// compareNames compares names without regard to case.
func compareNames(a, b string) int { return strings.Compare(policy.Fold(a), policy.Fold(b)) }

// User returns the user with the name, or the caller if the name is empty. The root user has no name and no path, and
// was created when its oldest access key was.
func (s *Service) User(ctx context.Context, pass gate.Pass, name string) (Identity, error) {
	return read(ctx, s, pass, func(tx *db.Tx) (Identity, error) {
		user, err := subject(tx, pass, name)
		if err != nil || user.ID != "" {
			return user, err
		}
		var created int64
		err = tx.Row(`SELECT COALESCE(MIN(created), 0) FROM iam_access_key WHERE user_id = ''`).Scan(&created)
		return Identity{ID: s.account, ARN: s.RootARN(), Created: db.Time(created)}, err
	})
}

// subject returns the user that a call is about: the one that it names, or the caller. For the root user it returns the
// zero Identity, whose ID is the user id of the root user's access keys and sessions. A caller who was just renamed is
// not found, even if another user has the old name now.
func subject(tx *db.Tx, pass gate.Pass, name string) (Identity, error) {
	caller := pass.Identity()
	switch {
	case name != "":
		return find(tx, Owner{OwnerUser, name})
	case caller.Type == trail.Root:
		return Identity{}, nil
	case caller.Type != trail.IAMUser || caller.UserName == "":
		return Identity{}, invalid("Must specify userName when calling with non-User credentials")
	}
	user, err := find(tx, Owner{OwnerUser, caller.UserName})
	if err == nil && user.ID != caller.PrincipalID {
		return Identity{}, Owner{OwnerUser, caller.UserName}.notFound()
	}
	return user, err
}

// Update changes the name or path, or both, of a user or group; an empty one is not changed. The identity keeps its id,
// members, groups, policies and access keys, and policies know it under the new ARN at once.
func (s *Service) Update(tx *gate.Tx, owner Owner, newName, newPath string) error {
	return s.change(tx, owner, func(i *Identity) error {
		i.Name, i.Path = cmp.Or(newName, i.Name), cmp.Or(newPath, i.Path)
		i.ARN = s.NewARN(string(i.Kind), i.Path, i.Name)
		taken, err := tx.Exists(`SELECT 1 FROM iam_identity WHERE kind = $1 AND folded = $2 AND id <> $3`,
			string(i.Kind), policy.Fold(i.Name), i.ID)
		if err == nil && taken {
			err = i.exists()
		}
		return err
	})
}

// existing begins a write of an identity, and returns the identity.
func (s *Service) existing(tx *gate.Tx, owner Owner) (Identity, error) {
	if err := s.begin(tx); err != nil {
		return Identity{}, err
	}
	return find(tx.Tx, owner)
}

// change reads an identity, calls fn to change it, and writes name, path, ARN and tags back.
func (s *Service) change(tx *gate.Tx, owner Owner, fn func(*Identity) error) error {
	i, err := s.existing(tx, owner)
	if err != nil {
		return err
	}
	if err := fn(&i); err != nil {
		return err
	}
	tags, err := db.Encode(i.Tags)
	if err != nil {
		return err
	}
	_, err = tx.Exec(`UPDATE iam_identity SET name = $2, folded = $3, path = $4, arn = $5, tags = $6 WHERE id = $1`,
		i.ID, i.Name, policy.Fold(i.Name), i.Path, i.ARN, tags)
	return err
}

// Delete deletes a user that has no access keys, policies or groups, or a group that has no members or policies.
// Otherwise an InUse fault says what is left. A deleted user's sessions end, and a new user of the same name does not
// get them.
func (s *Service) Delete(tx *gate.Tx, owner Owner) error {
	i, err := s.existing(tx, owner)
	if err != nil {
		return err
	}
	kind, err := kindOf(i.Kind)
	if err != nil {
		return err
	}
	for _, left := range []struct{ first, query string }{
		{"delete access keys", `SELECT 1 FROM iam_access_key WHERE user_id = $1 LIMIT 1`},
		{"remove users from group", `SELECT 1 FROM iam_member WHERE group_id = $1 LIMIT 1`},
		{"delete policies", `SELECT 1 FROM iam_inline_policy WHERE owner_id = $1 LIMIT 1`},
		{"detach all policies", `SELECT 1 FROM iam_attachment WHERE owner_id = $1 LIMIT 1`},
		{"remove users from group", `SELECT 1 FROM iam_member WHERE user_id = $1 LIMIT 1`},
	} {
		found, err := tx.Exists(left.query, i.ID)
		if err != nil {
			return err
		}
		if found {
			return fault.New(fault.InUse, kind.subject, "Cannot delete entity, must %s first.", left.first)
		}
	}
	if _, err := tx.Exec(`DELETE FROM iam_session WHERE user_id = $1`, i.ID); err != nil {
		return err
	}
	_, err = tx.Exec(`DELETE FROM iam_identity WHERE id = $1`, i.ID)
	return err
}
