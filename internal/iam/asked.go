package iam

import (
	"cmp"
	"context"
	"regexp"
	"strings"

	"github.com/sallyport/sallyport/internal/db"
	"github.com/sallyport/sallyport/internal/fault"
)

// This file finds what policies are asked about before a call is authorized. There is no Pass yet, and nothing here
// tells a caller whether something exists. A name is looked up because policies know an identity by its path and by the
// spelling it was created with: a Deny on user/admins/* must apply to a request that only says "Bob", and one on
// user/bob to "BOB".

// RootARN returns the ARN of the account's root user.
func (s *Service) RootARN() string { return "arn:aws:iam::" + s.account + ":root" }

// NewARN returns the ARN that a new resource of the kind ("user", "group", "policy") gets. An empty path is "/".
func (s *Service) NewARN(kind, path, name string) string {
	return "arn:aws:iam::" + s.account + ":" + kind + cmp.Or(path, rootPath) + name
}

// Asked returns the identity that a request names. An identity that does not exist has the ARN that it would have
// without a path, and no tags. Tags are never nil.
func (s *Service) Asked(ctx context.Context, owner Owner) (Identity, error) {
	return db.Get(ctx, s.db, func(tx *db.Tx) (Identity, error) { return s.asked(tx, owner) })
}

func (s *Service) asked(tx *db.Tx, owner Owner) (Identity, error) {
	i, err := find(tx, owner)
	if fault.Is(err, fault.NotFound) {
		return Identity{
			Owner: owner, Path: rootPath, ARN: s.NewARN(string(owner.Kind), rootPath, owner.Name),
			Tags: map[string]string{},
		}, nil
	}
	return i, err
}

// AskedByKey returns the user whose access key a request names. For a key of the root user it has the root user's ARN,
// for an unknown key the ARN "*". Tags are never nil.
func (s *Service) AskedByKey(ctx context.Context, accessKeyID string) (Identity, error) {
	return db.Get(ctx, s.db, func(tx *db.Tx) (Identity, error) {
		key, err := findKey(tx, accessKeyID)
		switch {
		case fault.Is(err, fault.NotFound):
			return Identity{ARN: "*", Tags: map[string]string{}}, nil
		case err != nil:
			return Identity{}, err
		case key.UserName == "":
			return Identity{ARN: s.RootARN(), Tags: map[string]string{}}, nil
		}
		return s.asked(tx, Owner{OwnerUser, key.UserName})
	})
}

var policyARNForm = regexp.MustCompile(
	`^arn:aws:iam::(aws|[0-9]{12}):policy/(?:[\x21-\x7e]*/)?[\w+=,.@-]{1,128}$`)

// CheckPolicyARN returns an Invalid fault, Subject "arn", unless arn can be the ARN of a managed policy of this account
// or of AWS.
func (s *Service) CheckPolicyARN(arn string) error {
	match := policyARNForm.FindStringSubmatch(arn)
	if match == nil || match[1] != "aws" && match[1] != s.account {
		return fault.New(fault.Invalid, fault.ARN,
			"ARN %s is not valid. A policy's ARN is arn:aws:iam::%s:policy/PATH/NAME, "+
				"or arn:aws:iam::aws:policy/NAME for one of AWS's own.", arn, s.account)
	}
	return nil
}

// ResourceTags implements gate.Tags: it returns the tags of the identity or policy with the ARN. Something that does
// not exist has none.
func (s *Service) ResourceTags(ctx context.Context, arn string) (map[string]string, error) {
	kind, _, _ := strings.Cut(strings.TrimPrefix(arn, "arn:aws:iam::"+s.account+":"), "/")
	tags, err := db.Get(ctx, s.db, func(tx *db.Tx) (map[string]string, error) {
		if kind == "policy" {
			p, err := findPolicy(tx, arn)
			return p.Tags, err
		}
		owner := Owner{OwnerKind(kind), nameOf(arn)}
		if _, err := kindOf(owner.Kind); err != nil {
			return nil, nil
		}
		i, err := find(tx, owner)
		return i.Tags, err
	})
	if fault.Is(err, fault.NotFound) {
		return nil, nil
	}
	return tags, err
}

// nameOf returns the name in an ARN: what follows the last "/".
func nameOf(arn string) string { return arn[strings.LastIndexByte(arn, '/')+1:] }
