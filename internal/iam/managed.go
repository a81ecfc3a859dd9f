package iam

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/sallyport/sallyport/internal/db"
	"github.com/sallyport/sallyport/internal/fault"
	"github.com/sallyport/sallyport/internal/gate"
	"github.com/sallyport/sallyport/internal/policy"
)

// ManagedPolicy is a policy that can be attached to users and groups. It is the account's, or AWS's.
type ManagedPolicy struct {
	ID             string // ANPA…
	Name           string // unique among the account's, without regard to case
	Path           string
	ARN            string
	Description    string
	DefaultVersion string // "v3"
	Created        time.Time
	Updated        time.Time
	Attachments    int
	Tags           map[string]string
}

const selectPolicies = `
	SELECT p.id, p.name, p.path, p.arn, p.description, p.default_version, p.created, p.updated, p.tags,
		(SELECT COUNT(*) FROM iam_attachment a WHERE a.policy_arn = p.arn)
	FROM iam_policy p `

func scanPolicy(row db.Scanner) (p ManagedPolicy, err error) {
	var number, created, updated int64
	var tags []byte
	err = row.Scan(&p.ID, &p.Name, &p.Path, &p.ARN, &p.Description, &number, &created, &updated, &tags, &p.Attachments)
	if err != nil {
		return p, err
	}
	p.DefaultVersion, p.Created, p.Updated = versionID(number), db.Time(created), db.Time(updated)
	p.Tags, err = db.Decode[map[string]string](tags)
	return p, err
}

func noPolicy(arn string) error {
	return fault.New(fault.NotFound, fault.Policy, "Policy %s was not found.", arn)
}

// findPolicy returns the account's policy with the ARN.
func findPolicy(tx *db.Tx, arn string) (ManagedPolicy, error) {
	return db.One(tx, noPolicy(arn), scanPolicy, selectPolicies+`WHERE p.arn = $1`, arn)
}

// policy returns the account's or AWS's policy with the ARN.
func (s *Service) policy(tx *db.Tx, arn string) (ManagedPolicy, error) {
	if err := s.CheckPolicyARN(arn); err != nil {
		return ManagedPolicy{}, err
	}
	if !ofAWS(arn) {
		return findPolicy(tx, arn)
	}
	builtIn, ok := awsPolicy(arn)
	if !ok {
		return ManagedPolicy{}, noPolicy(arn)
	}
	p := builtIn.ManagedPolicy
	return p, tx.Row(`SELECT COUNT(*) FROM iam_attachment WHERE policy_arn = $1`, arn).Scan(&p.Attachments)
}

// attachable is policy with the error message that IAM has when a policy is used or changed, and not only read.
func (s *Service) attachable(tx *db.Tx, arn string) (ManagedPolicy, error) {
	p, err := s.policy(tx, arn)
	if fault.Is(err, fault.NotFound) {
		err = fault.New(fault.NotFound, fault.Policy, "Policy %s does not exist or is not attachable.", arn)
	}
	return p, err
}

// changeable begins a write of a policy. It returns an error if the policy is AWS's or does not exist.
func (s *Service) changeable(tx *gate.Tx, arn string) (ManagedPolicy, error) {
	if err := s.begin(tx); err != nil {
		return ManagedPolicy{}, err
	}
	if ofAWS(arn) {
		return ManagedPolicy{}, fault.New(fault.Denied, fault.Policy, "Policy %s is AWS's own and cannot be changed. "+
			"Create a policy of your own with its document.", arn)
	}
	return s.attachable(tx.Tx, arn)
}

// NewPolicy describes a managed policy to create. An empty Path is "/".
type NewPolicy struct {
	Name, Path, Description string
	Document                string
	Tags                    map[string]string
}

