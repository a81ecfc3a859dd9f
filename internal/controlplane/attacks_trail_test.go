package controlplane_test

import (
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"

	"github.com/sallyport/sallyport/internal/testkit"
)

// A stranger sends requests without a signature, as fast as they can, with as much as fits into a header. The trail
// keeps some of them, in little space, and keeps every event of authenticated callers.
func TestStrangersCannotFillTheTrail(t *testing.T) {
	s := testkit.Start(t)
	const attempts, each = 8, 200
	began := time.Now()
	var all sync.WaitGroup
	for range attempts {
		all.Go(func() {
			for range each {
				body := strings.NewReader("Action=DescribeInstances&Version=2016-11-15")
				request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.Endpoint, body)
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
	nobody := s.Clients(s.User(t, "nobody", ""))
	if code := pushKey(t.Context(), nobody, "i-0123456789abcdef0", "debian"); code != "AuthException" {
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
	// Bursts of a thousand and five a second, as in gate.
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

// A user without permissions sends names of a megabyte. Each call is refused and leaves a small event.
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
	_, err := nobody.IAM.PutUserPolicy(t.Context(), &iam.PutUserPolicyInput{
		UserName: aws.String("root"), PolicyName: aws.String("p"), PolicyDocument: &name,
	})
	if codeOf(err) != "ValidationError" {
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
