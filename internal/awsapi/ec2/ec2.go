// Package ec2 serves EC2's operations on instances, tags and places, for hosts that were enrolled.
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/
package ec2

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/sallyport/sallyport/internal/awsapi"
	"github.com/sallyport/sallyport/internal/awswire"
	"github.com/sallyport/sallyport/internal/compute"
	"github.com/sallyport/sallyport/internal/fault"
	"github.com/sallyport/sallyport/internal/gate"
	"github.com/sallyport/sallyport/internal/policy"
)

type api struct{ instances *compute.Service }

// New returns the service.
func New(instances *compute.Service) awsapi.Service {
	a := api{instances}
	return awsapi.Service{
		Name:   "ec2",
		Source: "ec2.amazonaws.com",
		Codec:  awswire.EC2(),
		Operations: []awsapi.Operation{
			a.describeInstances(),
			a.describeInstanceStatus(),
			a.terminateInstances(),
			a.describeRegions(),
			a.describeAvailabilityZones(),
			a.createTags(),
			a.deleteTags(),
			a.describeTags(),
		},
		Conditions: func(scope awsapi.Scope) policy.Keys { return policy.Keys{"ec2:region": {scope.Region}} },
		Error:      errorOf,
	}
}

// resources are the instances of the ids as policies know them.
func (a api) resources(scope awsapi.Scope, ids []string) []gate.Resource {
	var resources []gate.Resource
	for _, id := range ids {
		resources = append(resources, gate.Resource{
			ARN: compute.InstanceARN(scope.Region, scope.Account, id), Type: compute.InstanceType,
			Condition: func(ctx context.Context, key string) (string, bool, error) {
				return a.instances.Condition(ctx, scope.Region, id, key)
			},
		})
	}
	return resources
}

// checkIDs refuses what does not even look like an instance id, as EC2 does before it looks for it, and more of them
// than can be asked for at once.
func checkIDs(ids []string) error {
	if len(ids) > compute.MaxPage {
		return fault.New(fault.Invalid, "ids", "At most %d ids can be given at once; %d were.", compute.MaxPage, len(ids))
	}
	for _, id := range ids {
		if !compute.ValidInstanceID(id) {
			return fault.New(fault.Invalid, "instance-id", "Invalid id: %q (expecting i- and 17 hex digits)", id)
		}
	}
	return nil
}

func filters(in []types.Filter) []compute.Filter {
	var out []compute.Filter
	for _, f := range in {
		out = append(out, compute.Filter{Name: aws.ToString(f.Name), Values: f.Values})
	}
	return out
}
