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

// How long an enrollment token may live.
const (
	DefaultTokenLifetime = time.Hour
	MinTokenLifetime     = time.Minute
	MaxTokenLifetime     = 24 * time.Hour
)

// Token permits one machine to enroll.
type Token struct {
	ID      string
	Hash    []byte // SHA-256 of the secret part: the database alone enrolls nobody
	Region  string
	Zone    string
	Tags    map[string]string // the instance will have
	Created clock.Reading
	Expires time.Time
	Creator string // ARN
}

// TokenRequest is what a new enrollment token is to permit.
type TokenRequest struct {
	Zone     string            // empty for the region's first
	Tags     map[string]string // of the instance
	Lifetime time.Duration     // 0 for DefaultTokenLifetime
}

// CreateToken makes a token by which one machine can enroll in the transaction's region. The secret, 32 bytes,
// is returned once and kept only as a hash.
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

// redeem deletes the token and returns it, if the secret is its own and it has not expired. A token that is unknown,
// used, expired or whose secret is wrong is an Unauthenticated fault, Subject "host-token", and only who knows the
// secret learns that it expired.
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
	// keepTokens is how long after its end a token is still known, so that who comes late is told why.
	keepTokens = 24 * time.Hour
	// pruneBatch is how many tokens one transaction forgets, so that nobody waits long behind it.
	pruneBatch = 1000
)

// Prune forgets some of the tokens that nobody redeemed, and returns how many. It is to be called every now and then,
// until that is none.
func (s *Service) Prune(tx *gate.Tx, now time.Time) (int64, error) {
	if err := tx.Check(); err != nil {
		return 0, err
	}
	return tx.Exec(`DELETE FROM host_token WHERE id IN (
		SELECT id FROM host_token WHERE expires < $1 ORDER BY expires LIMIT $2)`,
		db.Micros(now.Add(-keepTokens)), pruneBatch)
}

// newSecret returns 256 random bits, not as text: the token they travel in has its own.
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
