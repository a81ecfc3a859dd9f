// Package iam keeps users, groups, policies, access keys and sessions, and tells the gate who an access key
// belongs to and what they may do. A change is durable, together with its event, and holds for every request from
// then on when the method that made it returns.
package iam

import (
	"context"
	"time"

	"github.com/sallyport/sallyport/internal/clock"
	"github.com/sallyport/sallyport/internal/trail"
)

// User is an IAM user.
type User struct {
	ID      string // AIDA…
	Name    string // unique without regard to case
	Path    string // begins and ends with "/"
	ARN     string
	Created time.Time
	Tags    map[string]string
}

// Group is a set of users.
type Group struct {
	ID      string // AGPA…
	Name    string // unique without regard to case
	Path    string
	ARN     string
	Created time.Time
}

// ManagedPolicy is a policy of its own, attached to users and groups.
type ManagedPolicy struct {
	ID             string // ANPA…
	Name           string
	Path           string
	ARN            string
	Description    string
	DefaultVersion string // "v3"
	Created        time.Time
	Updated        time.Time
	Attachments    int // filled when read
	Tags           map[string]string
}

// PolicyVersion is one text of a managed policy; a policy has at most MaxVersions.
type PolicyVersion struct {
	ID       string // "v1", "v2", …; never used again after deletion
	Document string // as it was given
	Created  time.Time
	Default  bool // filled when read
}

// AccessKey is a long-lived pair of id and secret.
type AccessKey struct {
	ID       string // AKIA…
	UserName string // empty for the account's root user
	Secret   []byte // sealed with the deployment's key: the database alone cannot sign
	Active   bool
	Created  time.Time
	LastUsed LastUse // filled when read
}

// LastUse is when and for what an access key was last used; zero for never.
type LastUse struct {
	Time    time.Time
	Service string
	Region  string
}

// Session is a temporary access key of a user.
type Session struct {
	AccessKeyID string // ASIA…
	UserName    string // empty for the account's root user
	Secret      []byte // sealed
	Token       []byte // sealed
	Created     clock.Reading
	Expires     time.Time
}

// OwnerKind says whose inline policies or attachments are meant.
type OwnerKind string

// The kinds of owners.
const (
	OwnerUser  OwnerKind = "user"
	OwnerGroup OwnerKind = "group"
)

// Owner is a user or a group, by name.
type Owner struct {
	Kind OwnerKind
	Name string
}

// InlinePolicy is a policy that lives and dies with its owner.
type InlinePolicy struct {
	Name     string
	Document string
}

// Credential is what the gate needs to know about the owner of an access key, read at one moment.
type Credential struct {
	Key      AccessKey // or the session's, with Active true
	Session  *Session  // nil for a long-lived key
	User     *User     // nil for root
	Policies []OwnedPolicy
}

// OwnedPolicy is a policy text that applies to a user, and how it came to.
type OwnedPolicy struct {
	ARN      string // of a managed policy; empty for an inline one
	Name     string
	Owner    Owner // who it is attached to or inline in
	Document string
}

