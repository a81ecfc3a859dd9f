// Package ec2 serves EC2's operations on instances, tags and places, for hosts that were enrolled.
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/
package ec2

import (
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/sallyport/sallyport/internal/awsapi"
	"github.com/sallyport/sallyport/internal/awswire"
	"github.com/sallyport/sallyport/internal/compute"
	"github.com/sallyport/sallyport/internal/fault"
)

type api struct {
	instances *compute.Service
	endpoint  string
}

// New returns the service. endpoint is the host and port under which clients reach it, for DescribeRegions.
func New(instances *compute.Service, endpoint string) awsapi.Service {
	a := api{instances: instances, endpoint: endpoint}
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
		Error: errorOf,
	}
}

// checkIDs refuses what does not even look like an instance id, as EC2 does before it looks for it.
func checkIDs(ids []string) error {
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
