package ec2

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/sallyport/sallyport/internal/awsapi"
	"github.com/sallyport/sallyport/internal/compute"
	"github.com/sallyport/sallyport/internal/gate"
)

func (a api) describeRegions() awsapi.Operation {
	return awsapi.Row[ec2.DescribeRegionsInput, ec2.DescribeRegionsOutput]{
		Name:    "DescribeRegions",
		Action:  "ec2:DescribeRegions",
		Accepts: []string{"RegionNames", "AllRegions", "Filters", "DryRun"},
		Read: func(ctx context.Context, pass gate.Pass, in *ec2.DescribeRegionsInput) (*ec2.DescribeRegionsOutput, error) {
			regions, err := a.instances.Regions(ctx, pass, in.RegionNames, filters(in.Filters))
			if err != nil {
				return nil, err
			}
			out := &ec2.DescribeRegionsOutput{Regions: []types.Region{}}
			for _, r := range regions {
				out.Regions = append(out.Regions, types.Region{
					RegionName: &r.Name, Endpoint: &r.Endpoint, OptInStatus: aws.String(compute.OptInStatus),
				})
			}
			return out, nil
		},
	}.Operation()
}

func (a api) describeAvailabilityZones() awsapi.Operation {
	return awsapi.Row[ec2.DescribeAvailabilityZonesInput, ec2.DescribeAvailabilityZonesOutput]{
		Name:    "DescribeAvailabilityZones",
		Action:  "ec2:DescribeAvailabilityZones",
		Accepts: []string{"ZoneNames", "ZoneIds", "AllAvailabilityZones", "Filters", "DryRun"},
		Read: func(
			ctx context.Context, pass gate.Pass, in *ec2.DescribeAvailabilityZonesInput,
		) (*ec2.DescribeAvailabilityZonesOutput, error) {
			zones, err := a.instances.Zones(ctx, pass, in.ZoneNames, in.ZoneIds, filters(in.Filters))
			if err != nil {
				return nil, err
			}
			out := &ec2.DescribeAvailabilityZonesOutput{AvailabilityZones: []types.AvailabilityZone{}}
			for _, z := range zones {
				out.AvailabilityZones = append(out.AvailabilityZones, types.AvailabilityZone{
					ZoneName: &z.Name, ZoneId: &z.ID, RegionName: &z.Region, GroupName: &z.Region, NetworkBorderGroup: &z.Region,
					ZoneType: aws.String(compute.ZoneType), State: compute.ZoneState, OptInStatus: compute.OptInStatus,
					Messages: []types.AvailabilityZoneMessage{},
				})
			}
			return out, nil
		},
	}.Operation()
}
