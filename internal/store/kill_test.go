package store_test

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/access"
	"github.com/sallyport/sallyport/internal/clock"
	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/internal/trail"
)

// childVariable, set to a path, makes this test binary write to the database there until it is killed.
const childVariable = "STORE_TEST_WRITE_TO"

// writeUntilKilled puts grants from many goroutines and prints the id of each once the store has answered.
func writeUntilKilled(path string) error {
	ctx := context.Background()
	s, err := store.Open(ctx, path, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	round := time.Now().UnixNano()
	failed := make(chan error)
	for worker := range 16 {
		go func() {
			for n := 0; ; n++ {
				id := fmt.Sprintf("%d-%d-%d", round, worker, n)
				if err := s.PutGrant(ctx, sampleGrant(id), sampleEvent(id)); err != nil {
					failed <- err
					return
				}
				os.Stdout.WriteString(id + "\n") // one write, never buffered
			}
		}()
	}
	return <-failed
}

func sampleGrant(id string) access.Grant {
	now := time.Now()
	return access.Grant{RequestID: id, InstanceID: "i-0123456789abcdef0", OSUser: "debian", PublicKey: "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI" + strings.Repeat("x", 43),
		Caller: trail.Identity{Type: "IAMUser", PrincipalID: "AIDAX", ARN: "arn:aws:iam::123456789012:user/mina", AccountID: "123456789012", AccessKeyID: "AKIAX", UserName: "mina"},
		Issued: clock.Reading{Time: now, Boot: "boot"}, Expires: now.Add(time.Minute)}
}

func sampleEvent(id string) trail.Event {
	return trail.Event{Version: "1.11", ID: "event-" + id, RequestID: id, Time: time.Now().UTC().Truncate(time.Second), Name: "SendSSHPublicKey",
		Source: "ec2-instance-connect.amazonaws.com", Region: "on-prem-1", SourceIP: "192.0.2.7", UserAgent: "aws-cli/2.9.19 Python/3.11.2 Linux/6.1",
		Identity:   trail.Identity{Type: "IAMUser", PrincipalID: "AIDAX", ARN: "arn:aws:iam::123456789012:user/mina", AccountID: "123456789012", AccessKeyID: "AKIAX", UserName: "mina"},
		Parameters: map[string]any{"instanceId": "i-0123456789abcdef0", "instanceOSUser": "debian", "sSHPublicKey": "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI" + strings.Repeat("x", 43)},
		Response:   map[string]any{"requestId": id, "success": true}, Type: trail.AwsAPICall, Management: true, Account: "123456789012", Category: "Management",
		Resources: []trail.Resource{{ARN: "arn:aws:ec2:on-prem-1:123456789012:instance/i-0123456789abcdef0", AccountID: "123456789012", Type: "AWS::EC2::Instance"}}}
}

// TestKilled: whatever the store acknowledged is there after kill -9, grant and event both.
func TestKilled(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sallyport.db")
	acknowledged := 0
	for range 5 {
		ids := killWhileWriting(t, path)
		acknowledged += len(ids)
		s, err := store.Open(t.Context(), path, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatalf("after the kill: %v", err)
		}
		for _, id := range ids {
			if _, err := s.Grant(t.Context(), "i-0123456789abcdef0", id); err != nil {
				t.Fatalf("an acknowledged grant is lost: %v", err)
			}
			events, err := s.Events(t.Context(), trail.Query{Attribute: "EventId", Value: "event-" + id, Limit: 1})
			if err != nil || len(events) != 1 {
				t.Fatalf("the event of an acknowledged grant is lost: %v", err)
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if acknowledged == 0 {
		t.Fatal("nothing was ever acknowledged: the test has tested nothing")
	}
	t.Logf("%d acknowledged writes survived", acknowledged)
}

// killWhileWriting starts a child, kills it in the midst of its writing, and returns what it acknowledged.
func killWhileWriting(t *testing.T, path string) (ids []string) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	child := exec.CommandContext(t.Context(), self)
	child.Env = append(os.Environ(), childVariable+"="+path)
	child.Stderr = os.Stderr
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if len(ids) == 0 { // it has begun
			time.AfterFunc(rand.N(400*time.Millisecond), func() { child.Process.Kill() })
		}
		ids = append(ids, lines.Text())
	}
	child.Wait()
	return ids
}
