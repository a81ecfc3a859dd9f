package controlplane_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/aws-sdk-go-v2/service/ec2instanceconnect"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/internal/testkit"
)

// privateKeys are fresh private keys as files have them, by what they are.
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

// Somebody in a hurry pastes a secret into the wrong field: a private key where the public one goes, whole, without its
// first and last line, or on one line; and keys, tokens and passwords where a name goes. They are told what is wrong.
// Whoever reads the trail or the log is not shown the secret, whether the call was refused or not.
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
				_, err := mina.IAM.PutUserPolicy(ctx, &iam.PutUserPolicyInput{UserName: aws.String("mina"), PolicyName: aws.String("p"), PolicyDocument: &secret})
				return err
			},
			"Resources": func() error {
				_, err := mina.EC2.CreateTags(ctx, &ec2.CreateTagsInput{Resources: []string{secret}, Tags: []ec2types.Tag{{Key: aws.String("a"), Value: &secret}}})
				return err
			},
		} {
			if err := call(); err == nil {
				t.Errorf("%s as %s is accepted", name, field)
			}
		}
		// In a place where any text may stand it is refused only if it is too long.
		mina.EC2.CreateTags(ctx, &ec2.CreateTagsInput{Resources: []string{web.InstanceID}, Tags: []ec2types.Tag{{Key: aws.String("note"), Value: &secret}}})
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
		if text, _ := e.Record(); e.Name == "SendSSHPublicKey" && e.ErrorCode == "" && !strings.Contains(string(text), publicKey) {
			t.Errorf("a public key is hidden: %s", text)
		}
	}
}

func push(ctx context.Context, who testkit.Clients, instance, user, key string) (*ec2instanceconnect.SendSSHPublicKeyOutput, error) {
	return who.EIC.SendSSHPublicKey(ctx, &ec2instanceconnect.SendSSHPublicKeyInput{InstanceId: &instance, InstanceOSUser: &user, SSHPublicKey: &key})
}
