package controlplane_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/aws-sdk-go-v2/service/ec2instanceconnect"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	iamtypes "github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/sallyport/sallyport/internal/awsapi/sallyport"
	"github.com/sallyport/sallyport/internal/controlplane"
	"github.com/sallyport/sallyport/internal/hostproto"
	"github.com/sallyport/sallyport/internal/testkit"
	"github.com/sallyport/sallyport/internal/testkit/wait"
)

// Each test here is an attack on the whole system, told from the attacker's side. docs/THREATMODEL.md names them.

const pushAsDebian = `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"ec2-instance-connect:SendSSHPublicKey",
	"Resource":"*","Condition":{"StringEquals":{"ec2:osuser":"debian"}}}}`

// pushKey pushes publicKey and returns the code the call was refused with, or none.
func pushKey(ctx context.Context, who testkit.Clients, instance, user string) string {
	_, err := who.EIC.SendSSHPublicKey(ctx, &ec2instanceconnect.SendSSHPublicKeyInput{InstanceId: &instance, InstanceOSUser: &user, SSHPublicKey: aws.String(publicKey)})
	if err != nil && codeOf(err) == "" {
		return err.Error()
	}
	return codeOf(err)
}

// captured is a signed request as it goes over the wire: to be changed and sent, any number of times.
type captured struct {
	url    string
	header http.Header
	host   string
	body   string
}

