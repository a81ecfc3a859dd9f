package awsapi_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/smithy-go"

	"github.com/sallyport/sallyport/internal/awsapi"
	"github.com/sallyport/sallyport/internal/awswire"
	"github.com/sallyport/sallyport/internal/clock/clocktest"
	"github.com/sallyport/sallyport/internal/db"
	"github.com/sallyport/sallyport/internal/db/dbtest"
	"github.com/sallyport/sallyport/internal/fault"
	"github.com/sallyport/sallyport/internal/gate"
	"github.com/sallyport/sallyport/internal/policy"
	"github.com/sallyport/sallyport/internal/trail"
)

const (
	account = "123456789012"
	region  = "on-prem-1"
)

// world is the pipeline with a toy EC2. Its RunInstances asks the policies what AWS's asks, and does what the test
// says.
type world struct {
	*testing.T
	client   *ec2.Client
	db       *db.DB
	policies []policy.Policy
	write    func(tx *gate.Tx) error
	response func(*ec2.RunInstancesOutput) map[string]any
	hangsUp  bool // the caller closes the connection once the request is sent
	logged   bytes.Buffer
}

func newWorld(t *testing.T) *world { return newWorldWith(t, nil) }

func newWorldWith(t *testing.T, response func(*ec2.RunInstancesOutput) map[string]any) *world {
	t.Helper()
	database := dbtest.SQLite(t)
	w := &world{T: t, db: database.DB, write: func(*gate.Tx) error { return nil }, response: response}
	g := gate.New(account, w, w, database, clocktest.Follow(time.Now), rand.Reader)
	api := awsapi.New(awsapi.Config{
		Account: account, Regions: []string{region}, Gate: g, Observer: w,
		Log: slog.New(slog.NewTextHandler(io.MultiWriter(t.Output(), &w.logged), nil)), Now: time.Now, Random: rand.Reader,
	}, w.service())
	server := httptest.NewServer(http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithCancel(r.Context())
		defer cancel()
		if w.hangsUp {
			cancel()
		}
		api.ServeHTTP(out, r.WithContext(ctx))
	}))
	t.Cleanup(server.Close)
	w.client = ec2.New(ec2.Options{
		Region: region, BaseEndpoint: &server.URL, Credentials: credentials.NewStaticCredentialsProvider("AKIAX", "s", ""),
		RetryMaxAttempts: 1,
	})
	return w
}

func (w *world) service() awsapi.Service {
	return awsapi.Service{
		Name: "ec2", Source: "ec2.amazonaws.com", Codec: awswire.EC2(),
		Keys:  func(scope awsapi.Scope) policy.Keys { return policy.Keys{"ec2:region": {scope.Region}} },
		Error: func(f *fault.Error) awswire.Error { return awswire.Error{Code: f.Kind.String(), Status: 400} },
		Operations: []awsapi.Operation{awsapi.Row[ec2.RunInstancesInput, ec2.RunInstancesOutput]{
			Name: "RunInstances", Action: "ec2:RunInstances", Asks: asks, Response: w.response,
			Accepts: []string{"ImageId", "InstanceType", "MinCount", "MaxCount", "SubnetId", "TagSpecifications", "ClientToken"},
			Write: func(tx *gate.Tx, _ *ec2.RunInstancesInput) (*ec2.RunInstancesOutput, error) {
				id := "i-0123456789abcdef0"
				return &ec2.RunInstancesOutput{Instances: []types.Instance{{InstanceId: &id}}}, w.write(tx)
			},
		}.Operation()},
	}
}

// asks returns what AWS asks about RunInstances, as far as the toy has it.
// https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonec2.html
func asks(_ context.Context, scope awsapi.Scope, in *ec2.RunInstancesInput) ([]gate.Ask, error) {
	arn := func(of string) string { return fmt.Sprintf("arn:aws:ec2:%s:%s:%s", scope.Region, scope.Account, of) }
	all := []gate.Ask{
		{ARN: arn("instance/*"), Keys: policy.Keys{"ec2:instancetype": {string(in.InstanceType)}}},
		{ARN: arn("image/" + aws.ToString(in.ImageId)), Type: "AWS::EC2::Image"},
		{ARN: arn("subnet/" + aws.ToString(in.SubnetId)), Type: "AWS::EC2::Subnet"},
	}
	for _, specification := range in.TagSpecifications {
		var err error
		tags := func(yield func(string, string) bool) {
			for _, tag := range specification.Tags {
				if !yield(aws.ToString(tag.Key), aws.ToString(tag.Value)) {
					return
				}
			}
		}
		tagged := func(ask gate.Ask) bool { return ask.ARN == arn(string(specification.ResourceType)+"/*") }
		if all, err = awsapi.TagOnCreate("RunInstances", all, tags, tagged); err != nil {
			return nil, err
		}
	}
	return all, nil
}

