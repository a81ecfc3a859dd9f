package iam

import (
	"context"

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
	owner, err := s.keyOwner(ctx, pass, userName)
	if err != nil {
		return IssuedKey{}, err
	}
	issued, err := s.issueKey(owner)
	if err != nil {
		return IssuedKey{}, err
	}
	issued.Created = moment(pass)
	response := map[string]any{"accessKey": map[string]any{
		"accessKeyId": issued.ID, "status": "Active", "userName": owner, "createDate": trailTime(issued.Created),
	}}
	err = s.commit(func() error {
		return s.store.CreateAccessKey(ctx, issued.AccessKey, pass.Event(response, keyResource(issued.ID)))
	})
	if err != nil {
		return IssuedKey{}, err
	}
	return issued, nil
}

// issueKey makes an active key with its secret sealed. Created is the caller's to fill in.
func (s *Service) issueKey(userName string) (IssuedKey, error) {
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
	return IssuedKey{AccessKey: AccessKey{ID: id, UserName: userName, Secret: sealed, Active: true}, PlainSecret: secret}, nil
}

// keyOwner is the subject of a call about access keys, in the spelling the user was created with.
func (s *Service) keyOwner(ctx context.Context, pass gate.Pass, userName string) (string, error) {
	name, err := s.subject(pass, userName)
	if err != nil || name == "" {
		return "", err
	}
	user, err := s.store.User(ctx, name)
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
	return s.changeKey(ctx, pass, userName, id, func(owner string) error {
		return s.store.SetAccessKeyActive(ctx, owner, id, active, pass.Event(nil, keyResource(id)))
	})
}

// DeleteAccessKey deletes an access key for ever.
func (s *Service) DeleteAccessKey(ctx context.Context, pass gate.Pass, userName, id string) error {
	return s.changeKey(ctx, pass, userName, id, func(owner string) error {
		return s.store.DeleteAccessKey(ctx, owner, id, pass.Event(nil, keyResource(id)))
	})
}

// changeKey runs a change of an access key that must belong to the subject.
func (s *Service) changeKey(ctx context.Context, pass gate.Pass, userName, id string, change func(owner string) error) error {
	owner, err := s.keyOwner(ctx, pass, userName)
	if err != nil {
		return err
	}
	return s.commit(func() error {
		key, err := s.store.AccessKey(ctx, id)
		if err == nil && key.UserName != owner || fault.Is(err, fault.NotFound) {
			return noAccessKey(id)
		}
		if err != nil {
			return err
		}
		return change(owner)
	})
}

func noAccessKey(id string) error {
	return fault.New(fault.NotFound, "access-key", "The Access Key with id %s cannot be found.", id)
}

// AccessKeyLastUsed returns an access key with its LastUsed and without its secret.
func (s *Service) AccessKeyLastUsed(ctx context.Context, pass gate.Pass, id string) (AccessKey, error) {
	if err := pass.Check(); err != nil {
		return AccessKey{}, err
	}
	key, err := s.store.AccessKey(ctx, id)
	if fault.Is(err, fault.NotFound) {
		return AccessKey{}, noAccessKey(id)
	}
	key.Secret = nil
	return key, err
}
