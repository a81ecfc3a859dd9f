package iam

import (
	"cmp"
	"context"
	"maps"

	"github.com/sallyport/sallyport/internal/fault"
	"github.com/sallyport/sallyport/internal/gate"
	"github.com/sallyport/sallyport/internal/trail"
)

// NewUser is a user to be created. Path is "/" if empty.
type NewUser struct {
	Name, Path string
	Tags       map[string]string
}

// CreateUser creates a user who may do nothing yet.
func (s *Service) CreateUser(ctx context.Context, pass gate.Pass, in NewUser) (User, error) {
	if err := pass.Check(); err != nil {
		return User{}, err
	}
	path := cmp.Or(in.Path, rootPath)
	tags, err := mergeTags(nil, in.Tags)
	if err != nil {
		return User{}, err
	}
	id, err := newID(s.random, userPrefix)
	if err != nil {
		return User{}, err
	}
	user := User{ID: id, Name: in.Name, Path: path, ARN: s.NewARN("user", path, in.Name), Created: moment(pass), Tags: tags}
	return user, s.commit(func() error { return s.store.CreateUser(ctx, user, pass.Event(userElements(user))) })
}

func userElements(u User) map[string]any {
	return map[string]any{"user": map[string]any{
		"path": u.Path, "userName": u.Name, "userId": u.ID, "arn": u.ARN, "createDate": trailTime(u.Created),
	}}
}

// User returns a user; the caller if the name is empty. The root user has no name and no path, and is as old as
// its oldest access key.
func (s *Service) User(ctx context.Context, pass gate.Pass, name string) (User, error) {
	name, err := s.subject(pass, name)
	if err != nil {
		return User{}, err
	}
	if name != "" {
		return s.store.User(ctx, name)
	}
	root := User{ID: s.account, ARN: s.RootARN()}
	keys, err := s.store.AccessKeys(ctx, "")
	if err == nil && len(keys) > 0 {
		root.Created = keys[0].Created
	}
	return root, err
}

// subject is the name of the user a call is about: the one it names, or the caller's own, which is empty for
// the root user. A caller who is neither a user nor root has none.
func (s *Service) subject(pass gate.Pass, name string) (string, error) {
	if err := pass.Check(); err != nil {
		return "", err
	}
	caller := pass.Identity()
	switch {
	case name != "":
		return name, nil
	case caller.Type == trail.IAMUser && caller.UserName != "":
		return caller.UserName, nil
	case caller.Type == trail.Root:
		return "", nil
	}
	return "", fault.New(fault.Invalid, "parameter", "Must specify userName when calling with non-User credentials")
}

// Users returns the users whose path has the prefix, by name.
func (s *Service) Users(ctx context.Context, pass gate.Pass, pathPrefix string) ([]User, error) {
	if err := pass.Check(); err != nil {
		return nil, err
	}
	return s.store.Users(ctx, cmp.Or(pathPrefix, rootPath))
}

// UpdateUser gives a user another name or path or both; what is empty stays. The user keeps id, groups,
// policies and access keys, and is known to policies under the new ARN at once.
func (s *Service) UpdateUser(ctx context.Context, pass gate.Pass, name, newName, newPath string) error {
	if err := pass.Check(); err != nil {
		return err
	}
	return s.changeUser(ctx, pass, name, func(user *User) error {
		user.Name, user.Path = cmp.Or(newName, user.Name), cmp.Or(newPath, user.Path)
		user.ARN = s.NewARN("user", user.Path, user.Name)
		return nil
	})
}

// changeUser reads a user, lets change work on it and writes it back, as one change.
func (s *Service) changeUser(ctx context.Context, pass gate.Pass, name string, change func(*User) error) error {
	return s.commit(func() error {
		old, err := s.store.User(ctx, name)
		if err != nil {
			return err
		}
		user := old
		user.Tags = maps.Clone(old.Tags)
		if err := change(&user); err != nil {
			return err
		}
		var also []trail.Resource
		if user.ARN != old.ARN {
			also = append(also, trail.Resource{ARN: user.ARN, Type: UserType})
		}
		return s.store.UpdateUser(ctx, name, user, pass.Event(nil, also...))
	})
}

// DeleteUser deletes a user who has no access keys, policies and groups any more; an InUse fault says what is
// left. The user's sessions end.
func (s *Service) DeleteUser(ctx context.Context, pass gate.Pass, name string) error {
	if err := pass.Check(); err != nil {
		return err
	}
	return s.commit(func() error { return s.store.DeleteUser(ctx, name, pass.Event(nil)) })
}

// TagUser sets tags on a user.
func (s *Service) TagUser(ctx context.Context, pass gate.Pass, name string, tags map[string]string) error {
	if err := pass.Check(); err != nil {
		return err
	}
	return s.changeUser(ctx, pass, name, func(user *User) (err error) {
		user.Tags, err = mergeTags(user.Tags, tags)
		return err
	})
}

// UntagUser removes tags from a user; those the user does not have are no error.
func (s *Service) UntagUser(ctx context.Context, pass gate.Pass, name string, keys []string) error {
	if err := pass.Check(); err != nil {
		return err
	}
	return s.changeUser(ctx, pass, name, func(user *User) error {
		for _, key := range keys {
			if present, ok := findTag(user.Tags, key); ok {
				delete(user.Tags, present)
			}
		}
		return nil
	})
}
