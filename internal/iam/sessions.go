package iam

import (
	"strings"
	"time"

	"github.com/sallyport/sallyport/internal/clock"
	"github.com/sallyport/sallyport/internal/db"
	"github.com/sallyport/sallyport/internal/fault"
	"github.com/sallyport/sallyport/internal/gate"
)

// The lifetime of the credentials of GetSessionToken, see
// https://docs.aws.amazon.com/STS/latest/APIReference/API_GetSessionToken.html
const (
	DefaultSession = 12 * time.Hour
	minSession     = 15 * time.Minute
	maxSession     = 36 * time.Hour
	maxRootSession = time.Hour // of the root user; longer ones are shortened to it
)

// IssuedSession is a new session with its secrets, which are known only now.
type IssuedSession struct {
	AccessKeyID             string // ASIA…
	PlainSecret, PlainToken gate.Secret
	Created                 clock.Reading
	Expires                 time.Time
}

// NewSession issues temporary credentials of the caller. Policies apply to them as to the caller, including later
// changes. They end when they expire or the user is deleted. The credentials of a session cannot issue others, which
// would outlive them.
func (s *Service) NewSession(tx *gate.Tx, duration time.Duration) (IssuedSession, error) {
	if err := s.begin(tx); err != nil {
		return IssuedSession{}, err
	}
	user, err := subject(tx.Tx, tx.Pass, "")
	if err != nil {
		return IssuedSession{}, err
	}
	if strings.HasPrefix(tx.Identity().AccessKeyID, sessionPrefix) {
		return IssuedSession{}, fault.New(fault.Denied, fault.Session,
			"Cannot call GetSessionToken with session credentials. Use the access key of the user.")
	}
	if duration < minSession || duration > maxSession {
		return IssuedSession{}, invalid("The duration of %d seconds is not valid. It must be between %d and %d.",
			int(duration.Seconds()), int(minSession.Seconds()), int(maxSession.Seconds()))
	}
	if user.ID == "" {
		duration = min(duration, maxRootSession)
	}
	issued := IssuedSession{Created: s.clock()}
	issued.Created.Time = moment(tx)
	issued.Expires = issued.Created.Time.Add(duration)
	return issued, s.issueSession(tx, user, &issued)
}

// issueSession makes the session's credentials and stores the session.
func (s *Service) issueSession(tx *gate.Tx, user Identity, n *IssuedSession) (err error) {
	var secret, token []byte
	if n.AccessKeyID, n.PlainSecret, secret, err = s.draw(sessionPrefix); err != nil {
		return err
	}
	if n.PlainToken, err = newToken(s.random); err != nil {
		return err
	}
	if token, err = s.seal.close(n.PlainToken, n.AccessKeyID, sessionToken); err != nil {
		return err
	}
	tx.Touch(keyResource(n.AccessKeyID))
	_, err = tx.Exec(`INSERT INTO iam_session (id, user_id, secret, token, created, boot, uptime, expires)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`, n.AccessKeyID, user.ID, secret, token,
		db.Micros(n.Created.Time), n.Created.Boot, n.Created.Uptime.Microseconds(), db.Micros(n.Expires))
	return err
}

const (
	// keepSessions is how long an expired session is kept, so that a call with it is told that it expired.
	keepSessions = 24 * time.Hour
	// pruneBatch is how many sessions one transaction deletes, so that others do not wait long for it.
	pruneBatch = 1000
)

// Prune deletes up to pruneBatch sessions that expired longer than keepSessions ago, and returns how many it deleted.
// Call it at intervals, and each time, in a transaction of its own, until it returns 0: a user can make any number of
// sessions.
func (s *Service) Prune(tx *gate.Tx, now time.Time) (int64, error) {
	if err := s.begin(tx); err != nil {
		return 0, err
	}
	return tx.Exec(`DELETE FROM iam_session WHERE id IN (
		SELECT id FROM iam_session WHERE expires < $1 ORDER BY expires LIMIT $2)`,
		db.Micros(now.Add(-keepSessions)), pruneBatch)
}
