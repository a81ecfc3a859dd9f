package iam

import (
	"context"
	"fmt"
	"time"

	"github.com/sallyport/sallyport/internal/trail"
	"github.com/sallyport/sallyport/internal/uuid"
)

// EnsureRoot gives the root user an access key if it has none: on a new deployment, or after somebody deleted
// them all. It does nothing otherwise. keep must put the key where its owner finds it; it is called before the
// key begins to work, so that a crash in between leaves a file that is written again rather than a key nobody
// has. region is the one its event is recorded in.
//
// Nobody calls this through the API, so there is no Pass: the deployment itself acts, and the event says so.
func (s *Service) EnsureRoot(ctx context.Context, region string, keep func(IssuedKey) error) error {
	return s.commit(func() error {
		keys, err := s.store.AccessKeys(ctx, "")
		if err != nil || len(keys) > 0 {
			return err
		}
		issued, err := s.issueKey("", s.clock.Now().UTC().Truncate(time.Second))
		if err != nil {
			return err
		}
		if err := keep(issued); err != nil {
			return fmt.Errorf("keep the root user's access key: %w", err)
		}
		return s.store.CreateAccessKey(ctx, issued.AccessKey, s.rootKeyEvent(issued.AccessKey, region))
	})
}

func (s *Service) rootKeyEvent(key AccessKey, region string) trail.Event {
	const self = "sallyport"
	return trail.Event{
		Version:  "1.11",
		Identity: trail.Identity{Type: trail.AWSService, PrincipalID: self, AccountID: s.account},
		Time:     key.Created.Truncate(time.Second), Source: "iam.amazonaws.com", Name: "CreateAccessKey", Region: region,
		SourceIP: self, UserAgent: self,
		Response: map[string]any{"accessKey": map[string]any{
			"accessKeyId": key.ID, "status": "Active", "createDate": trailTime(key.Created),
		}},
		RequestID: uuid.New(key.Created, s.random), ID: uuid.New(key.Created, s.random),
		Resources: []trail.Resource{{ARN: s.RootARN(), AccountID: s.account}, {ARN: key.ID, AccountID: s.account, Type: AccessKeyType}},
		Type:      trail.AwsServiceEvent, Management: true, Account: s.account, Category: "Management",
	}
}
