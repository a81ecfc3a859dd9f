package ec2

import (
	"context"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/sallyport/sallyport/internal/awsapi"
	"github.com/sallyport/sallyport/internal/compute"
	"github.com/sallyport/sallyport/internal/fault"
	"github.com/sallyport/sallyport/internal/gate"
	"github.com/sallyport/sallyport/internal/page"
	"github.com/sallyport/sallyport/internal/resource"
)

// typeFilters are the filters of DescribeInstanceTypes.
var typeFilters = resource.Filters[types.InstanceTypeInfo]{
	Names: map[string]func(types.InstanceTypeInfo) []string{
		"instance-type":      typeName,
		"current-generation": resource.Always[types.InstanceTypeInfo]("true"),
	},
}

func typeName(t types.InstanceTypeInfo) []string { return []string{string(t.InstanceType)} }

func (a api) describeInstanceTypes() awsapi.Operation {
	return awsapi.Row[ec2.DescribeInstanceTypesInput, ec2.DescribeInstanceTypesOutput]{
		Name:    "DescribeInstanceTypes",
		Action:  "ec2:DescribeInstanceTypes",
		Accepts: []string{"InstanceTypes", "Filters", "MaxResults", "NextToken", "DryRun"},
		Read: func(
			_ context.Context, pass gate.Pass, in *ec2.DescribeInstanceTypesInput,
		) (*ec2.DescribeInstanceTypesOutput, error) {
			wanted, err := awsapi.Page(in.MaxResults, in.NextToken, nil)
			if err != nil {
				return nil, err
			}
			all := []types.InstanceTypeInfo{{InstanceType: compute.HostType, CurrentGeneration: aws.Bool(true)}}
			unknown := func(t types.InstanceType) bool { return t != compute.HostType }
			if i := slices.IndexFunc(in.InstanceTypes, unknown); i >= 0 {
				return nil, fault.New(fault.Invalid, fault.InstanceType,
					"The following supplied instance types do not exist: [%s]", resource.Shown(string(in.InstanceTypes[i])))
			}
			all, err = typeFilters.Keep(all, filters(in.Filters))
			if err != nil {
				return nil, err
			}
			name := func(t types.InstanceTypeInfo) string { return string(t.InstanceType) }
			all, next, err := page.Cut(all, name, wanted.Size, wanted.Token, []any{"types", in.InstanceTypes, in.Filters})
			return &ec2.DescribeInstanceTypesOutput{InstanceTypes: all, NextToken: awsapi.Optional(next)}, err
		},
	}.Operation()
}
