package iam_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"

	"github.com/sallyport/sallyport/internal/awsapi"
	iamapi "github.com/sallyport/sallyport/internal/awsapi/iam"
	stsapi "github.com/sallyport/sallyport/internal/awsapi/sts"
	"github.com/sallyport/sallyport/internal/clock/clocktest"
	"github.com/sallyport/sallyport/internal/db"
	"github.com/sallyport/sallyport/internal/db/dbtest"
	"github.com/sallyport/sallyport/internal/gate"
	domain "github.com/sallyport/sallyport/internal/iam"
	"github.com/sallyport/sallyport/internal/testkit/wait"
	"github.com/sallyport/sallyport/internal/trail"
)

const (
	account = "111122223333"
	region  = "on-prem-1"
)

// world is IAM and STS behind the real pipeline, on a real database. The SDK's own clients call it.
type world struct {
	*testing.T
	ctx     context.Context
	url     string
	db      *db.Writer
	service *domain.Service
	log     *safeBuffer
	root    *iam.Client
	keys    map[string][2]string // of users: id and secret
}

// safeBuffer is a log that may be written while it is read.
type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safeBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

type nobody struct{}

func (nobody) Observe(string, string, string, time.Duration) {}

// each runs a test on each database. On SQLite every write runs twice, and the first time is undone: see dbtest.SQLite.
func each(t *testing.T, test func(t *testing.T, w *world)) {
	dbtest.Each(t, func(t *testing.T, database *db.Writer) { test(t, newWorld(t, database)) })
}

func newWorld(t *testing.T, database *db.Writer) *world {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), wait.Patience)
	t.Cleanup(cancel)
	w := &world{T: t, ctx: ctx, db: database, log: &safeBuffer{}, keys: map[string][2]string{}}
	log := slog.New(slog.NewTextHandler(w.log, nil))
	seal, err := domain.NewSeal(bytes.Repeat([]byte{7}, domain.SealKeySize), rand.Reader)
	w.ok(err)
	w.service = domain.New(account, w.db.DB, seal, clocktest.Follow(time.Now), rand.Reader)
	guard := gate.New(account, w.service, w.service, w.db, clocktest.Follow(time.Now), rand.Reader)
	server := httptest.NewServer(awsapi.New(awsapi.Config{
		Account: account, Regions: []string{region}, Observer: nobody{}, Log: log, Now: time.Now, Random: rand.Reader,
		Gate: guard,
	}, iamapi.New(w.service), stsapi.New(w.service)))
	t.Cleanup(server.Close)
	w.url = server.URL
	w.ok(guard.Write(ctx, guard.Self(gate.Call{Name: "CreateAccessKey"}), func(tx *gate.Tx) error {
		return w.service.EnsureRoot(tx, func(key domain.IssuedKey) error {
			w.root = w.iam(key.ID, key.PlainSecret.Reveal(), "")
			w.keys["root"] = [2]string{key.ID, key.PlainSecret.Reveal()}
			return nil
		})
	}))
	return w
}

func (w *world) iam(id, secret, token string) *iam.Client {
	return iam.New(iam.Options{
		Region: region, BaseEndpoint: &w.url, Retryer: aws.NopRetryer{},
		Credentials: credentials.NewStaticCredentialsProvider(id, secret, token),
	})
}

func (w *world) sts(id, secret, token string) *sts.Client {
	return sts.New(sts.Options{
		Region: region, BaseEndpoint: &w.url, Retryer: aws.NopRetryer{},
		Credentials: credentials.NewStaticCredentialsProvider(id, secret, token),
	})
}

// user creates a user with the inline policy, if there is one, and returns their client.
func (w *world) user(name, path, document string) *iam.Client {
	w.Helper()
	_, err := w.root.CreateUser(w.ctx, &iam.CreateUserInput{UserName: &name, Path: awsapi.Optional(path)})
	w.ok(err)
	if document != "" {
		_, err = w.root.PutUserPolicy(w.ctx, &iam.PutUserPolicyInput{
			UserName: &name, PolicyName: &name, PolicyDocument: &document,
		})
		w.ok(err)
	}
	key, err := w.root.CreateAccessKey(w.ctx, &iam.CreateAccessKeyInput{UserName: &name})
	w.ok(err)
	w.keys[name] = [2]string{*key.AccessKey.AccessKeyId, *key.AccessKey.SecretAccessKey}
	return w.iam(*key.AccessKey.AccessKeyId, *key.AccessKey.SecretAccessKey, "")
}

func (w *world) ok(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// refused checks an error's code and a part of its message.
func (w *world) refused(err error, code, text string) {
	w.Helper()
	var api smithy.APIError
	if !errors.As(err, &api) || api.ErrorCode() != code || !strings.Contains(api.ErrorMessage(), text) {
		w.Errorf("got %v, want %s with %q", err, code, text)
	}
}

// trail returns all records, newest first.
func (w *world) trail() []trail.Entry {
	w.Helper()
	entries, err := trail.NewLog(w.db.DB).Events(w.ctx, trail.Query{Limit: 10_000})
	w.ok(err)
	return entries
}

func tagsOf(key, value string) []types.Tag { return []types.Tag{{Key: &key, Value: &value}} }