func (w *world) Principal(context.Context, string) (gate.Principal, error) {
	return gate.Principal{
		Identity: trail.Identity{Type: trail.IAMUser, PrincipalID: "AIDAX", UserName: "mina"},
		Secret:   "s", Policies: []policy.Set{{Sort: policy.IdentityBased, Policies: w.policies}},
	}, nil
}

func (w *world) ResourceTags(context.Context, string) (map[string]string, error) { return nil, nil }
func (w *world) Observe(_, _, _ string, _ time.Duration)                         {}

// allow replaces the caller's policies with the statements.
func (w *world) allow(statements ...string) {
	w.Helper()
	document, err := policy.Parse(`{"Version":"2012-10-17","Statement":[` + strings.Join(statements, ",") + `]}`)
	if err != nil {
		w.Fatal(err)
	}
	w.policies = []policy.Policy{{Name: "own", Document: document}}
}

// run starts an instance of the type with the tags.
func (w *world) run(instanceType types.InstanceType, tags ...string) error {
	in := &ec2.RunInstancesInput{
		ImageId: aws.String("ami-1"), InstanceType: instanceType, SubnetId: aws.String("subnet-1"),
		MinCount: aws.Int32(1), MaxCount: aws.Int32(1),
	}
	if len(tags) > 0 {
		in.TagSpecifications = []types.TagSpecification{{ResourceType: types.ResourceTypeInstance}}
	}
	for _, tag := range tags {
		key, value, _ := strings.Cut(tag, "=")
		in.TagSpecifications[0].Tags = append(in.TagSpecifications[0].Tags, types.Tag{Key: &key, Value: &value})
	}
	_, err := w.client.RunInstances(w.Context(), in)
	return err
}

func (w *world) allowed(err error) {
	w.Helper()
	if err != nil {
		w.Errorf("refused: %v", err)
	}
}

// denied fails the test unless the error denies the action on an ARN that ends in the resource.
func (w *world) denied(err error, action, resource string) {
	w.Helper()
	what := action + " on resource: arn:aws:ec2:on-prem-1:123456789012:" + resource + " because"
	if err == nil || !strings.Contains(err.Error(), "perform: "+what) {
		w.Errorf("want a denial of %s, got %v", what, err)
	}
}

// A condition on the instance's type does not allow the image and the subnet, whose asks lack the key.
func TestKeysBelongToOneAsk(t *testing.T) {
	w := newWorld(t)
	const onType = `{"Effect":"Allow","Action":"ec2:RunInstances","Resource":"*",
		"Condition":{"%s":{"ec2:InstanceType":"t3.micro"}}}`
	w.allow(fmt.Sprintf(onType, "StringEquals"))
	w.denied(w.run(types.InstanceTypeT3Micro), "ec2:RunInstances", "image/ami-1")
	w.allow(fmt.Sprintf(onType, "StringEqualsIfExists"))
	w.allowed(w.run(types.InstanceTypeT3Micro))
	w.denied(w.run(types.InstanceTypeM5Large), "ec2:RunInstances", "instance/*")
	w.allow(fmt.Sprintf(onType, "StringEqualsIfExists"),
		`{"Effect":"Deny","Action":"*","Resource":"*","Condition":{"StringEquals":{"ec2:Region":"on-prem-1"}}}`)
	if err := w.run(types.InstanceTypeT3Micro); err == nil || !strings.Contains(err.Error(), "explicit deny") {
		t.Errorf("a key of the whole service: %v", err)
	}
}

// A caller who tags a new resource needs permission to tag it, which a policy can limit to creation.
func TestTagsOfARequestAskToo(t *testing.T) {
	const (
		run     = `{"Effect":"Allow","Action":"ec2:RunInstances","Resource":"*"}`
		tagging = `{"Effect":"Allow","Action":"ec2:CreateTags","Resource":"arn:aws:ec2:*:*:instance/*",
			"Condition":{"StringEquals":{"ec2:CreateAction":"%s"}}}`
		teams = `{"Effect":"Allow","Action":"*","Resource":"arn:aws:ec2:*:*:instance/*",
			"Condition":{"StringEquals":{"aws:RequestTag/team":"red"},"ForAllValues:StringEquals":{"aws:TagKeys":["team"]}}}`
		parts = `{"Effect":"Allow","Action":"ec2:RunInstances",
			"Resource":["arn:aws:ec2:*:*:image/*","arn:aws:ec2:*:*:subnet/*"]}`
	)
	w := newWorld(t)
	w.allow(run)
	w.allowed(w.run(types.InstanceTypeT3Micro))
	w.denied(w.run(types.InstanceTypeT3Micro, "team=red"), "ec2:CreateTags", "instance/*")
	w.allow(run, fmt.Sprintf(tagging, "CreateVolume"))
	w.denied(w.run(types.InstanceTypeT3Micro, "team=red"), "ec2:CreateTags", "instance/*")
	w.allow(run, fmt.Sprintf(tagging, "RunInstances"))
	w.allowed(w.run(types.InstanceTypeT3Micro, "team=red"))

	w.allow(parts, teams) // limited by the tags
	w.allowed(w.run(types.InstanceTypeT3Micro, "team=red"))
	w.denied(w.run(types.InstanceTypeT3Micro, "team=blue"), "ec2:RunInstances", "instance/*")
	w.denied(w.run(types.InstanceTypeT3Micro, "team=red", "Team=blue"), "ec2:RunInstances", "instance/*")
	w.denied(w.run(types.InstanceTypeT3Micro), "ec2:RunInstances", "instance/*")
	err := w.run(types.InstanceTypeT3Micro, "team=red", "team=red")
	if err == nil || !strings.Contains(err.Error(), "Duplicate tag key") {
		t.Errorf("a key that is there twice: %v", err)
	}
}

