package sdktest

import (
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awscloudtrail "github.com/aws/aws-sdk-go-v2/service/cloudtrail"
	awsec2 "github.com/aws/aws-sdk-go-v2/service/ec2"
	awseic "github.com/aws/aws-sdk-go-v2/service/ec2instanceconnect"
)

// A laptop whose clock is an hour off is refused with the code by which the SDK recognizes that. It takes the time
// from our Date header and signs again, and its user notices nothing. EC2's RequestExpired, which we once
// answered, is not one of those codes.
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
				_, err := ec2Client(c).DescribeInstances(t.Context(), &awsec2.DescribeInstancesInput{InstanceIds: []string{id}})
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
