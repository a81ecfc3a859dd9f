package iam

import (
	"context"
	"time"

	"github.com/sallyport/sallyport/internal/db"
	"github.com/sallyport/sallyport/internal/fault"
	"github.com/sallyport/sallyport/internal/gate"
)

// AccessKey is a long-lived pair of an id and a secret. The secret is stored sealed with the deployment's key, so a
// stolen database cannot sign.
type AccessKey struct {
	ID       string // AKIA…
	UserName string // the present one; empty for the root user
	Active   bool
	Created  time.Time
	LastUsed LastUse
}

// IssuedKey is a new access key with its secret, which is known only now.
type IssuedKey struct {
	AccessKey
	PlainSecret gate.Secret
}

const selectKeys = `
	SELECT k.id, k.active, k.created, k.used, k.used_service, k.used_region, COALESCE(i.name, '')
	FROM iam_access_key k LEFT JOIN iam_identity i ON i.id = k.user_id `

func scanKey(row db.Scanner) (k AccessKey, err error) {
	var created, used int64
	err = row.Scan(&k.ID, &k.Active, &created, &used, &k.LastUsed.Service, &k.LastUsed.Region, &k.UserName)
	k.Created, k.LastUsed.Time = db.Time(created), db.Time(used)
	return k, err
}

func noAccessKey(id string) error {
	return fault.New(fault.NotFound, fault.AccessKey, "The Access Key with id %s cannot be found.", id)
}

func findKey(tx *db.Tx, id string) (AccessKey, error) {
	return db.One(tx, noAccessKey(id), scanKey, selectKeys+`WHERE k.id = $1`, id)
}

// CreateAccessKey creates an access key of the user, or of the caller if the name is empty. A user can have two. The
// secret is returned only here.
func (s *Service) CreateAccessKey(tx *gate.Tx, userName string) (IssuedKey, error) {
	if err := s.begin(tx); err != nil {
		return IssuedKey{}, err
	}
	user, err := subject(tx.Tx, tx.Pass, userName)
	if err != nil {
		return IssuedKey{}, err
	}
	return s.issueKey(tx, user)
}

// issueKey creates an access key of the user, or of the root user if user is the zero Identity.
func (s *Service) issueKey(tx *gate.Tx, user Identity) (IssuedKey, error) {
	var present int
	if err := tx.Row(`SELECT COUNT(*) FROM iam_access_key WHERE user_id = $1`, user.ID).Scan(&present); err != nil {
		return IssuedKey{}, err
	}
	if present >= maxAccessKeys {
		return IssuedKey{}, fault.New(fault.Limit, fault.AccessKey,
			"Cannot exceed quota for AccessKeysPerUser: %d", maxAccessKeys)
	}
	id, secret, sealed, err := s.draw(accessKeyPrefix)
	if err != nil {
		return IssuedKey{}, err
	}
	key := AccessKey{ID: id, UserName: user.Name, Active: true, Created: moment(tx)}
	tx.Touch(keyResource(id))
	_, err = tx.Exec(`
		INSERT INTO iam_access_key (id, user_id, secret, active, created, used, used_service, used_region)
		VALUES ($1, $2, $3, TRUE, $4, 0, '', '')`, id, user.ID, sealed, db.Micros(key.Created))
	return IssuedKey{key, secret}, err
}

// draw makes the id of an access key or session, and a secret, in clear and sealed.
func (s *Service) draw(prefix string) (id string, secret gate.Secret, sealed []byte, err error) {
	if id, err = newKeyID(s.random, prefix); err != nil {
		return "", "", nil, err
	}
	if secret, err = newSecret(s.random); err != nil {
		return "", "", nil, err
	}
	sealed, err = s.seal.close(secret, id, signingSecret)
	return id, secret, sealed, err
}

// AccessKeys returns the access keys of the user, or of the caller if the name is empty, oldest first.
func (s *Service) AccessKeys(ctx context.Context, pass gate.Pass, userName string) ([]AccessKey, error) {
	unsaved := s.uses.unsaved()
	return read(ctx, s, pass, func(tx *db.Tx) ([]AccessKey, error) {
		user, err := subject(tx, pass, userName)
		if err != nil {
			return nil, err
		}
		keys, err := db.Collect(tx, scanKey, selectKeys+`WHERE k.user_id = $1 ORDER BY k.created, k.id`, user.ID)
		for i := range keys {
			keys[i].LastUsed = keys[i].LastUsed.or(unsaved[keys[i].ID])
		}
		return keys, err
	})
}

// AccessKeyLastUsed returns the access key with the id, of any user.
func (s *Service) AccessKeyLastUsed(ctx context.Context, pass gate.Pass, id string) (AccessKey, error) {
	unsaved := s.uses.unsaved()
	return read(ctx, s, pass, func(tx *db.Tx) (AccessKey, error) {
		key, err := findKey(tx, id)
		key.LastUsed = key.LastUsed.or(unsaved[id])
		return key, err
	})
}

// SetAccessKeyActive activates or deactivates an access key. An inactive key signs nothing from then on. The key must
// be the named user's, or the caller's if the name is empty.
func (s *Service) SetAccessKeyActive(tx *gate.Tx, userName, id string, active bool) error {
	user, err := s.keyOwner(tx, userName, id)
	if err != nil {
		return err
	}
	return tx.Change(noAccessKey(id), `UPDATE iam_access_key SET active = $3 WHERE id = $1 AND user_id = $2`,
		id, user.ID, active)
}

// DeleteAccessKey deletes an access key. The key must be the named user's, or the caller's if the name is empty.
func (s *Service) DeleteAccessKey(tx *gate.Tx, userName, id string) error {
	user, err := s.keyOwner(tx, userName, id)
	if err != nil {
		return err
	}
	return tx.Change(noAccessKey(id), `DELETE FROM iam_access_key WHERE id = $1 AND user_id = $2`, id, user.ID)
}

// keyOwner begins a write of an access key, and returns its user, whom policies were asked about.
func (s *Service) keyOwner(tx *gate.Tx, userName, id string) (Identity, error) {
	if err := s.begin(tx); err != nil {
		return Identity{}, err
	}
	tx.Touch(keyResource(id))
	return subject(tx.Tx, tx.Pass, userName)
}
