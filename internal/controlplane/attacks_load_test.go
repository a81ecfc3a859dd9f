package controlplane_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/sallyport/sallyport/internal/awsapi/sallyport"
	"github.com/sallyport/sallyport/internal/controlplane"
	"github.com/sallyport/sallyport/internal/testkit"
)

// A user without permissions names thousands of resources in each call. None is looked up, and the event of each call
// stays small.
func TestDeniedCallsStaySmall(t *testing.T) {
	s := testkit.Start(t)
	nobody := s.User(t, "nobody", "")
	clients := s.Clients(nobody)
	ids := make([]string, 4000)
	for i := range ids {
		ids[i] = fmt.Sprintf("i-%017x", i)
	}
	tag := []ec2types.Tag{{Key: aws.String("a"), Value: aws.String("b")}}
	for name, call := range map[string]func(n int) error{
		"CreateTags": func(n int) error {
			_, err := clients.EC2.CreateTags(t.Context(), &ec2.CreateTagsInput{Resources: ids[:n], Tags: tag})
			return err
		},
		"TerminateInstances": func(n int) error {
			_, err := clients.EC2.TerminateInstances(t.Context(), &ec2.TerminateInstancesInput{InstanceIds: ids[:n]})
			return err
		},
		"DescribeInstances": func(n int) error {
			_, err := clients.EC2.DescribeInstances(t.Context(), &ec2.DescribeInstancesInput{InstanceIds: ids[:n]})
			return err
		},
		"DescribeRegions": func(n int) error {
			_, err := clients.EC2.DescribeRegions(t.Context(), &ec2.DescribeRegionsInput{RegionNames: ids[:n]})
			return err
		},
	} {
		for _, n := range []int{1000, 1001, 4000} {
			err := call(n)
			if refused := codeOf(err) == "UnauthorizedOperation"; refused != (n == 1000) || err == nil {
				t.Errorf("%s of %d: %v", name, n, err)
			}
		}
	}
	events := 0
	for _, e := range s.Events(t) {
		if e.Identity.UserName != "nobody" {
			continue
		}
		events++
		text, err := e.Record()
		if most := 256 << 10; err != nil || len(text) > most || len(e.Resources) == 0 && len(text) > most/2 {
			t.Errorf("%s takes %d bytes, %v", e.Name, len(text), err)
		}
	}
	if events != 12 {
		t.Errorf("%d events", events)
	}
}

// A user calls without pause. They get the error on which AWS's clients wait and try again, and other callers do not
// notice.
func TestTooManyCalls(t *testing.T) {
	s := testkit.Start(t, func(c *controlplane.Config) { c.CallRate = 1 })
	loud := s.User(t, "loud", allowAll)
	clients := s.Clients(loud)
	for range 20 {
		clients.STS.GetCallerIdentity(t.Context(), &sts.GetCallerIdentityInput{})
	}
	_, ofEC2 := clients.EC2.DescribeRegions(t.Context(), nil)
	_, ofIAM := clients.IAM.ListUsers(t.Context(), &iam.ListUsersInput{})
	_, ofTrail := clients.Trail.LookupEvents(t.Context(), &cloudtrail.LookupEventsInput{})
	_, ofSallyport := sallyport.NewFromConfig(clients.Config).DescribeHosts(t.Context(), &sallyport.DescribeHostsInput{})
	for code, err := range map[string]error{"RequestLimitExceeded": ofEC2, "Throttling": ofIAM} {
		if codeOf(err) != code {
			t.Errorf("%v, want %s", err, code)
		}
	}
	for _, code := range []string{
		codeOf(ofTrail), codeOf(ofSallyport), pushKey(t.Context(), clients, "i-0123456789abcdef0", "debian"),
	} {
		if code != "ThrottlingException" {
			t.Errorf("%q", code)
		}
	}
	for service, want := range map[string]int{
		"ec2": http.StatusServiceUnavailable, "iam": http.StatusBadRequest, "sts": http.StatusBadRequest,
	} {
		if status, answer := capture(t, s, loud, service, formHeader, "Action=DescribeRegions").send(t); status != want {
			t.Errorf("%s: %d %s", service, status, answer)
		}
	}
	quiet := s.Clients(s.Root)
	if _, err := quiet.IAM.ListUsers(t.Context(), nil); err != nil {
		t.Errorf("somebody else: %v", err)
	}
	if !strings.Contains(s.Log.String(), "Rate exceeded") {
		t.Error("the log does not say it")
	}
}

