package controlplane_test

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	iamtypes "github.com/aws/aws-sdk-go-v2/service/iam/types"

	"github.com/sallyport/sallyport/internal/testkit"
)

// Each test in the files attacks_*_test.go is an attack on the whole system, told from the attacker's side.
// docs/THREATMODEL.md names them.

// captured is a signed request as it was sent. It can be changed and sent any number of times.
type captured struct {
	url    string
	header http.Header
	host   string
	body   string
}

func capture(
	t *testing.T, s *testkit.System, who aws.CredentialsProvider, service string, header map[string]string, body string,
) captured {
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
	err = v4.NewSigner().SignHTTP(
		t.Context(), keys, request, hex.EncodeToString(sum[:]), service, testkit.Region, time.Now(),
	)
	if err != nil {
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
	pushHeader = map[string]string{
		"Content-Type": "application/x-amz-json-1.1",
		"X-Amz-Target": "AWSEC2InstanceConnectService.SendSSHPublicKey",
	}
)

// createHostToken is the target of an operation for which no request here was signed.
const createHostToken = "Sallyport_20261122.CreateHostToken"

// Somebody between client and server, where TLS is not used, has a signed request. They cannot turn it into another
// one. They can only send it again, as on AWS, and each time leaves an event. That ends at once when the access key is
// deactivated.
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
		"another user": change(original, func(c *captured) { c.body = strings.Replace(body, "debian", "root", 1) }),
		"another machine": change(original, func(c *captured) {
			c.body = strings.Replace(body, web.InstanceID, db.InstanceID, 1)
		}),
		"another host": change(original, func(c *captured) { c.host = "sallyport.example" }),
		"another path": change(original, func(c *captured) { c.url += "x" }),
		"a parameter":  change(original, func(c *captured) { c.url += "?Action=CreateUser" }),
		"another time": change(original, func(c *captured) {
			c.header.Set("X-Amz-Date", time.Now().Add(time.Second).UTC().Format("20060102T150405Z"))
		}),
		"another target":  change(original, func(c *captured) { c.header.Set("X-Amz-Target", createHostToken) }),
		"a second target": change(original, func(c *captured) { c.header.Add("X-Amz-Target", createHostToken) }),
		"a target":        change(form, func(c *captured) { c.header.Set("X-Amz-Target", createHostToken) }),
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
	_, err := s.Clients(s.Root).IAM.UpdateAccessKey(t.Context(), &iam.UpdateAccessKeyInput{
		UserName: aws.String("mina"), AccessKeyId: &keys.AccessKeyID, Status: iamtypes.StatusTypeInactive,
	})
	if err != nil {
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

// A user who may push keys for debian, and ask who they are, tries to say more than one thing in one request: the
// policy must be asked about what is done.
func TestRequestsThatSayTwoThings(t *testing.T) {
	s := testkit.Start(t)
	web := s.Host(t, "web", "debian", "root")
	mina := s.User(t, "mina", pushAsDebian)
	push := func(fields string) captured {
		body := fmt.Sprintf(`{"InstanceId":%q,"SSHPublicKey":%q,%s}`, web.InstanceID, publicKey, fields)
		return capture(t, s, mina, "ec2-instance-connect", pushHeader, body)
	}
	form := func(service, body string) captured { return capture(t, s, mina, service, formHeader, body) }
	const createUser = "Action=CreateUser&Version=2010-05-08&UserName=eve"
	for name, attempt := range map[string]captured{
		"a member twice":            push(`"InstanceOSUser":"debian","InstanceOSUser":"root"`),
		"a member twice, the other": push(`"InstanceOSUser":"root","InstanceOSUser":"debian"`),
		"a member in other case":    push(`"InstanceOSUser":"debian","instanceOSUser":"root"`),
		"an escaped member":         push(`"InstanceOSUser":"debian","Instance\u004fSUser":"root"`),
		"a list of users":           push(`"InstanceOSUser":["debian","root"]`),
		"a NUL":                     push(`"InstanceOSUser":"debian\u0000root"`),
		"a line end":                push(`"InstanceOSUser":"debian\nroot"`),
		"a space":                   push(`"InstanceOSUser":"debian "`),
		"another case":              push(`"InstanceOSUser":"Debian"`),
		"a user number":             push(`"InstanceOSUser":"0"`),
		"two objects":               push(`"InstanceOSUser":"debian"}{"InstanceOSUser":"root"`),
		"two keys":                  push(`"InstanceOSUser":"debian","SSHPublicKey":"x"`),
		"iam's action for sts":      form("sts", createUser),
		"iam's action for ec2":      form("ec2", createUser),
		"two actions":               form("iam", "Action=ListAccountAliases&"+createUser),
		"two versions":              form("iam", "Version=2011-06-15&"+createUser),
		"a JSON target on a form": capture(t, s, mina, "sts", map[string]string{
			"Content-Type": formHeader["Content-Type"], "X-Amz-Target": createHostToken,
		}, createUser),
		"a target of another kind": capture(t, s, mina, "ec2-instance-connect", map[string]string{
			"X-Amz-Target": createHostToken,
		}, "{}"),
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
	_, err := s.Clients(s.Root).IAM.GetUser(t.Context(), &iam.GetUserInput{UserName: aws.String("eve")})
	if codeOf(err) != "NoSuchEntity" {
		t.Errorf("eve: %v", err)
	}
}
