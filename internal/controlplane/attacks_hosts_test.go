package controlplane_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2instanceconnect"

	"github.com/sallyport/sallyport/internal/awsapi/sallyport"
	"github.com/sallyport/sallyport/internal/ca"
	"github.com/sallyport/sallyport/internal/hostproto"
	"github.com/sallyport/sallyport/internal/testkit"
	"github.com/sallyport/sallyport/internal/testkit/wait"
)

// The attacks of this file come from machines: stolen ones, and ones that try to be enrolled.

// Keys are pushed without pause while the instance is terminated. Once that has returned no push succeeds, and the
// agent is told and loses all its grants.
func TestTerminateUnderPushes(t *testing.T) {
	s := testkit.Start(t)
	web := s.Host(t, "web", "debian")
	api := s.Clients(s.Root)
	var terminated atomic.Bool
	var before, late atomic.Int32
	var pushing sync.WaitGroup
	for range 4 {
		pushing.Go(func() {
			for refused := 0; refused < 3; {
				after := terminated.Load()
				switch code := pushKey(t.Context(), api, web.InstanceID, "debian"); {
				case code != "":
					refused++
				case after:
					late.Add(1)
					refused++
				default:
					before.Add(1)
				}
			}
		})
	}
	for deadline := time.Now().Add(wait.Patience); before.Load() < 20 && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond)
	}
	_, err := api.EC2.TerminateInstances(t.Context(), &ec2.TerminateInstancesInput{InstanceIds: []string{web.InstanceID}})
	terminated.Store(true)
	if err != nil {
		t.Error(err)
	}
	pushing.Wait()
	if before.Load() < 20 || late.Load() != 0 {
		t.Errorf("%d pushes before, %d after", before.Load(), late.Load())
	}
	select {
	case <-web.Stopped():
	case <-time.After(wait.Patience):
		t.Error("the agent goes on")
	}
}

// One enrollment token, stolen from a log, is redeemed by many machines at once: one becomes an instance.
func TestTokenRedeemedAtOnce(t *testing.T) {
	s := testkit.Start(t)
	made, err := sallyport.NewFromConfig(s.Clients(s.Root).Config).CreateHostToken(t.Context(),
		&sallyport.CreateHostTokenInput{})
	if err != nil {
		t.Fatal(err)
	}
	token, err := hostproto.ParseToken(made.Token)
	if err != nil {
		t.Fatal(err)
	}
	hostKey := "ssh-ed25519 " + strings.Fields(publicKey)[1]
	var enrolled atomic.Int32
	var machines sync.WaitGroup
	for range 12 {
		_, key, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		certificate, err := ca.SelfSigned(key, "machine")
		if err != nil {
			t.Fatal(err)
		}
		body, err := json.Marshal(hostproto.Enroll{Token: made.Token, Report: hostproto.Report{
			Hostname: "web", OS: "Debian", Architecture: "x86_64", Addresses: []string{"192.0.2.1"},
			SSHPort: 22, HostKeys: []string{hostKey}, Version: "1",
		}})
		if err != nil {
			t.Fatal(err)
		}
		config, err := ca.ClientTLS(token.Fingerprint, certificate, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		client := http.Client{
			Timeout: wait.Patience, Transport: &http.Transport{TLSClientConfig: config, DisableKeepAlives: true},
		}
		machines.Go(func() {
			response, err := client.Post(token.Server+hostproto.EnrollPath, "application/json", bytes.NewReader(body))
			if err != nil {
				t.Error(err)
				return
			}
			response.Body.Close()
			switch response.StatusCode {
			case http.StatusOK:
				enrolled.Add(1)
			case http.StatusForbidden:
			default:
				t.Error(response.Status)
			}
		})
	}
	machines.Wait()
	if enrolled.Load() != 1 {
		t.Errorf("%d machines were enrolled", enrolled.Load())
	}
	failed, succeeded := 0, 0
	for _, e := range s.Events(t) {
		switch {
		case e.Name != "EnrollHost":
		case e.ErrorCode == "":
			succeeded++
		case e.Region == testkit.Region && e.Identity.Type == "Unknown":
			failed++
		}
	}
	if succeeded != 1 || failed != 11 {
		t.Errorf("%d enrollments and %d refusals in the trail", succeeded, failed)
	}
}

// A stolen host gives its grants to another host, tries them for another user, and reports releases of grants that are
// not its own.
func TestStolenHostGoesNoFurther(t *testing.T) {
	s := testkit.Start(t)
	stolen, other := s.Host(t, "stolen", "debian", "root"), s.Host(t, "other", "debian", "root")
	api := s.Clients(s.Root)
	push := func(instance string) string {
		t.Helper()
		out, err := api.EIC.SendSSHPublicKey(t.Context(), &ec2instanceconnect.SendSSHPublicKeyInput{
			InstanceId: &instance, InstanceOSUser: aws.String("debian"), SSHPublicKey: aws.String(publicKey),
		})
		if err != nil {
			t.Fatal(err)
		}
		return *out.RequestId
	}
	own, others := push(stolen.InstanceID), push(other.InstanceID)
	grants, _ := stolen.Grants.Find("debian", "")
	if len(grants) != 1 {
		t.Fatalf("%d grants", len(grants))
	}
	grant := grants[0].Grant
	if ack := other.Grants.Add(t.Context(), grant); ack.Code != hostproto.AckBadGrant {
		t.Errorf("another host takes it: %+v", ack)
	}
	grant.OSUser = "root"
	if ack := stolen.Grants.Add(t.Context(), grant); ack.Code != hostproto.AckBadGrant {
		t.Errorf("it is good for root: %+v", ack)
	}
	grant.OSUser, grant.RequestID = "debian", "another"
	if ack := stolen.Grants.Add(t.Context(), grant); ack.Code != hostproto.AckBadGrant {
		t.Errorf("it goes by another request: %+v", ack)
	}
	grant.RequestID, grant.Blob.Text = own, strings.Replace(grant.Blob.Text, "debian", "root", 1)
	grant.OSUser = "root"
	if ack := stolen.Grants.Add(t.Context(), grant); ack.Code != hostproto.AckBadGrant {
		t.Errorf("its text can be changed: %+v", ack)
	}

	stolen.Release(others, "debian")    // another host's grant
	stolen.Release(own, "root")         // another user
	stolen.Release("no-such", "debian") // no grant
	stolen.Release(own, "debian")       // a true one, last: once it is recorded, the others were judged
	for deadline := time.Now().Add(wait.Patience); ; time.Sleep(20 * time.Millisecond) {
		var told []string
		for _, e := range s.Events(t) {
			if e.Name == "ReleaseSSHPublicKey" {
				told = append(told, e.RequestID+" "+fmt.Sprint(e.ServiceDetails["instanceOSUser"]))
			}
		}
		if len(told) > 1 || len(told) == 1 && told[0] != own+" debian" {
			t.Fatalf("the trail says %q", told)
		}
		if len(told) == 1 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the release is not in the trail")
		}
	}
}
