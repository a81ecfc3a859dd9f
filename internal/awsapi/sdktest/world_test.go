// Package sdktest tests the services as AWS's SDK for Go sees them: through the whole pipeline, on a real database.
// Only the hosts' end of the links is simulated.
package sdktest

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/credentials"
	awscloudtrail "github.com/aws/aws-sdk-go-v2/service/cloudtrail"
	awsec2 "github.com/aws/aws-sdk-go-v2/service/ec2"
	awseic "github.com/aws/aws-sdk-go-v2/service/ec2instanceconnect"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/internal/access"
	"github.com/sallyport/sallyport/internal/awsapi"
	"github.com/sallyport/sallyport/internal/awsapi/cloudtrail"
	"github.com/sallyport/sallyport/internal/awsapi/ec2"
	"github.com/sallyport/sallyport/internal/awsapi/eic"
	"github.com/sallyport/sallyport/internal/awsapi/sallyport"
	"github.com/sallyport/sallyport/internal/ca"
	"github.com/sallyport/sallyport/internal/clock/clocktest"
	"github.com/sallyport/sallyport/internal/compute"
	"github.com/sallyport/sallyport/internal/db"
	"github.com/sallyport/sallyport/internal/db/dbtest"
	"github.com/sallyport/sallyport/internal/fault"
	"github.com/sallyport/sallyport/internal/gate"
	"github.com/sallyport/sallyport/internal/hosts"
	"github.com/sallyport/sallyport/internal/policy"
	"github.com/sallyport/sallyport/internal/resource"
	"github.com/sallyport/sallyport/internal/trail"
	"github.com/sallyport/sallyport/internal/uuid"
)

const (
	account = "123456789012"
	region  = "on-prem-1"
)

// world is a control plane with the services, as far as a client can tell.
type world struct {
	t         *testing.T
	url       string
	pipeline  http.Handler
	db        *db.Writer
	gate      *gate.Gate
	hosts     *hosts.Service
	authority *ca.Authority

	mu         sync.Mutex
	ahead      time.Duration // of the server's clock
	principals map[string]gate.Principal
	linked     map[string]bool
	dismissed  []string
	deliver    func(access.Grant) error // nil succeeds
}

func newWorld(t *testing.T) *world {
	t.Helper()
	var err error
	w := &world{t: t, db: dbtest.SQLite(t), principals: map[string]gate.Principal{}, linked: map[string]bool{}}
	if w.authority, err = ca.New(account, time.Now(), rand.Reader); err != nil {
		t.Fatal(err)
	}
	fingerprint, err := ca.Fingerprint(w.authority.Certificate().Raw)
	if err != nil {
		t.Fatal(err)
	}
	const endpoint = "sallyport.example:8443"
	places := compute.Places{
		{Name: region, Endpoint: endpoint, Zones: []string{"on-prem-1a", "on-prem-1b"}},
		{Name: "on-prem-2", Endpoint: endpoint, Zones: []string{"on-prem-2a"}},
	}
	clock := clocktest.Follow(w.now)
	w.hosts = hosts.New(w.db.DB, w, places, clock, rand.Reader)
	instances := compute.New(w.db.DB, w.hosts, w, places, clock)
	tags := resource.NewTags(w.db.DB, clock)
	w.gate = gate.New(account, w, tags, w.db, clock, rand.Reader)
	keys := access.New(w.db.DB, instances, w, w.authority.Signers("sallyport", w.now), clock)
	pipeline := awsapi.New(awsapi.Config{
		Account: account, Regions: []string{region, "on-prem-2"}, Gate: w.gate, Observer: w,
		Log: slog.New(slog.DiscardHandler), Now: w.now, Random: rand.Reader,
	},
		ec2.New(instances, tags),
		eic.New(keys),
		cloudtrail.New(trail.NewLog(w.db.DB), w.now),
		sallyport.New(w.hosts, instances, sallyport.Place{
			Server: "https://sallyport.example:8443", Fingerprint: fingerprint,
		}),
	)
	server := httptest.NewServer(http.HandlerFunc(func(answer http.ResponseWriter, r *http.Request) {
		answer.Header().Set("Date", w.now().UTC().Format(http.TimeFormat)) // net/http would give the client's own time
		pipeline.ServeHTTP(answer, r)
	}))
	t.Cleanup(server.Close)
	w.url, w.pipeline = server.URL, pipeline
	return w
}

func (w *world) now() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return time.Now().Add(w.ahead)
}

func (w *world) Observe(_, _, _ string, _ time.Duration) {}
func (w *world) Problem(string) string                   { return "" }

func (w *world) Linked(id string) bool                  { w.mu.Lock(); defer w.mu.Unlock(); return w.linked[id] }
func (w *world) Revoke(context.Context, string, string) {}
func (w *world) Deliver(_ context.Context, g access.Grant) error {
	if w.deliver != nil {
		return w.deliver(g)
	}
	return nil
}

func (w *world) Dismiss(_ context.Context, id string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.dismissed = append(w.dismissed, id)
	delete(w.linked, id)
}

func (w *world) link(ids ...string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, id := range ids {
		w.linked[id] = true
	}
}

// Principal implements gate.Principals.
func (w *world) Principal(_ context.Context, id string) (gate.Principal, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	p, ok := w.principals[id]
	if !ok {
		return gate.Principal{}, fault.New(fault.NotFound, fault.AccessKey, "no such key")
	}
	return p, nil
}

// root returns the configuration of a client with the root user's key.
func (w *world) root() aws.Config {
	return w.login(gate.Principal{Root: true, Identity: trail.Identity{
		Type: "Root", PrincipalID: account, ARN: "arn:aws:iam::" + account + ":root", AccountID: account,
	}})
}

