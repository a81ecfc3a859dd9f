package sdktest

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	awscloudtrail "github.com/aws/aws-sdk-go-v2/service/cloudtrail"
	awseic "github.com/aws/aws-sdk-go-v2/service/ec2instanceconnect"

	"github.com/sallyport/sallyport/internal/gate"
	"github.com/sallyport/sallyport/internal/trail"
)

// A laptop whose clock is an hour off is refused with a code by which the SDK recognizes that. The SDK takes the time
// from our Date header and signs again, and the user notices nothing. EC2's RequestExpired, which was once the answer,
// is not such a code.
func TestSDKCorrectsItsClock(t *testing.T) {
	for _, ahead := range []time.Duration{time.Hour, -time.Hour} {
		w := newWorld(t)
		id := w.enroll(nil)
		w.mu.Lock()
		w.ahead = ahead
		w.mu.Unlock()
		calls := map[string]struct {
			do     func(aws.Config) error
			status int
			code   string
		}{
			"ec2": {func(c aws.Config) error {
				_, err := ec2Client(c).DescribeInstances(t.Context(), describing(id))
				return err
			}, 401, "AuthFailure"},
			"ec2-instance-connect": {func(c aws.Config) error {
				_, err := eicClient(c).SendSSHPublicKey(t.Context(), &awseic.SendSSHPublicKeyInput{
					InstanceId: &id, InstanceOSUser: aws.String("admin"), SSHPublicKey: aws.String(publicKey()),
				})
				return err
			}, 400, "InvalidSignatureException"},
			"cloudtrail": {func(c aws.Config) error {
				_, err := trailClient(c).LookupEvents(t.Context(), &awscloudtrail.LookupEventsInput{})
				return err
			}, 400, "InvalidSignatureException"},
		}
		for name, call := range calls {
			t.Run(name, func(t *testing.T) {
				config := w.root()
				refused(t, call.do(config), call.status, call.code)
				config.Retryer = func() aws.Retryer {
					return retry.NewStandard(func(o *retry.StandardOptions) {
						o.MaxAttempts, o.Backoff = 2, retry.BackoffDelayerFunc(func(int, error) (time.Duration, error) { return 0, nil })
					})
				}
				config.RetryMaxAttempts = 0
				if err := call.do(config); err != nil {
					t.Errorf("the server's clock is %v ahead, and the SDK does not find its way: %v", ahead, err)
				}
			})
		}
	}
}

// A request with a session that has ended gets the code by which clients know that they need a new session. A presigned
// request, which the client cannot sign again, gets the same code.
func TestWhatIsOverIsExpired(t *testing.T) {
	w := newWorld(t)
	over := w.login(gate.Principal{
		Identity: trail.Identity{
			Type: "IAMUser", PrincipalID: "AIDABOB", ARN: "arn:aws:iam::" + account + ":user/bob",
			AccountID: account, UserName: "bob",
		},
		Root: true, SessionToken: "token", Expires: time.Now().Add(-time.Second),
	})
	_, err := ec2Client(over).DescribeRegions(t.Context(), nil)
	refused(t, err, 400, "RequestExpired")
	_, err = trailClient(over).LookupEvents(t.Context(), nil)
	refused(t, err, 400, "ExpiredTokenException")
	_, err = eicClient(over).SendSSHPublicKey(t.Context(), &awseic.SendSSHPublicKeyInput{
		InstanceId: aws.String("i-00000000000000000"), InstanceOSUser: aws.String("admin"),
		SSHPublicKey: aws.String(publicKey()),
	})
	refused(t, err, 400, "ExpiredTokenException", "Ask for a new one")

	who, err := w.root().Credentials.Retrieve(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	target := w.url + "/?Action=DescribeRegions&Version=2016-11-15&X-Amz-Expires=60"
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, target, nil)
	if err != nil {
		t.Fatal(err)
	}
	url, _, err := v4.NewSigner().PresignHTTP(t.Context(), who, r, "UNSIGNED-PAYLOAD", "ec2", region, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		ahead  time.Duration
		status int
		says   string
	}{{0, 200, "<regionName>on-prem-1<"}, {time.Hour, 400, "<Code>RequestExpired</Code>"}} {
		w.mu.Lock()
		w.ahead = c.ahead
		w.mu.Unlock()
		again, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		if status, body := answer(t, again); status != c.status || !strings.Contains(body, c.says) {
			t.Errorf("%v later: %d %s", c.ahead, status, body)
		}
	}
}
