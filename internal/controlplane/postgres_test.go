package controlplane_test

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2instanceconnect"

	"github.com/sallyport/sallyport/internal/controlplane"
	"github.com/sallyport/sallyport/internal/db/dbtest"
	"github.com/sallyport/sallyport/internal/testkit"
)

// TestPostgreSQL pushes a key with everything in PostgreSQL.
func TestPostgreSQL(t *testing.T) {
	url := dbtest.PostgreSQLURL(t)
	s := testkit.Start(t, func(c *controlplane.Config) { c.Database = url })
	machine := s.Host(t, "web", "debian")
	push := func() *ec2instanceconnect.SendSSHPublicKeyOutput {
		t.Helper()
		out, err := s.Clients(s.Root).EIC.SendSSHPublicKey(t.Context(), &ec2instanceconnect.SendSSHPublicKeyInput{
			InstanceId: &machine.InstanceID, InstanceOSUser: aws.String("debian"), SSHPublicKey: aws.String(publicKey)})
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	first := push()
	if !live(machine)[*first.RequestId] {
		t.Error("the host does not hold the grant")
	}
	recorded := 0
	for _, e := range s.Events(t) {
		if e.Name == "SendSSHPublicKey" && e.RequestID == *first.RequestId {
			recorded++
		}
	}
	if recorded != 1 {
		t.Errorf("%d events of the push", recorded)
	}
}