// Store keeps identities. Names are compared without regard to case, ARNs and ids exactly, because policies were
// asked about them as they were given. Methods that change something commit the event in the same transaction
// and return only when both are durable. Errors are NotFound, Exists, InUse and Limit faults whose Resource is
// "user", "group", "policy", "policy-version", "access-key", "attachment" or "membership"; the messages are IAM's
// own where it has them.
type Store interface {
	CreateUser(ctx context.Context, user User, event trail.Event) error
	User(ctx context.Context, name string) (User, error)
	Users(ctx context.Context, pathPrefix string) ([]User, error) // by name
	UpdateUser(ctx context.Context, name string, user User, event trail.Event) error
	// DeleteUser refuses (InUse) while the user has access keys, inline or attached policies, or groups. The
	// user's sessions end, and do not become those of another user of the same name.
	DeleteUser(ctx context.Context, name string, event trail.Event) error

	CreateGroup(ctx context.Context, group Group, event trail.Event) error
	Group(ctx context.Context, name string) (Group, error)
	Groups(ctx context.Context, pathPrefix string) ([]Group, error) // by name
	UpdateGroup(ctx context.Context, name string, group Group, event trail.Event) error
	// DeleteGroup refuses (InUse) while the group has members or policies.
	DeleteGroup(ctx context.Context, name string, event trail.Event) error
	AddMember(ctx context.Context, group, user string, event trail.Event) error    // idempotent
	RemoveMember(ctx context.Context, group, user string, event trail.Event) error // NotFound if it is not one
	Members(ctx context.Context, group string) ([]User, error)                     // by name
	GroupsOf(ctx context.Context, user string) ([]Group, error)                    // by name

	PutInlinePolicy(ctx context.Context, owner Owner, policy InlinePolicy, event trail.Event) error // replaces
	InlinePolicy(ctx context.Context, owner Owner, name string) (InlinePolicy, error)
	InlinePolicies(ctx context.Context, owner Owner) ([]InlinePolicy, error) // by name
	DeleteInlinePolicy(ctx context.Context, owner Owner, name string, event trail.Event) error

	CreatePolicy(ctx context.Context, policy ManagedPolicy, first PolicyVersion, event trail.Event) error
	Policy(ctx context.Context, arn string) (ManagedPolicy, error)
	Policies(ctx context.Context, pathPrefix string) ([]ManagedPolicy, error) // in no order
	// DeletePolicy refuses (InUse) while the policy is attached or has versions beside the default one.
	DeletePolicy(ctx context.Context, arn string, event trail.Event) error
	// CreatePolicyVersion numbers the version itself, above every version the policy ever had, and refuses
	// (Limit) one beyond MaxVersions. The event is made when the number is known.
	CreatePolicyVersion(ctx context.Context, arn string, version PolicyVersion, makeDefault bool, event func(PolicyVersion) trail.Event) (PolicyVersion, error)
	PolicyVersions(ctx context.Context, arn string) ([]PolicyVersion, error) // newest first
	SetDefaultPolicyVersion(ctx context.Context, arn, version string, event trail.Event) error
	DeletePolicyVersion(ctx context.Context, arn, version string, event trail.Event) error // refuses (InUse) the default

	// AttachPolicy is idempotent. A policy of AWS's own (arn:aws:iam::aws:policy/…) has no row here and is
	// attached by its ARN all the same.
	AttachPolicy(ctx context.Context, owner Owner, arn string, event trail.Event) error
	DetachPolicy(ctx context.Context, owner Owner, arn string, event trail.Event) error // NotFound "attachment"
	AttachedPolicies(ctx context.Context, owner Owner) ([]string, error)                // ARNs, in no order
	// PolicyOwners returns users before groups, each by name. NotFound "policy" if there is none with the ARN,
	// unless it is one of AWS's own.
	PolicyOwners(ctx context.Context, arn string) ([]Owner, error)

	// CreateAccessKey refuses (Limit) one beyond MaxAccessKeys.
	CreateAccessKey(ctx context.Context, key AccessKey, event trail.Event) error
	AccessKeys(ctx context.Context, userName string) ([]AccessKey, error) // oldest first
	AccessKey(ctx context.Context, id string) (AccessKey, error)
	// SetAccessKeyActive and DeleteAccessKey find a key only under its own user's name.
	SetAccessKeyActive(ctx context.Context, userName, id string, active bool, event trail.Event) error
	DeleteAccessKey(ctx context.Context, userName, id string, event trail.Event) error
	// TouchAccessKey records a use. It is called for every request and does not wait for the database, so that a
	// use may be lost in a crash.
	TouchAccessKey(ctx context.Context, id string, use LastUse) error

	CreateSession(ctx context.Context, session Session, event trail.Event) error
	// PruneSessions forgets sessions that expired before the time.
	PruneSessions(ctx context.Context, before time.Time) error

	// Credential reads everything about an access key or session in one consistent view. Policies of AWS's
	// own come with an empty Document. NotFound for an unknown key.
	Credential(ctx context.Context, accessKeyID string) (Credential, error)
}
