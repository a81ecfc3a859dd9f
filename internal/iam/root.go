package iam

import (
	"fmt"

	"github.com/sallyport/sallyport/internal/gate"
	"github.com/sallyport/sallyport/internal/trail"
)

// EnsureRoot creates an access key of the root user if it has none, on a new deployment or after all were deleted.
// Otherwise it does nothing, and records no event. It is a write of the deployment itself.
//
// keep must store the key where the root user finds it. EnsureRoot calls it before it commits the key, so that a crash
// in between leaves a file that is replaced later rather than a key that nobody has. It may call keep again with
// another key, which replaces the first.
func (s *Service) EnsureRoot(tx *gate.Tx, keep func(IssuedKey) error) error {
	if err := s.begin(tx); err != nil {
		return err
	}
	present, err := tx.Exists(`SELECT 1 FROM iam_access_key WHERE user_id = '' LIMIT 1`)
	if err != nil {
		return err
	}
	if present {
		tx.Silence()
		return nil
	}
	tx.Touch(trail.Resource{ARN: s.RootARN()})
	issued, err := s.issueKey(tx, Identity{})
	if err != nil {
		return err
	}
	tx.Respond(map[string]any{"accessKey": map[string]any{
		"accessKeyId": issued.ID, "status": "Active", "createDate": issued.Created.Format("Jan 2, 2006 3:04:05 PM"),
	}})
	tx.Amend(func(e *trail.Event) { e.SourceIP = e.UserAgent })
	if err := keep(issued); err != nil {
		return fmt.Errorf("keep the root user's access key: %w", err)
	}
	return nil
}
