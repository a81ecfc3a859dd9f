package controlplane_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/aws-sdk-go-v2/service/ec2instanceconnect"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/internal/awsapi/sallyport"
	"github.com/sallyport/sallyport/internal/controlplane"
	"github.com/sallyport/sallyport/internal/hostproto"
	"github.com/sallyport/sallyport/internal/testkit"
)

// privateKeys returns new private keys in their file formats, by format.
func privateKeys(t *testing.T) map[string]string {
	t.Helper()
	_, edwards, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	curve, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	openSSH, err := ssh.MarshalPrivateKey(edwards, "mina@laptop")
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(edwards)
	if err != nil {
		t.Fatal(err)
	}
	sec1, err := x509.MarshalECPrivateKey(curve)
	if err != nil {
		t.Fatal(err)
	}
	return map[string]string{
		"OpenSSH": string(pem.EncodeToMemory(openSSH)),
		"PKCS #8": string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})),
		"SEC 1":   string(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: sec1})),
	}
}

// Somebody in a hurry pastes a secret into the wrong field: a private key instead of the public one, whole, without its
// first and last line, or on one line; and keys, tokens and passwords instead of a name. The error says what is wrong.
// Trail and log do not show the secret, whether the call was refused or not.
func TestSecretsInTheWrongField(t *testing.T) {
	s := testkit.Start(t)
	web := s.Host(t, "web", "debian")
	mina := s.Clients(s.User(t, "mina", allowAll))
	secrets := map[string]string{
		"a secret access key": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
		"a token":             "ghp_16C7e42F292c6912E7710c838347Ae178B4a",
		"a pass phrase":       "correct horse battery staple 7",
		"a password":          "Tr0ub4dor&3",
		"key and password":    "hunter2! ssh-ed25519 AAAA",
	}
	for name, text := range privateKeys(t) {
		lines := strings.Split(strings.TrimSpace(text), "\n")
		inner := lines[1 : len(lines)-1]
		secrets[name], secrets[name+" without its ends"] = text, strings.Join(inner, "\n")
		secrets[name+" on one line"] = strings.Join(inner, "")
		secrets[name+" after a type"] = "ssh-ed25519 " + strings.Join(inner, "")
	}
	ctx := t.Context()
	for name, secret := range secrets {
		for field, call := range map[string]func() error{
			"SSHPublicKey": func() error {
				_, err := mina.EIC.SendSSHPublicKey(ctx, &ec2instanceconnect.SendSSHPublicKeyInput{
					InstanceId: &web.InstanceID, InstanceOSUser: aws.String("debian"), SSHPublicKey: &secret,
				})
				return err
			},
			"InstanceId": func() error { _, err := push(ctx, mina, secret, "debian", publicKey); return err },
			"InstanceOSUser": func() error {
				_, err := push(ctx, mina, web.InstanceID, secret+strings.Repeat(" ", 33), publicKey)
				return err
			},
			"UserName": func() error {
				_, err := mina.IAM.CreateUser(ctx, &iam.CreateUserInput{UserName: aws.String(secret + "!")})
				return err
			},
			"PolicyDocument": func() error {
				_, err := mina.IAM.PutUserPolicy(ctx, &iam.PutUserPolicyInput{
					UserName: aws.String("mina"), PolicyName: aws.String("p"), PolicyDocument: &secret,
				})
				return err
			},
			"Resources": func() error {
				_, err := mina.EC2.CreateTags(ctx, &ec2.CreateTagsInput{
					Resources: []string{secret}, Tags: []ec2types.Tag{{Key: aws.String("a"), Value: &secret}},
				})
				return err
			},
		} {
			if err := call(); err == nil {
				t.Errorf("%s as %s is accepted", name, field)
			}
		}
		// Where any text is valid, it is refused only if it is too long.
		mina.EC2.CreateTags(ctx, &ec2.CreateTagsInput{
			Resources: []string{web.InstanceID}, Tags: []ec2types.Tag{{Key: aws.String("note"), Value: &secret}},
		})
	}
	shown := s.Log.String()
	for _, e := range s.Events(t) {
		tag, _ := json.Marshal(e.Parameters["tagSet"])
		if e.ErrorCode == "" && strings.Contains(string(tag), `"note"`) && !strings.Contains(string(tag), "b3BlbnNz") {
			continue // a tag that was made shows what it is, private keys but
		}
		text, err := e.Record()
		if err != nil {
			t.Fatal(err)
		}
		shown += string(text) + "\n"
	}
	for name, secret := range secrets {
		for _, part := range strings.FieldsFunc(secret, func(r rune) bool { return r == '\n' }) {
			part = strings.TrimPrefix(part, "ssh-ed25519 ")
			if part = part[:min(len(part), 24)]; len(part) < 8 || strings.HasPrefix(part, "-----") {
				continue
			}
			quoted, _ := json.Marshal(part)
			if at := strings.Index(shown, strings.Trim(string(quoted), `"`)); at >= 0 {
				t.Errorf("%s is shown: …%q…", name, shown[max(0, at-300):min(len(shown), at+80)])
			}
		}
	}
	if !strings.Contains(shown, "HIDDEN_DUE_TO_SECURITY_REASONS") || !strings.Contains(shown, "This is a private key") {
		t.Error("the trail says nothing of what was hidden")
	}
	if code := pushKey(ctx, mina, web.InstanceID, "debian"); code != "" {
		t.Fatal(code)
	}
	for _, e := range s.Events(t) {
		pushed := e.Name == "SendSSHPublicKey" && e.ErrorCode == ""
		if text, _ := e.Record(); pushed && !strings.Contains(string(text), publicKey) {
			t.Errorf("a public key is hidden: %s", text)
		}
	}
}

// A stranger looks at the answers to requests without a signature, or with a forged one: they reveal no names, and do
// not depend on what the request asks for.
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
	for _, attempt := range [][2]string{
		{"GetUser", "UserName=mina"}, {"GetUser", "UserName=eve"}, {"GetUser", "Bogus=1"}, {"GetUser", "UserName.1.2=x"},
		{"NoSuchOperation", ""},
	} {
		if code := send(t, s, "iam", attempt[0], attempt[1], &forger); code != "SignatureDoesNotMatch" {
			t.Errorf("%v: %s", attempt, code)
		}
	}
}

// A user without permissions asks about others, to learn from the refusals who exists: the answer for a name that
// exists must be the same as for one that does not.
func TestRefusalsTellNothing(t *testing.T) {
	s := testkit.Start(t)
	nobody := s.Clients(s.User(t, "nobody", "")).IAM
	root := s.Clients(s.Root).IAM
	boss := &iam.CreateUserInput{UserName: aws.String("Boss"), Path: aws.String("/secret/")}
	if _, err := root.CreateUser(t.Context(), boss); err != nil {
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

// Somebody has a copy of the database: it contains no secret that would sign a request, enroll a machine or sign a
// grant. The keys that would unseal the secrets are beside it, readable only by their owner.
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
	secrets["a session's secret"] = *out.Credentials.SecretAccessKey
	secrets["a session's token"] = *out.Credentials.SessionToken
	root := sallyport.NewFromConfig(s.Clients(s.Root).Config)
	made, err := root.CreateHostToken(t.Context(), &sallyport.CreateHostTokenInput{})
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
