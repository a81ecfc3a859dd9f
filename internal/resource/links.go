package resource

import (
	"errors"

	"github.com/sallyport/sallyport/internal/db"
)

// Claim makes the resource the only one that has the value within the scope. Values are names, addresses, client
// tokens. It returns taken if another resource has the value.
func Claim(tx *db.Tx, scope, value, id string, taken error) error {
	return tx.Change(taken, `INSERT INTO claim (scope, value, resource_id) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`,
		scope, value, id)
}

// Claimed returns the id of the resource that has the value within the scope; empty if there is none.
func Claimed(tx *db.Tx, scope, value string) (id string, err error) {
	err = tx.Row(`SELECT resource_id FROM claim WHERE scope = $1 AND value = $2`, scope, value).Scan(&id)
	if errors.Is(err, db.ErrNoRows) {
		return "", nil
	}
	return id, err
}

// Disclaim ends all claims of the resource within the scope.
func Disclaim(tx *db.Tx, scope, id string) error {
	_, err := tx.Exec(`DELETE FROM claim WHERE scope = $1 AND resource_id = $2`, scope, id)
	return err
}

// Reference says that a resource uses another one.
type Reference struct {
	Source string // the id of the resource that uses Target
	Role   string // what it uses it as, such as "root-volume"
	Target string // the id of the resource that is used; it cannot be deleted meanwhile
}

// Refer adds the reference. It does nothing if the reference exists.
func Refer(tx *db.Tx, r Reference) error {
	_, err := tx.Exec(`INSERT INTO reference (source, role, target) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`,
		r.Source, r.Role, r.Target)
	return err
}

// Unrefer removes the reference. It does nothing if there is no such reference.
func Unrefer(tx *db.Tx, r Reference) error {
	_, err := tx.Exec(`DELETE FROM reference WHERE source = $1 AND role = $2 AND target = $3`, r.Source, r.Role, r.Target)
	return err
}

// Uses returns the references from the resource to others.
func Uses(tx *db.Tx, id string) ([]Reference, error) { return references(tx, "source", id) }

// Users returns the references from others to the resource.
func Users(tx *db.Tx, id string) ([]Reference, error) { return references(tx, "target", id) }

func references(tx *db.Tx, column, id string) ([]Reference, error) {
	return db.Collect(tx, func(row db.Scanner) (r Reference, err error) {
		err = row.Scan(&r.Source, &r.Role, &r.Target)
		return r, err
	}, `SELECT source, role, target FROM reference WHERE `+column+` = $1 ORDER BY source, role, target`, id)
}
