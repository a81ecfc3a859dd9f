package controlplane_test

import (
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2instanceconnect"

	"github.com/sallyport/sallyport/internal/hosts"
	"github.com/sallyport/sallyport/internal/testkit"
)

// Names of domain users, names in other scripts than Latin, and names that begin with a digit were refused: no key
// could be pushed for them. Policies tell such users apart like any others, and a name with a character that ends a
// word or a line is still refused.
func TestNamesOfUsers(t *testing.T) {
	s := testkit.Start(t)
	names := []string{"1digit", "DOM+bob", `DOM\anna`, "müller", "mu\u0308ller", "김철수",
		"a.b-c_d", "machine$", "user@realm", "0", strings.Repeat("ü", 32)}
	machine := s.Host(t, "web", names...)
	some := s.Clients(s.User(t, "some", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow",
		"Action":"ec2-instance-connect:SendSSHPublicKey","Resource":"*",
		"Condition":{"StringLike":{"ec2:osuser":["DOM+*","m?ller"]}}}]}`))
	allowed := map[string]bool{"DOM+bob": true, "müller": true}
	push := func(clients testkit.Clients, name string) string {
		_, err := clients.EIC.SendSSHPublicKey(t.Context(), &ec2instanceconnect.SendSSHPublicKeyInput{
			InstanceId: &machine.InstanceID, InstanceOSUser: aws.String(name), SSHPublicKey: aws.String(publicKey)})
		if err == nil {
			return ""
		}
		return codeOf(err)
	}
	for _, name := range names {
		if code := push(s.Clients(s.Root), name); code != "" {
			t.Errorf("%q: %s", name, code)
		}
		if code := push(some, name); (code == "") != allowed[name] {
			t.Errorf("%q by a policy for DOM+* and m?ller: %q", name, code)
		}
	}
	for _, name := range []string{"-l", "--", "a b", "a\nb", "a;b", "a$(b)", "a'b", `a"b`, "a/b", "a:b",
		"..", "a\u2028b", "a\u00a0b", "a\u202eb", "a#b", "a%ub",
		"a|b", "a&b", "a`b", "a*", "a?", "a{b}", "a\x00", "+nis", "@netgroup", strings.Repeat("ü", 33), "a\xff"} {
		if hosts.ValidOSUser(name) {
			t.Errorf("%q is taken for a user", name)
		}
		if code := push(s.Clients(s.Root), name); code != "InvalidArgsException" {
			t.Errorf("%q: %q", name, code)
		}
	}
}