func capture(t *testing.T, s *testkit.System, who aws.CredentialsProvider, service string, header map[string]string, body string) captured {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.Endpoint+"/", nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range header {
		request.Header.Set(name, value)
	}
	request.ContentLength = int64(len(body))
	keys, err := who.Retrieve(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256([]byte(body))
	if err := v4.NewSigner().SignHTTP(t.Context(), keys, request, hex.EncodeToString(sum[:]), service, testkit.Region, time.Now()); err != nil {
		t.Fatal(err)
	}
	return captured{url: s.Endpoint + "/", header: request.Header, host: request.URL.Host, body: body}
}

func (c captured) send(t *testing.T) (status int, answer string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, c.url, strings.NewReader(c.body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header, request.Host = c.header.Clone(), c.host
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(text)
}

var (
	formHeader = map[string]string{"Content-Type": "application/x-www-form-urlencoded"}
	pushHeader = map[string]string{"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": "AWSEC2InstanceConnectService.SendSSHPublicKey"}
)

// Somebody on the way, where TLS was done without, has a signed request. They cannot make anything else of it; to
// send it again is all they can do, as on AWS, and each time is an event. It ends with the access key, at once.
func TestCapturedRequest(t *testing.T) {
	s := testkit.Start(t)
	web, db := s.Host(t, "web", "debian", "root"), s.Host(t, "db", "debian", "root")
	mina := s.User(t, "mina", `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}`)
	body := fmt.Sprintf(`{"InstanceId":%q,"InstanceOSUser":"debian","SSHPublicKey":%q}`, web.InstanceID, publicKey)
	original := capture(t, s, mina, "ec2-instance-connect", pushHeader, body)
	form := capture(t, s, mina, "sts", formHeader, "Action=GetCallerIdentity&Version=2011-06-15")

	change := func(c captured, change func(*captured)) captured {
		c.header = c.header.Clone()
		change(&c)
		return c
	}
	for name, forged := range map[string]captured{
		"another user":    change(original, func(c *captured) { c.body = strings.Replace(body, "debian", "root", 1) }),
		"another machine": change(original, func(c *captured) { c.body = strings.Replace(body, web.InstanceID, db.InstanceID, 1) }),
		"another host":    change(original, func(c *captured) { c.host = "sallyport.example" }),
		"another path":    change(original, func(c *captured) { c.url += "x" }),
		"a parameter":     change(original, func(c *captured) { c.url += "?Action=CreateUser" }),
		"another time": change(original, func(c *captured) {
			c.header.Set("X-Amz-Date", time.Now().Add(time.Second).UTC().Format("20060102T150405Z"))
		}),
		"another target":  change(original, func(c *captured) { c.header.Set("X-Amz-Target", "Sallyport_20261122.CreateHostToken") }),
		"a second target": change(original, func(c *captured) { c.header.Add("X-Amz-Target", "Sallyport_20261122.CreateHostToken") }),
		"a target":        change(form, func(c *captured) { c.header.Set("X-Amz-Target", "Sallyport_20261122.CreateHostToken") }),
		"another service": change(form, func(c *captured) {
			c.header.Set("Authorization", strings.Replace(c.header.Get("Authorization"), "/sts/", "/iam/", 1))
		}),
		"another action":  change(form, func(c *captured) { c.body = "Action=CreateUser&UserName=eve" }),
		"a session token": change(form, func(c *captured) { c.header.Set("X-Amz-Security-Token", "x") }),
		"signed twice":    change(form, func(c *captured) { c.header.Add("Authorization", c.header.Get("Authorization")) }),
		"in the URL too":  change(form, func(c *captured) { c.url += "?X-Amz-Signature=00" }),
		"no signed header": change(form, func(c *captured) {
			c.header.Set("Authorization", strings.Replace(c.header.Get("Authorization"), "host;", "", 1))
		}),
	} {
		if status, answer := forged.send(t); status == http.StatusOK || status >= 500 {
			t.Errorf("%s: %d %s", name, status, answer)
		}
	}
	if grants, _ := db.Grants.Find("debian", ""); len(grants) != 0 {
		t.Error("the other machine holds a grant")
	}
	for range 2 {
		if status, answer := original.send(t); status != http.StatusOK {
			t.Fatalf("%d %s", status, answer)
		}
	}
	grants, _ := web.Grants.Find("debian", "")
	if len(grants) != 2 || grants[0].RequestID == grants[1].RequestID {
		t.Errorf("%d grants", len(grants))
	}
	keys, _ := mina.Retrieve(t.Context())
	if _, err := s.Clients(s.Root).IAM.UpdateAccessKey(t.Context(), &iam.UpdateAccessKeyInput{UserName: aws.String("mina"), AccessKeyId: &keys.AccessKeyID, Status: iamtypes.StatusTypeInactive}); err != nil {
		t.Fatal(err)
	}
	if status, answer := original.send(t); status == http.StatusOK {
		t.Errorf("replayed after the access key was made inactive: %s", answer)
	}
	pushes := 0
	for _, e := range s.Events(t) {
		if e.Name == "SendSSHPublicKey" && e.ErrorCode == "" {
			pushes++
		}
	}
	if pushes != 2 {
		t.Errorf("%d pushes in the trail", pushes)
	}
}

// A user who may push keys for debian, and find out who they are, tries to say more than one thing in one request:
// what the policy is asked about must be what is done.
func TestRequestsThatSayTwoThings(t *testing.T) {
	s := testkit.Start(t)
	web := s.Host(t, "web", "debian", "root")
	mina := s.User(t, "mina", pushAsDebian)
	push := func(fields string) captured {
		return capture(t, s, mina, "ec2-instance-connect", pushHeader, fmt.Sprintf(`{"InstanceId":%q,"SSHPublicKey":%q,%s}`, web.InstanceID, publicKey, fields))
	}
	form := func(service, body string) captured { return capture(t, s, mina, service, formHeader, body) }
	const createUser = "Action=CreateUser&Version=2010-05-08&UserName=eve"
	for name, attempt := range map[string]captured{
		"a member twice":             push(`"InstanceOSUser":"debian","InstanceOSUser":"root"`),
		"a member twice, the other":  push(`"InstanceOSUser":"root","InstanceOSUser":"debian"`),
		"a member in other case":     push(`"InstanceOSUser":"debian","instanceOSUser":"root"`),
		"an escaped member":          push(`"InstanceOSUser":"debian","Instance\u004fSUser":"root"`),
		"a list of users":            push(`"InstanceOSUser":["debian","root"]`),
		"a NUL":                      push(`"InstanceOSUser":"debian\u0000root"`),
		"a line end":                 push(`"InstanceOSUser":"debian\nroot"`),
		"a space":                    push(`"InstanceOSUser":"debian "`),
		"another case":               push(`"InstanceOSUser":"Debian"`),
		"a user number":              push(`"InstanceOSUser":"0"`),
		"two objects":                push(`"InstanceOSUser":"debian"}{"InstanceOSUser":"root"`),
		"two keys":                   push(`"InstanceOSUser":"debian","SSHPublicKey":"x"`),
		"iam's action for sts":       form("sts", createUser),
		"iam's action for ec2":       form("ec2", createUser),
		"two actions":                form("iam", "Action=ListAccountAliases&"+createUser),
		"two versions":               form("iam", "Version=2011-06-15&"+createUser),
		"a JSON target on a form":    capture(t, s, mina, "sts", map[string]string{"Content-Type": "application/x-www-form-urlencoded", "X-Amz-Target": "Sallyport_20261122.CreateHostToken"}, createUser),
		"a target of another kind":   capture(t, s, mina, "ec2-instance-connect", map[string]string{"X-Amz-Target": "Sallyport_20261122.CreateHostToken"}, "{}"),
		"a service that is not ours": form("s3", createUser),
	} {
		if status, answer := attempt.send(t); status == http.StatusOK || status >= 500 {
			t.Errorf("%s: %d %s", name, status, answer)
		}
	}
	for _, user := range []string{"debian", "root"} {
		if grants, _ := web.Grants.Find(user, ""); len(grants) != 0 {
			t.Errorf("%d grants for %s", len(grants), user)
		}
	}
	if _, err := s.Clients(s.Root).IAM.GetUser(t.Context(), &iam.GetUserInput{UserName: aws.String("eve")}); codeOf(err) != "NoSuchEntity" {
		t.Errorf("eve: %v", err)
	}
}

// A user whose policy is about one region signs for another, to have the policy asked about an ARN that is not the
// instance's.
func TestInstanceOfAnotherRegion(t *testing.T) {
	s := testkit.Start(t, func(c *controlplane.Config) { c.Regions = []string{testkit.Region, "on-prem-2"} })
	web := s.Host(t, "web", "debian")
	mina := s.Clients(s.User(t, "mina", `{"Version":"2012-10-17","Statement":[
		{"Effect":"Allow","Action":["ec2-instance-connect:*","ec2:*"],"Resource":"arn:aws:ec2:on-prem-2:*:instance/*"},{"Effect":"Allow","Action":"ec2:Describe*","Resource":"*"}]}`))
	if code := pushKey(t.Context(), mina, web.InstanceID, "debian"); code != "AuthException" {
		t.Errorf("its own region: %q", code)
	}
	there := mina.Config.Copy()
	there.Region = "on-prem-2"
	if code := pushKey(t.Context(), testkit.Clients{EIC: ec2instanceconnect.NewFromConfig(there)}, web.InstanceID, "debian"); code != "EC2InstanceNotFoundException" {
		t.Errorf("another region: %q", code)
	}
	if _, err := ec2.NewFromConfig(there).TerminateInstances(t.Context(), &ec2.TerminateInstancesInput{InstanceIds: []string{web.InstanceID}}); codeOf(err) != "InvalidInstanceID.NotFound" {
		t.Errorf("terminate from another region: %v", err)
	}
	there.Region = "on-prem-3"
	if _, err := ec2.NewFromConfig(there).DescribeInstances(t.Context(), nil); codeOf(err) != "AuthFailure" {
		t.Errorf("a region that does not exist: %v", err)
	}
}

// A stranger sends requests that are not signed, as fast as they can, with all that fits into a header. The trail
// keeps some of them, in little space, and goes on to keep everything of those who are somebody.
func TestStrangersCannotFillTheTrail(t *testing.T) {
	s := testkit.Start(t)
	const attempts, each = 8, 200
	began := time.Now()
	var all sync.WaitGroup
	for range attempts {
		all.Go(func() {
			for range each {
				request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.Endpoint, strings.NewReader("Action=DescribeInstances&Version=2016-11-15"))
				if err != nil {
					t.Error(err)
					return
				}
				request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
				request.Header.Set("User-Agent", strings.Repeat("x", 30_000))
				response, err := http.DefaultClient.Do(request)
				if err != nil {
					t.Error(err)
					return
				}
				response.Body.Close()
				if response.StatusCode != http.StatusUnauthorized {
					t.Error(response.Status)
				}
			}
		})
	}
	all.Wait()
	if code := pushKey(t.Context(), s.Clients(s.User(t, "nobody", "")), "i-0123456789abcdef0", "debian"); code != "AuthException" {
		t.Errorf("%q", code)
	}
	strangers, denials, longest := 0, 0, 0
	for _, e := range s.Events(t) {
		longest = max(longest, len(e.UserAgent))
		switch {
		case e.Identity.Type == "Unknown":
			strangers++
		case e.Name == "SendSSHPublicKey" && e.Identity.UserName == "nobody":
			denials++
		}
	}
	// A thousand at once and five a second, as gate has it.
	if strangers == 0 || strangers > 1006+5*int(time.Since(began).Seconds()) {
		t.Errorf("%d of %d unsigned requests in the trail", strangers, attempts*each)
	}
	if denials != 1 {
		t.Errorf("%d denials in the trail", denials)
	}
	if longest > 1<<10 {
		t.Errorf("a user agent of %d bytes", longest)
	}
}

// A stranger looks at what is answered without a signature, or with a forged one: no names are told there, and what
// the request asks for makes no difference.
func TestWhatAStrangerSees(t *testing.T) {
	s := testkit.Start(t)
	web := s.Host(t, "web", "debian")
	if code := pushKey(t.Context(), s.Clients(s.User(t, "mina", pushAsDebian)), web.InstanceID, "debian"); code != "" {
		t.Fatal(code)
	}
	for _, path := range []string{"/healthz", "/livez", "/metrics", "/host/link", "/host/enroll", "/"} {
		response, err := http.Get(s.Endpoint + path)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(response.Body)
		response.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{web.InstanceID, "web", "mina", "debian", testkit.Account} {
			if strings.Contains(string(text), name) {
				t.Errorf("%s tells %q: %s", path, name, text)
			}
		}
	}
	forger, err := s.Root.Retrieve(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	forger.SecretAccessKey = strings.Repeat("x", 40)
	for _, attempt := range [][2]string{{"GetUser", "UserName=mina"}, {"GetUser", "UserName=eve"}, {"GetUser", "Bogus=1"}, {"GetUser", "UserName.1.2=x"}, {"NoSuchOperation", ""}} {
		if code := send(t, s, "iam", attempt[0], attempt[1], &forger); code != "SignatureDoesNotMatch" {
			t.Errorf("%v: %s", attempt, code)
		}
	}
}

// A user without any right sends names of a megabyte. Each call is refused and is an event: none takes much room.
func TestLoudUser(t *testing.T) {
	s := testkit.Start(t)
	nobody := s.Clients(s.User(t, "nobody", ""))
	name := strings.Repeat("x", 900_000)
	if _, err := nobody.IAM.GetUser(t.Context(), &iam.GetUserInput{UserName: &name}); err == nil {
		t.Error("it is answered")
	}
	if _, err := nobody.IAM.CreateUser(t.Context(), &iam.CreateUserInput{UserName: &name}); err == nil {
		t.Error("it is done")
	}
	if code := pushKey(t.Context(), nobody, "i-0123456789abcdef0", name); code != "InvalidArgsException" {
		t.Errorf("%q", code)
	}
	before := len(s.Log.String())
	if _, err := nobody.IAM.PutUserPolicy(t.Context(), &iam.PutUserPolicyInput{UserName: aws.String("root"), PolicyName: aws.String("p"), PolicyDocument: &name}); codeOf(err) != "ValidationError" {
		t.Errorf("%v", err)
	}
	events := s.Events(t)
	for _, e := range events[len(events)-5:] {
		if text, err := e.Record(); err != nil || len(text) > 8<<10 {
			t.Errorf("%s takes %d bytes, %v", e.Name, len(text), err)
		}
	}
	if n := len(s.Log.String()); before > 1<<20 || n > 1<<20 {
		t.Errorf("the log has %d bytes", n)
	}
}

// A user without any right asks about others, to learn from the refusals who there is: the answer to a name that
// exists must be that to one that does not.
func TestRefusalsTellNothing(t *testing.T) {
	s := testkit.Start(t)
	nobody := s.Clients(s.User(t, "nobody", "")).IAM
	root := s.Clients(s.Root).IAM
	if _, err := root.CreateUser(t.Context(), &iam.CreateUserInput{UserName: aws.String("Boss"), Path: aws.String("/secret/")}); err != nil {
		t.Fatal(err)
	}
	key, err := root.CreateAccessKey(t.Context(), &iam.CreateAccessKeyInput{UserName: aws.String("Boss")})
	if err != nil {
		t.Fatal(err)
	}
	refusal := func(ask func(name string) error, name string) string {
		t.Helper()
		err := ask(name)
		if codeOf(err) != "AccessDenied" {
			t.Errorf("%s: %v", name, err)
			return ""
		}
		var answer interface{ ErrorMessage() string }
		errors.As(err, &answer)
		return strings.ReplaceAll(answer.ErrorMessage(), name, "NAME")
	}
	for what, ask := range map[string]func(string) error{
		"GetUser": func(name string) error {
			_, err := nobody.GetUser(t.Context(), &iam.GetUserInput{UserName: &name})
			return err
		},
		"UpdateUser": func(name string) error {
			_, err := nobody.UpdateUser(t.Context(), &iam.UpdateUserInput{UserName: &name, NewUserName: aws.String("x")})
			return err
		},
		"GetAccessKeyLastUsed": func(name string) error {
			if name == "boss" {
				name = *key.AccessKey.AccessKeyId
			}
			_, err := nobody.GetAccessKeyLastUsed(t.Context(), &iam.GetAccessKeyLastUsedInput{AccessKeyId: &name})
			return err
		},
	} {
		there, absent := refusal(ask, "boss"), refusal(ask, "AKIAIOSFODNN7EXAMPLE")
		there = strings.ReplaceAll(there, *key.AccessKey.AccessKeyId, "NAME")
		if there != absent || strings.Contains(there, "secret") || strings.Contains(there, "Boss") {
			t.Errorf("%s: %q for one that exists, %q for one that does not", what, there, absent)
		}
	}
}

// A user may delete the tag "note" and nothing else. Deleting all tags, by naming none, would take the tag along on
// which everybody's rights hang.
func TestDeletingAllTags(t *testing.T) {
	s := testkit.Start(t)
	web := s.Host(t, "web", "debian")
	root := s.Clients(s.Root).EC2
	tag := func(key string) {
		t.Helper()
		if _, err := root.CreateTags(t.Context(), &ec2.CreateTagsInput{Resources: []string{web.InstanceID}, Tags: []ec2types.Tag{{Key: &key, Value: aws.String("yes")}}}); err != nil {
			t.Fatal(err)
		}
	}
	tag("protected")
	mina := s.Clients(s.User(t, "mina", `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"ec2:DeleteTags","Resource":"*",
		"Condition":{"ForAllValues:StringEquals":{"aws:TagKeys":["note","Name"]}}}}`)).EC2
	all := &ec2.DeleteTagsInput{Resources: []string{web.InstanceID}}
	if _, err := mina.DeleteTags(t.Context(), all); codeOf(err) != "UnauthorizedOperation" {
		t.Errorf("all tags: %v", err)
	}
	if _, err := root.DeleteTags(t.Context(), &ec2.DeleteTagsInput{Resources: []string{web.InstanceID}, Tags: []ec2types.Tag{{Key: aws.String("protected")}}}); err != nil {
		t.Fatal(err)
	}
	tag("note")
	if _, err := mina.DeleteTags(t.Context(), all); err != nil {
		t.Errorf("all tags, each of which may be deleted: %v", err)
	}
}

// A thief has an access key for a moment and makes a session of it. It outlives the key, as on AWS; what ends it is
// what ends it on AWS: a Deny of sessions issued before a time, the user's policies gone, or the user.
func TestSessionOfAStolenKey(t *testing.T) {
	s := testkit.Start(t)
	root := s.Clients(s.Root).IAM
	const everything = `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"iam:ListAccountAliases","Resource":"*"}}`
	mina := s.User(t, "mina", everything)
	out, err := s.Clients(mina).STS.GetSessionToken(t.Context(), &sts.GetSessionTokenInput{})
	if err != nil {
		t.Fatal(err)
	}
	c := out.Credentials
	thief := s.Clients(credentials.NewStaticCredentialsProvider(*c.AccessKeyId, *c.SecretAccessKey, *c.SessionToken))
	uses := func() string {
		_, err := thief.IAM.ListAccountAliases(t.Context(), nil)
		return codeOf(err)
	}
	keys, _ := mina.Retrieve(t.Context())
	if _, err := root.DeleteAccessKey(t.Context(), &iam.DeleteAccessKeyInput{UserName: aws.String("mina"), AccessKeyId: &keys.AccessKeyID}); err != nil {
		t.Fatal(err)
	}
	if code := uses(); code != "" {
		t.Errorf("sessions end with the access key now (%s): say so in docs/THREATMODEL.md", code)
	}
	put := func(document string) {
		t.Helper()
		if _, err := root.PutUserPolicy(t.Context(), &iam.PutUserPolicyInput{UserName: aws.String("mina"), PolicyName: aws.String("revoke"), PolicyDocument: &document}); err != nil {
			t.Fatal(err)
		}
	}
	revoke := func(before time.Time) string {
		return fmt.Sprintf(`{"Version":"2012-10-17","Statement":{"Effect":"Deny","Action":"*","Resource":"*","Condition":{"DateLessThan":{"aws:TokenIssueTime":%q}}}}`, before.UTC().Format(time.RFC3339))
	}
	put(revoke(time.Now().Add(-time.Hour)))
	if code := uses(); code != "" {
		t.Errorf("a session made after the time: %s", code)
	}
	put(revoke(time.Now().Add(time.Minute)))
	if code := uses(); code != "AccessDenied" {
		t.Errorf("a session made before the time: %q", code)
	}
	again, err := root.CreateAccessKey(t.Context(), &iam.CreateAccessKeyInput{UserName: aws.String("mina")})
	if err != nil {
		t.Fatal(err)
	}
	fresh := s.Clients(credentials.NewStaticCredentialsProvider(*again.AccessKey.AccessKeyId, *again.AccessKey.SecretAccessKey, ""))
	if _, err := fresh.IAM.ListAccountAliases(t.Context(), nil); err != nil {
		t.Errorf("the user's new access key: %v", err)
	}
}

// Users push keys without pause while what lets them is taken away: no call that begins after that has returned may
// succeed.
func TestRightsEndAtOnce(t *testing.T) {
	s := testkit.Start(t)
	web := s.Host(t, "web", "debian")
	root := s.Clients(s.Root).IAM
	must := func(_ any, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	ctx := t.Context()
	ways := map[string]struct {
		give, take func(name *string, key *string) error
	}{
		"the group is left": {
			func(name, _ *string) error {
				_, err := root.AddUserToGroup(ctx, &iam.AddUserToGroupInput{GroupName: aws.String("team"), UserName: name})
				return err
			},
			func(name, _ *string) error {
				_, err := root.RemoveUserFromGroup(ctx, &iam.RemoveUserFromGroupInput{GroupName: aws.String("team"), UserName: name})
				return err
			},
		},
		"the policy is detached": {
			func(name, _ *string) error {
				_, err := root.AttachUserPolicy(ctx, &iam.AttachUserPolicyInput{PolicyArn: aws.String("arn:aws:iam::aws:policy/EC2InstanceConnect"), UserName: name})
				return err
			},
			func(name, _ *string) error {
				_, err := root.DetachUserPolicy(ctx, &iam.DetachUserPolicyInput{PolicyArn: aws.String("arn:aws:iam::aws:policy/EC2InstanceConnect"), UserName: name})
				return err
			},
		},
		"the access key is deleted": {
			func(name, _ *string) error {
				_, err := root.PutUserPolicy(ctx, &iam.PutUserPolicyInput{PolicyName: aws.String("p"), PolicyDocument: aws.String(pushAsDebian), UserName: name})
				return err
			},
			func(name, key *string) error {
				_, err := root.DeleteAccessKey(ctx, &iam.DeleteAccessKeyInput{UserName: name, AccessKeyId: key})
				return err
			},
		},
	}
	must(root.CreateGroup(ctx, &iam.CreateGroupInput{GroupName: aws.String("team")}))
	must(root.PutGroupPolicy(ctx, &iam.PutGroupPolicyInput{GroupName: aws.String("team"), PolicyName: aws.String("p"), PolicyDocument: aws.String(pushAsDebian)}))
	for i, name := range slices.Sorted(maps.Keys(ways)) {
		t.Run(name, func(t *testing.T) {
			user := fmt.Sprint("user-", i)
			provider := s.User(t, user, "")
			keys, _ := provider.Retrieve(ctx)
			if err := ways[name].give(&user, &keys.AccessKeyID); err != nil {
				t.Fatal(err)
			}
			who := s.Clients(provider)
			var taken atomic.Bool
			var allowed, late atomic.Int32
			var pushing sync.WaitGroup
			for range 4 {
				pushing.Go(func() {
					for refused := 0; refused < 3; {
						after := taken.Load()
						switch code := pushKey(ctx, who, web.InstanceID, "debian"); {
						case code != "":
							refused++
						case after:
							late.Add(1)
							refused++
						default:
							allowed.Add(1)
						}
					}
				})
			}
			for deadline := time.Now().Add(wait.Patience); allowed.Load() < 20 && time.Now().Before(deadline); {
				time.Sleep(time.Millisecond)
			}
			err := ways[name].take(&user, &keys.AccessKeyID)
			taken.Store(true)
			if err != nil {
				t.Error(err)
			}
			pushing.Wait()
			if allowed.Load() < 20 || late.Load() != 0 {
				t.Errorf("%d pushes before, %d after", allowed.Load(), late.Load())
			}
		})
	}
}

// Somebody has a copy of the database: no secret stands in it that would sign a request, enroll a machine or sign a
// grant. The keys that would open it stand beside it, closed to others.
func TestStolenDatabase(t *testing.T) {
	s := testkit.Start(t)
	s.Host(t, "web", "debian")
	secrets := map[string]string{}
	mina := s.User(t, "mina", pushAsDebian)
	for name, provider := range map[string]aws.CredentialsProvider{"root's secret": s.Root, "a user's secret": mina} {
		keys, err := provider.Retrieve(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		secrets[name] = keys.SecretAccessKey
	}
	out, err := s.Clients(mina).STS.GetSessionToken(t.Context(), &sts.GetSessionTokenInput{})
	if err != nil {
		t.Fatal(err)
	}
	secrets["a session's secret"], secrets["a session's token"] = *out.Credentials.SecretAccessKey, *out.Credentials.SessionToken
	made, err := sallyport.NewFromConfig(s.Clients(s.Root).Config).CreateHostToken(t.Context(), &sallyport.CreateHostTokenInput{})
	if err != nil {
		t.Fatal(err)
	}
	token, err := hostproto.ParseToken(made.Token)
	if err != nil {
		t.Fatal(err)
	}
	secrets["a host token"], secrets["a host token's secret"] = made.Token, string(token.Secret)
	secrets["a host token's secret in base64"] = base64.StdEncoding.EncodeToString(token.Secret)
	s.Stop(t)
	for _, file := range []string{controlplane.AuthorityKey, controlplane.SealFile} {
		content, err := os.ReadFile(filepath.Join(s.Data, file))
		if err != nil {
			t.Fatal(err)
		}
		secrets[file] = string(content)
		if info, err := os.Stat(filepath.Join(s.Data, file)); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v %v", file, info.Mode(), err)
		}
	}
	databases, err := filepath.Glob(filepath.Join(s.Data, controlplane.DatabaseFile+"*"))
	if err != nil || len(databases) == 0 {
		t.Fatal(databases, err)
	}
	sawName := false
	for _, path := range databases {
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		sawName = sawName || bytes.Contains(content, []byte("SendSSHPublicKey"))
		for name, secret := range secrets {
			if bytes.Contains(content, []byte(secret)) {
				t.Errorf("%s stands in %s", name, filepath.Base(path))
			}
		}
	}
	if !sawName {
		t.Error("the database was not read")
	}
	for name, secret := range secrets {
		if strings.Contains(s.Log.String(), secret) {
			t.Errorf("%s stands in the log", name)
		}
	}
}
