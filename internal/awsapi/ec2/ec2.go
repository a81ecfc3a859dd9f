// Package ec2 serves EC2's operations on instances, instance types, tags, regions and zones, for enrolled hosts.
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/
package ec2

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/sallyport/sallyport/internal/awsapi"
	"github.com/sallyport/sallyport/internal/awswire"
	"github.com/sallyport/sallyport/internal/compute"
	"github.com/sallyport/sallyport/internal/gate"
	"github.com/sallyport/sallyport/internal/policy"
	"github.com/sallyport/sallyport/internal/resource"
)

type api struct {
	instances *compute.Service
	tags      *resource.Tags
}

// New returns the service.
func New(instances *compute.Service, tags *resource.Tags) awsapi.Service {
	a := api{instances, tags}
	return awsapi.Service{
		Name:   "ec2",
		Source: "ec2.amazonaws.com",
		Codec:  awswire.EC2(),
		Operations: []awsapi.Operation{
			a.describeInstances(),
			a.describeInstanceStatus(),
			a.describeInstanceTypes(),
			a.terminateInstances(),
			a.describeRegions(),
			a.describeAvailabilityZones(),
			a.createTags(),
			a.deleteTags(),
			a.describeTags(),
		},
		Keys:  func(scope awsapi.Scope) policy.Keys { return policy.Keys{"ec2:region": {scope.Region}} },
		Error: errorOf,
	}
}

// asks returns an ask about each of the resources. Each id must have the form of a kind's ids.
func (a api) asks(scope awsapi.Scope, ids []string) []gate.Ask {
	var asks []gate.Ask
	for _, id := range ids {
		kind, _ := resource.Of(id)
		ask := gate.Ask{ARN: kind.ARN(scope.Region, scope.Account, id), Type: kind.Type}
		if kind == resource.Instance {
			ask.Condition = func(ctx context.Context, key string) (string, bool, error) {
				return a.instances.Condition(ctx, scope.Region, id, key)
			}
		}
		asks = append(asks, ask)
	}
	return asks
}

func filters(in []types.Filter) []resource.Filter {
	var out []resource.Filter
	for _, f := range in {
		out = append(out, resource.Filter{Name: aws.ToString(f.Name), Values: f.Values})
	}
	return out
}
