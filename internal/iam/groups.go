package iam

import (
	"cmp"
	"context"

	"github.com/sallyport/sallyport/internal/fault"
	"github.com/sallyport/sallyport/internal/gate"
	"github.com/sallyport/sallyport/internal/trail"
)

// CreateGroup creates a group without members. The path is "/" if empty.
func (s *Service) CreateGroup(ctx context.Context, pass gate.Pass, name, path string) (Group, error) {
	if err := pass.Check(); err != nil {
		return Group{}, err
	}
	path = cmp.Or(path, rootPath)
	id, err := newID(s.random, groupPrefix)
	if err != nil {
		return Group{}, err
	}
	group := Group{ID: id, Name: name, Path: path, ARN: s.NewARN("group", path, name), Created: moment(pass)}
	response := map[string]any{"group": map[string]any{
		"path": path, "groupName": name, "groupId": id, "arn": group.ARN, "createDate": trailTime(group.Created),
	}}
	return group, s.commit(func() error { return s.store.CreateGroup(ctx, group, pass.Event(response)) })
}

// Group returns a group and its members, by name.
func (s *Service) Group(ctx context.Context, pass gate.Pass, name string) (Group, []User, error) {
	if err := pass.Check(); err != nil {
		return Group{}, nil, err
	}
	group, err := s.store.Group(ctx, name)
	if err != nil {
		return Group{}, nil, err
	}
	members, err := s.store.Members(ctx, name)
	return group, members, err
}

// Groups returns the groups whose path has the prefix, by name.
func (s *Service) Groups(ctx context.Context, pass gate.Pass, pathPrefix string) ([]Group, error) {
	if err := pass.Check(); err != nil {
		return nil, err
	}
	return s.store.Groups(ctx, cmp.Or(pathPrefix, rootPath))
}

// UpdateGroup gives a group another name or path or both; what is empty stays. Members and policies stay too.
func (s *Service) UpdateGroup(ctx context.Context, pass gate.Pass, name, newName, newPath string) error {
	if err := pass.Check(); err != nil {
		return err
	}
	return s.commit(func() error {
		group, err := s.store.Group(ctx, name)
		if err != nil {
			return err
		}
		group.Name, group.Path = cmp.Or(newName, group.Name), cmp.Or(newPath, group.Path)
		group.ARN = s.NewARN("group", group.Path, group.Name)
		return s.store.UpdateGroup(ctx, name, group, pass.Event(nil))
	})
}

// DeleteGroup deletes a group that has no members and policies any more; an InUse fault says what is left.
func (s *Service) DeleteGroup(ctx context.Context, pass gate.Pass, name string) error {
	if err := pass.Check(); err != nil {
		return err
	}
	return s.commit(func() error { return s.store.DeleteGroup(ctx, name, pass.Event(nil)) })
}

// AddMember adds a user to a group; a member already is no error.
func (s *Service) AddMember(ctx context.Context, pass gate.Pass, group, user string) error {
	if err := pass.Check(); err != nil {
		return err
	}
	return s.commit(func() error {
		target, err := s.store.Group(ctx, group)
		if err != nil {
			return err
		}
		member, err := s.store.User(ctx, user)
		if err != nil {
			return err
		}
		groups, err := s.store.GroupsOf(ctx, user)
		if err != nil {
			return err
		}
		others := 0
		for _, g := range groups {
			if g.ID != target.ID {
				others++
			}
		}
		if others >= maxGroupsOfUser {
			return fault.New(fault.Limit, "membership", "Cannot exceed quota for GroupsPerUser: %d. Remove %s from another group first.", maxGroupsOfUser, member.Name)
		}
		return s.store.AddMember(ctx, group, user, pass.Event(nil, trail.Resource{ARN: member.ARN, Type: UserType}))
	})
}

// RemoveMember removes a user from a group. What the group's policies allowed ends before it returns.
func (s *Service) RemoveMember(ctx context.Context, pass gate.Pass, group, user string) error {
	if err := pass.Check(); err != nil {
		return err
	}
	return s.commit(func() error {
		member, err := s.store.User(ctx, user)
		if err != nil {
			return err
		}
		return s.store.RemoveMember(ctx, group, user, pass.Event(nil, trail.Resource{ARN: member.ARN, Type: UserType}))
	})
}

// GroupsOf returns the groups a user is in, by name.
func (s *Service) GroupsOf(ctx context.Context, pass gate.Pass, user string) ([]Group, error) {
	if err := pass.Check(); err != nil {
		return nil, err
	}
	if _, err := s.store.User(ctx, user); err != nil {
		return nil, err
	}
	return s.store.GroupsOf(ctx, user)
}
