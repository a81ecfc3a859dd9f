package iam

import (
	"context"
	"time"

	"github.com/sallyport/sallyport/internal/fault"
	"github.com/sallyport/sallyport/internal/gate"
)

// IssuedKey is an access key at the only moment its secret is known.
type IssuedKey struct {
	AccessKey
	PlainSecret gate.Secret
}

// CreateAccessKey gives a user an access key; the caller if the name is empty. A user has at most two. The
// secret is returned here and never again.
func (s *Service) CreateAccessKey(ctx context.Context, pass gate.Pass, userName string) (IssuedKey, error) {
	if err := pass.Check(); err != nil {
		return IssuedKey{}, err
	}
	var issued IssuedKey
	err := s.commit(func() error {
		owner, err := s.keyOwner(ctx, pass, userName)
		if err != nil {
			return err
		}
		if issued, err = s.issueKey(owner, moment(pass)); err != nil {
			return err
		}
		response := map[string]any{"accessKey": map[string]any{
			"accessKeyId": issued.ID, "status": "Active", "userName": owner, "createDate": trailTime(issued.Created),
		}}
		return s.store.CreateAccessKey(ctx, issued.AccessKey, pass.Event(response, keyResource(issued.ID)))
	})
	if err != nil {
		return IssuedKey{}, err
	}
	return issued, nil
}

// issueKey makes an active key with its secret sealed.
func (s *Service) issueKey(userName string, created time.Time) (IssuedKey, error) {
	id, err := newKeyID(s.random, accessKeyPrefix)
	if err != nil {
		return IssuedKey{}, err
	}
	secret, err := newSecret(s.random)
	if err != nil {
		return IssuedKey{}, err
	}
	sealed, err := s.seal.close(secret, id, signingSecret)
	if err != nil {
		return IssuedKey{}, err
	}
	return IssuedKey{AccessKey: AccessKey{ID: id, UserName: userName, Secret: sealed, Active: true, Created: created}, PlainSecret: secret}, nil
}

// keyOwner is the subject of a call about access keys, in the spelling the user was created with. A caller who
// was renamed a moment ago is not taken for whoever has the name now.
func (s *Service) keyOwner(ctx context.Context, pass gate.Pass, userName string) (string, error) {
	name, err := s.subject(pass, userName)
	if err != nil || name == "" {
		return "", err
	}
	user, err := s.store.User(ctx, name)
	if err == nil && userName == "" && user.ID != pass.Identity().PrincipalID {
		err = fault.New(fault.NotFound, "user", "The user with name %s cannot be found.", name)
	}
	return user.Name, err
}

// AccessKeys returns the access keys of a user without their secrets, oldest first; the caller's if the name is
// empty.
func (s *Service) AccessKeys(ctx context.Context, pass gate.Pass, userName string) ([]AccessKey, error) {
	owner, err := s.keyOwner(ctx, pass, userName)
	if err != nil {
		return nil, err
	}
	keys, err := s.store.AccessKeys(ctx, owner)
	for i := range keys {
		keys[i].Secret = nil
	}
	return keys, err
}

// SetAccessKeyActive switches an access key on or off. One that is off signs nothing from the moment this
// returns.
func (s *Service) SetAccessKeyActive(ctx context.Context, pass gate.Pass, userName, id string, active bool) error {
	return s.changeKey(ctx, pass, userName, func(owner string) error {
		return s.store.SetAccessKeyActive(ctx, owner, id, active, pass.Event(nil, keyResource(id)))
	})
}

// DeleteAccessKey deletes an access key for ever.
func (s *Service) DeleteAccessKey(ctx context.Context, pass gate.Pass, userName, id string) error {
	return s.changeKey(ctx, pass, userName, func(owner string) error {
		return s.store.DeleteAccessKey(ctx, owner, id, pass.Event(nil, keyResource(id)))
	})
}

// changeKey runs a change of an access key of the subject.
func (s *Service) changeKey(ctx context.Context, pass gate.Pass, userName string, change func(owner string) error) error {
	if err := pass.Check(); err != nil {
		return err
	}
	return s.commit(func() error {
		owner, err := s.keyOwner(ctx, pass, userName)
		if err != nil {
			return err
		}
		return change(owner)
	})
}

// AccessKeyLastUsed returns an access key with its LastUsed and without its secret.
func (s *Service) AccessKeyLastUsed(ctx context.Context, pass gate.Pass, id string) (AccessKey, error) {
	if err := pass.Check(); err != nil {
		return AccessKey{}, err
	}
	key, err := s.store.AccessKey(ctx, id)
	key.Secret = nil
	return key, err
}