// A stranger announces a large body under an access key that does not exist, and holds it back. They are answered
// without it: the server spends no memory and no time on what they may send.
func TestUnknownKeyIsAnsweredWithoutItsBody(t *testing.T) {
	s := testkit.Start(t)
	stranger := credentials.NewStaticCredentialsProvider("AKIAIOSFODNN7EXAMPLE", "x", "")
	c := capture(t, s, stranger, "iam", formHeader, strings.Repeat("x", 1<<20))
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, c.url, nil)
	if err != nil {
		t.Fatal(err)
	}
	held, never := io.Pipe()
	defer never.Close()
	request.Header, request.Host, request.Body, request.ContentLength = c.header, c.host, held, 1<<20
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != http.StatusForbidden {
		t.Error(response.Status)
	}
}

// Access key ids are not secret. With one, anybody could make the server hold a megabyte for every connection that they
// opened, since the signature covers a body that never ends. The bodies of one source have room for eight. Then the one
// that has been arriving longest makes room, with an error on which a client sends it again.
func TestBodiesThatNeverEnd(t *testing.T) {
	s := testkit.Start(t)
	known := s.User(t, "known", "")
	c := capture(t, s, known, "ec2", formHeader, strings.Repeat("x", 1<<20))
	answers := make(chan string, 20)
	for range 20 {
		held, never := io.Pipe()
		t.Cleanup(func() { never.Close() })
		go func() { never.Write(make([]byte, 1<<20-1)) }()
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, c.url, held)
		if err != nil {
			t.Fatal(err)
		}
		request.Header, request.Host, request.ContentLength = c.header, c.host, 1<<20
		go func() {
			response, err := http.DefaultClient.Do(request)
			if err != nil {
				answers <- err.Error()
				return
			}
			defer response.Body.Close()
			body, _ := io.ReadAll(response.Body)
			answers <- response.Status + string(body)
		}()
	}
	told := 0
	for range 12 {
		switch answer := <-answers; {
		case strings.HasPrefix(answer, "503") && strings.Contains(answer, "RequestLimitExceeded"):
			told++
		case !strings.Contains(answer, "connection reset"): // of a client that still wrote when the answer came
			t.Errorf("a body that was pushed out is answered with %s", answer)
		}
	}
	if told < 6 {
		t.Errorf("only %d of 12 clients were told why", told)
	}
	if _, err := s.Clients(known).STS.GetCallerIdentity(t.Context(), &sts.GetCallerIdentityInput{}); err != nil {
		t.Error(err)
	}
	select {
	case answer := <-answers:
		t.Errorf("a body that has room is answered with %s", answer)
	default:
	}
}

// A request without a signature is read no further than is necessary to refuse it in its own protocol.
func TestUnsignedBodiesAreNotRead(t *testing.T) {
	s := testkit.Start(t)
	held, never := io.Pipe()
	defer never.Close()
	go func() {
		never.Write([]byte("Action=DescribeInstances&Version=2016-11-15&x=" + strings.Repeat("x", 16<<10)))
	}()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.Endpoint, held)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.ContentLength = 64 << 10 // short enough that net/http would read the rest before it answers
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if body, _ := io.ReadAll(response.Body); !strings.Contains(string(body), "<Response><Errors>") || !response.Close {
		t.Errorf("%s, to be closed %v: %s", response.Status, response.Close, body)
	}
}
