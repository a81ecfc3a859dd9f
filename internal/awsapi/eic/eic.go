// Package eic serves EC2 Instance Connect's SendSSHPublicKey. Success means that the host holds the key.
// https://docs.aws.amazon.com/ec2-instance-connect/latest/APIReference/
package eic

import (
	"context"
	"regexp"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/service/ec2instanceconnect"

	"github.com/sallyport/sallyport/internal/access"
	"github.com/sallyport/sallyport/internal/awsapi"
	"github.com/sallyport/sallyport/internal/awswire"
	"github.com/sallyport/sallyport/internal/fault"
	"github.com/sallyport/sallyport/internal/gate"
	"github.com/sallyport/sallyport/internal/policy"
	"github.com/sallyport/sallyport/internal/resource"
)

// New returns the service.
func New(keys *access.Service) awsapi.Service {
	return awsapi.Service{
		Name:       "ec2-instance-connect",
		Source:     access.EventSource,
		Codec:      awswire.JSON("AWSEC2InstanceConnectService", "Message"),
		Operations: []awsapi.Operation{sendSSHPublicKey(keys)},
		Error:      errorOf,
	}
}

type (
	input  = ec2instanceconnect.SendSSHPublicKeyInput
	output = ec2instanceconnect.SendSSHPublicKeyOutput
)

func sendSSHPublicKey(keys *access.Service) awsapi.Operation {
	return awsapi.Row[input, output]{
		Name:    "SendSSHPublicKey",
		Action:  "ec2-instance-connect:SendSSHPublicKey",
		Accepts: []string{"InstanceId", "InstanceOSUser", "SSHPublicKey", "AvailabilityZone"},
		Asks: func(_ context.Context, scope awsapi.Scope, in *input) ([]gate.Ask, error) {
			if err := checkShape(in); err != nil {
				return nil, err
			}
			return []gate.Ask{{
				ARN: resource.Instance.ARN(scope.Region, scope.Account, *in.InstanceId), Type: resource.Instance.Type,
				Keys: policy.Keys{"ec2:osuser": {*in.InstanceOSUser}},
			}}, nil
		},
		Parameters: recorded,
		Response:   func(*output) map[string]any { return nil },
		Write: func(tx *gate.Tx, in *input) (*output, error) {
			push := access.PushInput{InstanceID: *in.InstanceId, OSUser: *in.InstanceOSUser, PublicKey: *in.SSHPublicKey}
			if in.AvailabilityZone != nil {
				push.Zone = *in.AvailabilityZone
			}
			grant, err := keys.Push(tx, push)
			if err != nil {
				return nil, err
			}
			return &output{RequestId: &grant.RequestID, Success: true}, nil
		},
	}.Operation()
}

// recorded returns the input under the names that AWS documents for CloudTrail's record. Records with the input's own
// names (instanceOSUser, sSHPublicKey) have been published too. Both have instanceId.
// https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/monitor-with-cloudtrail.html#ec2-instance-connect-cloudtrail
func recorded(in *input) map[string]any {
	parameters := map[string]any{}
	set := func(in map[string]any, name string, value *string) {
		if value != nil {
			in[name] = *value
		}
	}
	set(parameters, "instanceId", in.InstanceId)
	set(parameters, "osUser", in.InstanceOSUser)
	set(parameters, "availabilityZone", in.AvailabilityZone)
	if in.SSHPublicKey != nil {
		parameters["SSHKey"] = map[string]any{"publicKey": *in.SSHPublicKey}
	}
	if len(parameters) == 0 {
		return nil
	}
	return parameters
}

// instanceID is the pattern in the API model, which is a little wider than the form of an id.
var instanceID = regexp.MustCompile(`^i-[a-f0-9]{8,30}$`)

// checkShape refuses input that the policies cannot sensibly be asked about. Mistakes in a key are explained later,
// and only to callers who may push one.
func checkShape(in *input) error {
	required := []struct {
		name  string
		value *string
	}{{"InstanceId", in.InstanceId}, {"InstanceOSUser", in.InstanceOSUser}, {"SSHPublicKey", in.SSHPublicKey}}
	for _, r := range required {
		if r.value == nil || *r.value == "" {
			return fault.New(fault.Missing, fault.Parameter, "The request must contain %s.", r.name)
		}
	}
	if !instanceID.MatchString(*in.InstanceId) {
		return fault.New(fault.Invalid, fault.InstanceID, "%q is not an instance id: i- and 17 hex digits. "+
			"`aws ec2 describe-instances` lists them.", resource.Shown(*in.InstanceId))
	}
	if utf8.RuneCountInString(*in.InstanceOSUser) > 32 {
		return fault.New(fault.Invalid, fault.OSUser, "The name of an OS user has at most 32 characters.")
	}
	return nil
}