// CreatePolicy creates a managed policy, which is not attached, with the document as version v1.
func (s *Service) CreatePolicy(tx *gate.Tx, in NewPolicy) (ManagedPolicy, error) {
	if err := s.begin(tx); err != nil {
		return ManagedPolicy{}, err
	}
	now := moment(tx)
	p := ManagedPolicy{
		Name: in.Name, Path: cmp.Or(in.Path, rootPath), Description: in.Description,
		DefaultVersion: versionID(1), Created: now, Updated: now,
	}
	p.ARN = s.NewARN("policy", p.Path, p.Name)
	var err error
	if p.Tags, err = mergeTags(nil, in.Tags); err != nil {
		return ManagedPolicy{}, err
	}
	tags, err := db.Encode(p.Tags)
	if err != nil {
		return ManagedPolicy{}, err
	}
	if err := checkManagedDocument(in.Document); err != nil {
		return ManagedPolicy{}, err
	}
	if p.ID, err = newID(s.random, policyPrefix); err != nil {
		return ManagedPolicy{}, err
	}
	taken := fault.New(fault.Exists, fault.Policy,
		"A policy called %s already exists. Duplicate names are not allowed.", p.Name)
	err = tx.Change(taken, `
		INSERT INTO iam_policy
			(id, name, folded, path, arn, description, default_version, last_version, created, updated, tags)
		VALUES ($1, $2, $3, $4, $5, $6, 1, 1, $7, $7, $8) ON CONFLICT DO NOTHING`,
		p.ID, p.Name, policy.Fold(p.Name), p.Path, p.ARN, p.Description, db.Micros(now), tags)
	if err != nil {
		return ManagedPolicy{}, err
	}
	return p, insertVersion(tx, p, PolicyVersion{Number: 1, Document: in.Document, Created: now})
}

// Policy returns the account's or AWS's managed policy with the ARN.
func (s *Service) Policy(ctx context.Context, pass gate.Pass, arn string) (ManagedPolicy, error) {
	return read(ctx, s, pass, func(tx *db.Tx) (ManagedPolicy, error) { return s.policy(tx, arn) })
}

// PolicyScope selects managed policies by whose they are.
type PolicyScope string

// Scopes, named as in IAM's API.
const (
	AllPolicies   PolicyScope = "All"
	AWSPolicies   PolicyScope = "AWS"
	LocalPolicies PolicyScope = "Local"
)

// PolicyFilter selects managed policies.
type PolicyFilter struct {
	Scope        PolicyScope // AllPolicies if empty
	OnlyAttached bool
	PathPrefix   string // "/" if empty
}

// Policies returns the managed policies that match the filter, ordered by name.
func (s *Service) Policies(ctx context.Context, pass gate.Pass, filter PolicyFilter) ([]ManagedPolicy, error) {
	return read(ctx, s, pass, func(tx *db.Tx) (found []ManagedPolicy, err error) {
		if filter.Scope != AWSPolicies {
			if found, err = db.Collect(tx, scanPolicy, selectPolicies); err != nil {
				return nil, err
			}
		}
		if filter.Scope != LocalPolicies {
			for _, builtIn := range awsPolicies() {
				p, err := s.policy(tx, builtIn.ARN)
				if err != nil {
					return nil, err
				}
				found = append(found, p)
			}
		}
		found = slices.DeleteFunc(found, func(p ManagedPolicy) bool {
			return !strings.HasPrefix(p.Path, filter.PathPrefix) || filter.OnlyAttached && p.Attachments == 0
		})
		slices.SortFunc(found, comparePolicies)
		return found, nil
	})
}

// comparePolicies compares by name and then by ARN: an AWS managed policy may have the name of one of the account's.
func comparePolicies(a, b ManagedPolicy) int {
	return cmp.Or(compareNames(a.Name, b.Name), strings.Compare(a.ARN, b.ARN))
}

// DeletePolicy deletes a managed policy that is attached to no user or group and has only its default version.
// Otherwise an InUse fault says what is left.
func (s *Service) DeletePolicy(tx *gate.Tx, arn string) error {
	p, err := s.changeable(tx, arn)
	if err != nil {
		return err
	}
	if p.Attachments > 0 {
		return fault.New(fault.InUse, fault.Policy, "Cannot delete a policy attached to entities.")
	}
	versions, err := findVersions(tx.Tx, p)
	if err != nil {
		return err
	}
	if len(versions) > 1 {
		return fault.New(fault.InUse, fault.Policy, "This policy has more than one version. Before you delete a policy, "+
			"you must delete the policy's versions. The default version is deleted with the policy.")
	}
	if _, err := tx.Exec(`DELETE FROM iam_policy_version WHERE policy_id = $1`, p.ID); err != nil {
		return err
	}
	_, err = tx.Exec(`DELETE FROM iam_policy WHERE id = $1`, p.ID)
	return err
}