// user returns the configuration of a client of a user with the policy. Without one the user may do nothing.
func (w *world) user(name, document string) aws.Config {
	w.t.Helper()
	p := gate.Principal{Identity: trail.Identity{
		Type: "IAMUser", PrincipalID: "AIDA" + strings.ToUpper(name), AccountID: account, UserName: name,
		ARN: "arn:aws:iam::" + account + ":user/" + name,
	}}
	if document != "" {
		parsed, err := policy.Parse(document)
		if err != nil {
			w.t.Fatal(err)
		}
		one := policy.Policy{Name: "p (inline policy of user " + name + ")", Document: parsed}
		p.Policies = []policy.Set{{Sort: policy.IdentityBased, Policies: []policy.Policy{one}}}
	}
	return w.login(p)
}

// allow returns a policy that allows the action on the resource under the condition, which may be empty.
func allow(action, resource, condition string) string {
	return `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"` + action + `","Resource":"` + resource +
		`","Condition":{` + condition + `}}}`
}

func (w *world) login(p gate.Principal) aws.Config {
	w.mu.Lock()
	defer w.mu.Unlock()
	id := fmt.Sprintf("AKIATEST%012d", len(w.principals))
	p.Secret, p.Identity.AccessKeyID = gate.Secret("secret of "+id), id
	w.principals[id] = p
	return aws.Config{
		Region: region, BaseEndpoint: &w.url, RetryMaxAttempts: 1,
		Credentials: credentials.NewStaticCredentialsProvider(id, p.Secret.Reveal(), p.SessionToken.Reveal()),
	}
}

// enroll makes a linked host with the tags and returns its id.
func (w *world) enroll(tags map[string]string) string {
	w.t.Helper()
	var token hosts.Token
	var secret gate.Secret
	w.write(func(tx *gate.Tx) (err error) {
		token, secret, err = w.hosts.CreateToken(tx, hosts.TokenRequest{Tags: tags})
		return err
	})
	host := w.redeem(token.ID, secret)
	w.link(host.ID)
	return host.ID
}

// redeem enrolls a machine with the token.
func (w *world) redeem(tokenID string, secret gate.Secret) (host hosts.Host) {
	w.t.Helper()
	agent, _, _ := ed25519.GenerateKey(rand.Reader)
	application := hosts.Application{TokenID: tokenID, Secret: secret, PublicKey: agent, Report: report()}
	w.write(func(tx *gate.Tx) (err error) {
		host, err = w.hosts.Enroll(tx, application)
		return err
	})
	return host
}

func (w *world) write(fn func(*gate.Tx) error) {
	w.t.Helper()
	pass, err := w.gate.AdmitHost(trail.Identity{Type: trail.Host, PrincipalID: "test"}, gate.Call{
		RequestID: uuid.New(time.Now(), rand.Reader), Name: "EnrollHost", Source: "sallyport", Region: region,
	})
	if err == nil {
		err = w.gate.Write(w.t.Context(), pass, fn)
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

func report() hosts.Report {
	return hosts.Report{
		Hostname: "web-1", OS: "Debian GNU/Linux 12", Architecture: "x86_64", SSHPort: 22, Version: "1",
		Users: []string{"admin", "root"},
		Addresses: []netip.Addr{
			netip.MustParseAddr("10.0.0.7"), netip.MustParseAddr("198.51.100.7"), netip.MustParseAddr("2001:db8::7"),
		},
		HostKeys: []string{strings.TrimSpace(publicKey())},
	}
}

func publicKey() string {
	public, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		panic(err)
	}
	key, err := ssh.NewPublicKey(public)
	if err != nil {
		panic(err)
	}
	return string(ssh.MarshalAuthorizedKey(key))
}

func ec2Client(c aws.Config) *awsec2.Client          { return awsec2.NewFromConfig(c) }
func eicClient(c aws.Config) *awseic.Client          { return awseic.NewFromConfig(c) }
func trailClient(c aws.Config) *awscloudtrail.Client { return awscloudtrail.NewFromConfig(c) }

// refused fails the test unless err is an API error with the status and the code whose message contains the texts. It
// returns the message.
func refused(t *testing.T, err error, status int, code string, texts ...string) string {
	t.Helper()
	var api smithy.APIError
	var response *smithyhttp.ResponseError
	if !errors.As(err, &api) || !errors.As(err, &response) {
		t.Errorf("got %v, want the error %s", err, code)
		return ""
	}
	if api.ErrorCode() != code || response.HTTPStatusCode() != status {
		t.Errorf("got %d %s: %s; want %d %s", response.HTTPStatusCode(), api.ErrorCode(), api.ErrorMessage(), status, code)
	}
	for _, text := range texts {
		if !strings.Contains(api.ErrorMessage(), text) {
			t.Errorf("%q does not say %q", api.ErrorMessage(), text)
		}
	}
	return api.ErrorMessage()
}

// sign signs the request with its body for the service, as the user of the configuration.
func sign(t *testing.T, config aws.Config, service string, r *http.Request, body []byte) {
	t.Helper()
	keys, err := config.Credentials.Retrieve(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(body)
	hash := hex.EncodeToString(sum[:])
	if err := v4.NewSigner().SignHTTP(t.Context(), keys, r, hash, service, config.Region, time.Now()); err != nil {
		t.Fatal(err)
	}
}

// last returns the newest event.
func (w *world) last() trail.Event {
	w.t.Helper()
	entries, err := trail.NewLog(w.db.DB).Events(w.t.Context(), trail.Query{Limit: 1})
	if err != nil || len(entries) == 0 {
		w.t.Fatalf("the trail is empty: %v", err)
	}
	return entries[0].Event
}
