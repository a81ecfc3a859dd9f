// Package testkit runs the whole system in one process, on loopback and in a temporary directory: a control plane with
// its real database, certificates and listener, and simulated hosts whose agents are real except for sshd. Tests and
// benchmarks use it as clients do, with AWS's own SDK.
package testkit

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"github.com/aws/aws-sdk-go-v2/aws"
	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2instanceconnect"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"log/slog"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"github.com/sallyport/sallyport/internal/awsapi"
	"github.com/sallyport/sallyport/internal/clock"
	"github.com/sallyport/sallyport/internal/controlplane"
	"github.com/sallyport/sallyport/internal/testkit/wait"
	"github.com/sallyport/sallyport/internal/trail"
)

// The account and region of every System.
const (
	Account = "123456789012"
	Region  = "on-prem-1"
)

// System is a running control plane.
type System struct {
	Endpoint string // http://127.0.0.1:PORT, for AWS clients
	Data     string // the data directory
	Root     aws.CredentialsProvider
	Log      *Log // the control plane's log

	config controlplane.Config
	clock  clock.Clock
	server *controlplane.Server
}

// Start runs a control plane until the test ends. The changes are applied to its configuration first.
func Start(t testing.TB, changes ...func(*controlplane.Config)) *System {
	t.Helper()
	return StartOn(t, clock.System(), changes...)
}

// StartOn is Start with the given clock.
func StartOn(t testing.TB, clock clock.Clock, changes ...func(*controlplane.Config)) *System {
	t.Helper()
	data := filepath.Join(t.TempDir(), "data")
	s := &System{Data: data, Log: &Log{}, clock: clock, config: controlplane.Config{
		Data: data, Listen: "127.0.0.1:0", Account: Account, Regions: []string{Region}, CallRate: 1_000_000,
	}}
	for _, change := range changes {
		change(&s.config)
	}
	s.start(t)
	t.Cleanup(func() { s.Stop(t) })
	return s
}

func (s *System) start(t testing.TB) {
	t.Helper()
	server, err := controlplane.Start(context.Background(), s.config,
		slog.New(slog.NewTextHandler(s.Log, nil)), s.clock, rand.Reader)
	if err != nil {
		t.Fatalf("start the control plane: %v", err)
	}
	s.server, s.Endpoint = server, server.Endpoint()
	s.Root, err = SavedCredentials(context.Background(), s.Data)
	if err != nil {
		t.Fatal(err)
	}
}

// Stop ends the control plane. It does nothing if the control plane has ended.
func (s *System) Stop(t testing.TB) {
	t.Helper()
	if s.server == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), wait.Patience)
	defer cancel()
	if err := s.server.Close(ctx); err != nil {
		t.Errorf("stop the control plane: %v", err)
	}
	s.server = nil
}

// Services returns the tables of the operations.
func (s *System) Services() []awsapi.Service { return s.server.Services() }

// Events returns the whole trail, oldest first, from LookupEvents.
func (s *System) Events(t testing.TB) []trail.Event {
	t.Helper()
	var events []trail.Event
	pages := cloudtrail.NewLookupEventsPaginator(s.Clients(s.Root).Trail, &cloudtrail.LookupEventsInput{})
	for pages.HasMorePages() {
		page, err := pages.NextPage(t.Context())
		if err != nil {
			t.Fatalf("look the trail up: %v", err)
		}
		for _, e := range page.Events {
			var event trail.Event
			if err := json.Unmarshal([]byte(*e.CloudTrailEvent), &event); err != nil {
				t.Fatalf("the trail holds %s: %v", *e.CloudTrailEvent, err)
			}
			events = append(events, event)
		}
	}
	slices.Reverse(events)
	return events
}

// SavedCredentials reads the root user's access key from the data directory.
func SavedCredentials(ctx context.Context, data string) (aws.CredentialsProvider, error) {
	return CredentialsFile(ctx, filepath.Join(data, controlplane.CredentialsFile))
}

// CredentialsFile reads the credentials of Sallyport's profile in a file, as the SDK does.
func CredentialsFile(ctx context.Context, path string) (aws.CredentialsProvider, error) {
	config, err := awsconfig.LoadDefaultConfig(ctx,
		awsconfig.WithSharedCredentialsFiles([]string{path}),
		awsconfig.WithSharedConfigFiles(nil), awsconfig.WithSharedConfigProfile(controlplane.ProfileName))
	if err != nil {
		return nil, fmt.Errorf("read the credentials in %s: %w", path, err)
	}
	return config.Credentials, nil
}

// Clients are the SDK's clients for one principal.
type Clients struct {
	Config aws.Config
	EC2    *ec2.Client
	EIC    *ec2instanceconnect.Client
	IAM    *iam.Client
	STS    *sts.Client
	Trail  *cloudtrail.Client
}

// Clients returns clients that sign with the credentials and do not retry.
func (s *System) Clients(who aws.CredentialsProvider) Clients { return NewClients(s.Endpoint, who) }

// NewClients returns clients of the API at the endpoint.
func NewClients(endpoint string, who aws.CredentialsProvider) Clients {
	config := aws.Config{Region: Region, Credentials: who, BaseEndpoint: aws.String(endpoint), RetryMaxAttempts: 1}
	return Clients{
		Config: config,
		EC2:    ec2.NewFromConfig(config),
		EIC:    ec2instanceconnect.NewFromConfig(config),
		IAM:    iam.NewFromConfig(config),
		STS:    sts.NewFromConfig(config),
		Trail:  cloudtrail.NewFromConfig(config),
	}
}

// User makes an IAM user with an access key and one inline policy, or no policy if it is empty.
func (s *System) User(t testing.TB, name, policy string) aws.CredentialsProvider {
	t.Helper()
	ctx := t.Context()
	root := s.Clients(s.Root).IAM
	if _, err := root.CreateUser(ctx, &iam.CreateUserInput{UserName: &name}); err != nil {
		t.Fatalf("create the user %s: %v", name, err)
	}
	if policy != "" {
		if _, err := root.PutUserPolicy(ctx,
			&iam.PutUserPolicyInput{UserName: &name, PolicyName: aws.String("test"), PolicyDocument: &policy}); err != nil {
			t.Fatalf("give %s a policy: %v", name, err)
		}
	}
	key, err := root.CreateAccessKey(ctx, &iam.CreateAccessKeyInput{UserName: &name})
	if err != nil {
		t.Fatalf("create an access key of %s: %v", name, err)
	}
	return credentials.NewStaticCredentialsProvider(*key.AccessKey.AccessKeyId, *key.AccessKey.SecretAccessKey, "")
}

// Log keeps what was logged. It is safe for concurrent use.
type Log struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write implements io.Writer.
func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

// String returns everything that was logged.
func (l *Log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}
