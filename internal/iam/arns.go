package iam

import (
	"cmp"
	"context"
	"regexp"
	"strings"

	"github.com/sallyport/sallyport/internal/fault"
)

// This file finds the ARNs and tags that policies are asked about, before a call is authorized: there is no
// Pass yet, and nothing here tells a caller whether a thing exists. A name is looked up because policies know
// an identity by its path and its own spelling: a Deny on user/admins/* must hold for a request that says only
// "Bob", and one on user/bob for "BOB".

// rootPath is where users, groups and policies are that were given no path.
const rootPath = "/"

// RootARN is the name of the account's root user.
func (s *Service) RootARN() string { return "arn:aws:iam::" + s.account + ":root" }

// NewARN is the name that something of the kind ("user", "group", "policy") will have. An empty path is "/".
func (s *Service) NewARN(kind, path, name string) string {
	return "arn:aws:iam::" + s.account + ":" + kind + cmp.Or(path, rootPath) + name
}

// OwnerARN returns the ARN of a user or group. For one that does not exist it is the ARN that it would have
// without a path.
func (s *Service) OwnerARN(ctx context.Context, owner Owner) (string, error) {
	path, name, err := s.place(ctx, owner)
	return s.NewARN(string(owner.Kind), path, name), err
}

// MovedARN returns the ARN that a user or group would have under another path or name; either may be empty for
// the present one.
func (s *Service) MovedARN(ctx context.Context, owner Owner, newPath, newName string) (string, error) {
	path, name, err := s.place(ctx, owner)
	if newPath != "" {
		path = newPath
	}
	if newName != "" {
		name = newName
	}
	return s.NewARN(string(owner.Kind), path, name), err
}

func (s *Service) place(ctx context.Context, owner Owner) (path, name string, err error) {
	switch owner.Kind {
	case OwnerUser:
		var user User
		user, err = s.store.User(ctx, owner.Name)
		path, name = user.Path, user.Name
	case OwnerGroup:
		var group Group
		group, err = s.store.Group(ctx, owner.Name)
		path, name = group.Path, group.Name
	}
	if fault.Is(err, fault.NotFound) {
		return rootPath, owner.Name, nil
	}
	return path, name, err
}

// KeyOwnerARN returns the ARN of the user an access key belongs to, and "*" for an unknown key.
func (s *Service) KeyOwnerARN(ctx context.Context, accessKeyID string) (string, error) {
	key, err := s.store.AccessKey(ctx, accessKeyID)
	switch {
	case fault.Is(err, fault.NotFound):
		return "*", nil
	case err != nil:
		return "", err
	case key.UserName == "":
		return s.RootARN(), nil
	}
	return s.OwnerARN(ctx, Owner{OwnerUser, key.UserName})
}

var policyARNForm = regexp.MustCompile(`^arn:aws:iam::(aws|[0-9]{12}):policy/(?:[\x21-\x7e]*/)?[\w+=,.@-]{1,128}$`)

// CheckPolicyARN refuses what cannot be the ARN of a managed policy of this account or of AWS's own: an
// Invalid fault with Resource "arn".
func (s *Service) CheckPolicyARN(arn string) error {
	match := policyARNForm.FindStringSubmatch(arn)
	if match == nil || match[1] != "aws" && match[1] != s.account {
		return fault.New(fault.Invalid, "arn", "ARN %s is not valid. A policy's ARN is arn:aws:iam::%s:policy/PATH/NAME, or arn:aws:iam::aws:policy/NAME for one of AWS's own.", arn, s.account)
	}
	return nil
}

// ResourceTags returns the tags of the user or policy with the ARN; none for what has no tags or does not
// exist. It has the shape of gate.Tags.
func (s *Service) ResourceTags(ctx context.Context, arn string) (map[string]string, error) {
	kind, _, _ := strings.Cut(strings.TrimPrefix(arn, "arn:aws:iam::"+s.account+":"), "/")
	var tags map[string]string
	var err error
	switch kind {
	case "user":
		var user User
		user, err = s.store.User(ctx, arn[strings.LastIndexByte(arn, '/')+1:])
		tags = user.Tags
	case "policy":
		var p ManagedPolicy
		p, err = s.store.Policy(ctx, arn)
		tags = p.Tags
	}
	if fault.Is(err, fault.NotFound) {
		return nil, nil
	}
	return tags, err
}
