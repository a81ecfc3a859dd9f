package db_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/db"
	"github.com/sallyport/sallyport/internal/db/dbtest"
	"github.com/sallyport/sallyport/internal/trail"
)

// childVariable, set to a database's URL, makes this test binary write to it until it is killed.
const childVariable = "SALLYPORT_TEST_WRITE_TO"

// putRecorded writes a value and its event.
func putRecorded(id string) func(*db.Tx) error {
	event := trail.Event{
		Version: "1.11", ID: id, RequestID: id, Time: time.Now(), Name: "SendSSHPublicKey", Region: "on-prem-1",
		Source: "ec2-instance-connect.amazonaws.com", SourceIP: "192.0.2.7", Type: trail.AwsAPICall,
		Identity:   trail.Identity{Type: trail.IAMUser, PrincipalID: "AIDAX", AccessKeyID: "AKIAX", UserName: "mina"},
		Parameters: map[string]any{"instanceId": "i-1", "instanceOSUser": "debian"},
		Resources:  []trail.Resource{{ARN: "arn:aws:ec2:on-prem-1:1:instance/i-1", Type: "AWS::EC2::Instance"}},
	}
	return func(tx *db.Tx) error { return errors.Join(put(id)(tx), trail.Append(tx, event)) }
}

// writeUntilKilled writes from many goroutines and prints the id of each write once it was acknowledged.
func writeUntilKilled(url string) error {
	ctx := context.Background()
	w, err := db.Open(ctx, url, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	round := time.Now().UnixNano()
	failed := make(chan error)
	for worker := range 16 {
		go func() {
			for n := 0; ; n++ {
				id := fmt.Sprintf("%d-%d-%d", round, worker, n)
				if err := w.Update(ctx, putRecorded(id)); err != nil {
					failed <- err
					return
				}
				os.Stdout.WriteString(id + "\n") // one write(2), not buffered
			}
		}()
	}
	return <-failed
}

// TestKilled checks that every acknowledged write is there after kill -9, with its event.
func TestKilled(t *testing.T) {
	url := dbtest.SQLiteURL(t)
	acknowledged := 0
	for range 5 {
		ids := killWhileWriting(t, url)
		acknowledged += len(ids)
		w := dbtest.Open(t, url)
		for _, id := range ids {
			wantMeta(t, w.DB, id, "set")
			events, err := trail.NewLog(w.DB).Events(t.Context(), trail.Query{Attribute: "EventId", Value: id, Limit: 1})
			if err != nil || len(events) != 1 {
				t.Fatalf("the event of an acknowledged write is lost: %v", err)
			}
		}
		ok(t, w.Close())
	}
	if acknowledged == 0 {
		t.Fatal("nothing was ever acknowledged: the test has tested nothing")
	}
	t.Logf("%d acknowledged writes survived", acknowledged)
}

// killWhileWriting starts a child, kills it while it writes, and returns the ids that it acknowledged.
func killWhileWriting(t *testing.T, url string) (ids []string) {
	t.Helper()
	self, err := os.Executable()
	ok(t, err)
	child := exec.CommandContext(t.Context(), self)
	child.Env = append(os.Environ(), childVariable+"="+url)
	child.Stderr = os.Stderr
	out, err := child.StdoutPipe()
	ok(t, err)
	ok(t, child.Start())
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
