package hosts

import (
	"cmp"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"io"
	"time"

	"github.com/sallyport/sallyport/internal/clock"
	"github.com/sallyport/sallyport/internal/db"
	"github.com/sallyport/sallyport/internal/fault"
	"github.com/sallyport/sallyport/internal/gate"
	"github.com/sallyport/sallyport/internal/resource"
)

// Bounds on the lifetime of an enrollment token.
const (
	DefaultTokenLifetime = time.Hour
	MinTokenLifetime     = time.Minute
	MaxTokenLifetime     = 24 * time.Hour
)

// Token permits one machine to enroll.
type Token struct {
	ID      string
	Hash    []byte // SHA-256 of the secret, so that a stolen database enrolls no machine
	Region  string
	Zone    string
	Tags    map[string]string // of the instance
	Created clock.Reading
	Expires time.Time
	Creator string // an ARN
}

// TokenRequest describes a new enrollment token.
type TokenRequest struct {
	Zone     string            // empty for the region's first
	Tags     map[string]string // of the instance
	Lifetime time.Duration     // 0 for DefaultTokenLifetime
}

// CreateToken makes a token that enrolls one machine in the transaction's region. It returns the secret of 32 bytes,
// which is kept only as a hash.
func (s *Service) CreateToken(tx *gate.Tx, request TokenRequest) (Token, gate.Secret, error) {
	if err := tx.Check(); err != nil {
		return Token{}, "", err
	}
	zone, err := s.zones.Zone(tx.Region(), request.Zone)
	if err != nil {
		return Token{}, "", err
	}
	if err := resource.CheckTags(request.Tags); err != nil {
		return Token{}, "", err
	}
	lifetime := cmp.Or(request.Lifetime, DefaultTokenLifetime)
	if lifetime < MinTokenLifetime || lifetime > MaxTokenLifetime {
		return Token{}, "", fault.New(fault.Invalid, fault.Lifetime,
			"An enrollment token lives from %v to %v; %v was asked for.", MinTokenLifetime, MaxTokenLifetime, lifetime)
	}
	secret, created := s.newSecret(), s.clock()
	token := Token{
		ID: resource.NewID(s.random, "ht-"), Hash: hashSecret(secret), Region: tx.Region(), Zone: zone, Tags: request.Tags,
		Created: created, Expires: created.Time.Add(lifetime), Creator: tx.Identity().ARN,
	}
	return token, secret, putToken(tx.Tx, token)
}

func putToken(tx *db.Tx, t Token) error {
	tags, err := db.Encode(t.Tags)
	if err != nil {
		return err
	}
	_, err = tx.Exec(`
		INSERT INTO host_token (id, hash, region, zone, tags, created, boot, uptime, expires, creator)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`,
		t.ID, db.Blob(t.Hash), t.Region, t.Zone, tags,
		db.Micros(t.Created.Time), t.Created.Boot, t.Created.Uptime.Microseconds(), db.Micros(t.Expires), t.Creator)
	return err
}

func findToken(tx *db.Tx, id string) (Token, error) {
	absent := fault.New(fault.NotFound, fault.HostToken, "There is no enrollment token %s.", id)
	return db.One(tx, absent, func(row db.Scanner) (t Token, err error) {
		var created, uptime, expires int64
		var boot string
		var tags []byte
		err = row.Scan(&t.ID, &t.Hash, &t.Region, &t.Zone, &tags, &created, &boot, &uptime, &expires, &t.Creator)
		if err != nil {
			return t, err
		}
		t.Created, t.Expires = db.Reading(created, boot, uptime), db.Time(expires)
		t.Tags, err = db.Decode[map[string]string](tags)
		return t, err
	}, `SELECT id, hash, region, zone, tags, created, boot, uptime, expires, creator FROM host_token WHERE id = $1`, id)
}

// redeem deletes the token and returns it, if the secret is right and the token has not expired. Otherwise the error is
// Unauthenticated "host-token", which says that the token expired only to a caller that knows the secret.
func (s *Service) redeem(tx *db.Tx, id string, secret gate.Secret) (Token, error) {
	token, err := findToken(tx, id)
	if err != nil && !fault.Is(err, fault.NotFound) {
		return Token{}, err
	}
	if subtle.ConstantTimeCompare(hashSecret(secret), token.Hash) != 1 {
		return Token{}, badToken(err)
	}
	if s.clock().Left(token.Created, token.Expires) == 0 {
		return Token{}, fault.New(fault.Unauthenticated, fault.HostToken, "The enrollment token expired at %s. "+
			"Make a new one with: sallyport host-token", token.Expires.UTC().Format(time.RFC3339))
	}
	return token, tx.Change(badToken(nil), `DELETE FROM host_token WHERE id = $1`, id)
}

func badToken(cause error) error {
	return fault.Wrap(cause, fault.Unauthenticated, fault.HostToken, "The enrollment token is not valid: "+
		"it was used already, or this server never made it. Make a new one with: sallyport host-token")
}

const (
	// keepTokens is how long an expired token is kept, so that its machine is told that it expired.
	keepTokens = 24 * time.Hour
	// pruneBatch is how many tokens one transaction deletes, so that others do not wait long for it.
	pruneBatch = 1000
)

// Prune deletes up to pruneBatch tokens that expired longer than keepTokens ago, and returns how many it deleted. Call
// it at intervals, and each time until it returns 0.
func (s *Service) Prune(tx *gate.Tx, now time.Time) (int64, error) {
	if err := tx.Check(); err != nil {
		return 0, err
	}
	return tx.Exec(`DELETE FROM host_token WHERE id IN (
		SELECT id FROM host_token WHERE expires < $1 ORDER BY expires LIMIT $2)`,
		db.Micros(now.Add(-keepTokens)), pruneBatch)
}

// newSecret returns 32 random bytes. They are not encoded: the token that carries them is.
func (s *Service) newSecret() gate.Secret {
	var b [32]byte
	if _, err := io.ReadFull(s.random, b[:]); err != nil {
		panic(fmt.Sprintf("hosts: no randomness: %v", err))
	}
	return gate.Secret(b[:])
}

func hashSecret(secret gate.Secret) []byte {
	sum := sha256.Sum256([]byte(secret.Reveal()))
	return sum[:]
}