// Whatever an operation's code does, it cannot succeed unrecorded, and it changes nothing if it fails.
func TestOperationAndItsEvent(t *testing.T) {
	put := func(tx *gate.Tx) error {
		_, err := tx.Exec(`INSERT INTO meta (key, value) VALUES ('done', 'it')`)
		return err
	}
	undo := func(tx *gate.Tx) error {
		_, err := tx.Exec(`DELETE FROM meta WHERE key = 'done'`)
		return err
	}
	unwritable := func(*ec2.RunInstancesOutput) map[string]any { return map[string]any{"of": put} }
	for name, c := range map[string]struct {
		write    func(*gate.Tx) error
		response func(*ec2.RunInstancesOutput) map[string]any
		fails    bool
	}{
		"it does what it should": {put, nil, false},
		"it fails": {func(tx *gate.Tx) error {
			return errors.Join(put(tx), io.ErrUnexpectedEOF)
		}, nil, true},
		"it panics": {func(tx *gate.Tx) error { panic(put(tx)) }, nil, true},
		"it swallows what the database said": {func(tx *gate.Tx) error {
			_, _ = put(tx), put(tx)
			return nil
		}, nil, true},
		"its event cannot be written": {put, unwritable, true},
		"what follows it fails": {func(tx *gate.Tx) error {
			tx.Undo(undo)
			tx.After(func(context.Context) error { return io.ErrUnexpectedEOF })
			return put(tx)
		}, nil, true},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorldWith(t, c.response)
			w.allow(`{"Effect":"Allow","Action":"*","Resource":"*"}`)
			w.write = c.write
			err := w.run(types.InstanceTypeT3Micro, "team=red")
			var failure smithy.APIError
			if (err != nil) != c.fails || c.fails && !errors.As(err, &failure) {
				t.Fatal(err)
			}
			entries, err := trail.NewLog(w.db).Events(t.Context(), trail.Query{})
			if err != nil || len(entries) != 1 {
				t.Fatalf("%d events, %v", len(entries), err)
			}
			e := entries[0].Event
			if c.fails != (e.ErrorCode != "") || c.fails == (e.Response != nil) ||
				e.Parameters["instanceType"] != "t3.micro" || len(e.Resources) != 2 {
				t.Errorf("the event: %+v", e)
			}
			if found, err := w.db.Meta(t.Context(), "done"); err != nil || (found == "") != c.fails {
				t.Errorf("done is %q, %v", found, err)
			}
		})
	}
}

// A caller sent requests and closed the connection at once, again and again. Each one that had not begun was recorded
// as a failure of the server, counted as one, and logged as an error, so that anybody could raise the operator's alarm.
func TestCallerWhoHangsUp(t *testing.T) {
	w := newWorld(t)
	w.allow(`{"Effect":"Allow","Action":"*","Resource":"*"}`)
	w.hangsUp = true
	w.write = func(*gate.Tx) error {
		t.Error("the call was done")
		return nil
	}
	err := w.run(types.InstanceTypeT3Micro)
	var failure smithy.APIError
	if !errors.As(err, &failure) || failure.ErrorCode() != fault.Invalid.String() {
		t.Errorf("it is answered with %v", err)
	}
	if log := w.logged.String(); strings.Contains(log, "level=ERROR") || !strings.Contains(log, "context canceled") {
		t.Errorf("it is logged as\n%s", log)
	}
	entries, err := trail.NewLog(w.db).Events(t.Context(), trail.Query{})
	if err != nil || len(entries) != 1 {
		t.Fatalf("%d events, %v", len(entries), err)
	}
	if e := entries[0].Event; e.ErrorCode != fault.Invalid.String() || e.Identity.UserName != "mina" {
		t.Errorf("its event: %+v", e)
	}
}
