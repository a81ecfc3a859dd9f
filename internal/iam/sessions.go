package iam

import (
	"context"
	"strings"
	"time"

	"github.com/sallyport/sallyport/internal/clock"
	"github.com/sallyport/sallyport/internal/fault"
	"github.com/sallyport/sallyport/internal/gate"
)

// How long the credentials of GetSessionToken live.
// https://docs.aws.amazon.com/STS/latest/APIReference/API_GetSessionToken.html
const (
	DefaultSession = 12 * time.Hour
	minSession     = 15 * time.Minute
	maxSession     = 36 * time.Hour
	maxRootSession = time.Hour // of the root user: longer ones are cut to it
)

// IssuedSession is a session at the only moment its secrets are known.
type IssuedSession struct {
	Session
	PlainSecret, PlainToken gate.Secret
}

// NewSession gives the caller temporary credentials that may do what the caller may, policies changed later
// included. They end when they expire or the user is deleted. Credentials of a session cannot make another
// one: it would outlive the first.
func (s *Service) NewSession(ctx context.Context, pass gate.Pass, duration time.Duration) (IssuedSession, error) {
	s.changes.RLock() // the user keeps the name while the session is made for it
	defer s.changes.RUnlock()
	owner, err := s.keyOwner(ctx, pass, "")
	if err != nil {
		return IssuedSession{}, err
	}
	if strings.HasPrefix(pass.Identity().AccessKeyID, sessionPrefix) {
		return IssuedSession{}, fault.New(fault.Denied, "session", "Cannot call GetSessionToken with session credentials. Use the access key of the user.")
	}
	if duration < minSession || duration > maxSession {
		return IssuedSession{}, invalid("The duration of %d seconds is not valid. It must be between %d and %d.", int(duration.Seconds()), int(minSession.Seconds()), int(maxSession.Seconds()))
	}
	if owner == "" {
		duration = min(duration, maxRootSession)
	}
	created := s.clock()
	created.Time = moment(pass)
	issued, err := s.issueSession(owner, created, duration)
	if err != nil {
		return IssuedSession{}, err
	}
	response := map[string]any{"credentials": map[string]any{"accessKeyId": issued.AccessKeyID, "expiration": trailTime(issued.Expires)}}
	// No cached principal is changed by a new one, so the cache stays.
	if err := s.store.CreateSession(ctx, issued.Session, pass.Event(response, keyResource(issued.AccessKeyID))); err != nil {
		return IssuedSession{}, err
	}
	return issued, nil
}

// keepSessions is how long after its end a session is still known, so that who uses it is told that it expired.
const keepSessions = 24 * time.Hour

// Prune forgets sessions that are over at the time. Every user can make any number of them. It is to be called every now and
// then.
func (s *Service) Prune(ctx context.Context, now time.Time) error {
	return s.store.PruneSessions(ctx, now.Add(-keepSessions))
}

func (s *Service) issueSession(owner string, created clock.Reading, duration time.Duration) (IssuedSession, error) {
	id, err := newKeyID(s.random, sessionPrefix)
	if err != nil {
		return IssuedSession{}, err
	}
	secret, err := newSecret(s.random)
	if err != nil {
		return IssuedSession{}, err
	}
	token, err := newToken(s.random)
	if err != nil {
		return IssuedSession{}, err
	}
	session := Session{AccessKeyID: id, UserName: owner, Created: created, Expires: created.Time.Add(duration)}
	if session.Secret, err = s.seal.close(secret, id, signingSecret); err != nil {
		return IssuedSession{}, err
	}
	if session.Token, err = s.seal.close(token, id, sessionToken); err != nil {
		return IssuedSession{}, err
	}
	return IssuedSession{Session: session, PlainSecret: secret, PlainToken: token}, nil
}
