package ec2

import (
	"context"
	"maps"
	"net/netip"
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

func (a api) describeInstances() awsapi.Operation {
	return awsapi.Row[ec2.DescribeInstancesInput, ec2.DescribeInstancesOutput]{
		Name:    "DescribeInstances",
		Action:  "ec2:DescribeInstances",
		Accepts: []string{"InstanceIds", "Filters", "MaxResults", "NextToken", "DryRun"},
		Read: func(
			ctx context.Context, pass gate.Pass, in *ec2.DescribeInstancesInput,
		) (*ec2.DescribeInstancesOutput, error) {
			page, err := pageOf(in.MaxResults, in.NextToken, in.InstanceIds)
			if err != nil {
				return nil, err
			}
			found, next, err := a.instances.Instances(ctx, pass, compute.Query{
				IDs: in.InstanceIds, Filters: filters(in.Filters), Page: page,
			})
			if err != nil {
				return nil, err
			}
			out := &ec2.DescribeInstancesOutput{Reservations: []types.Reservation{}, NextToken: awsapi.Optional(next)}
			for _, instance := range found {
				out.Reservations = append(out.Reservations, reservation(pass.Account(), instance))
			}
			return out, nil
		},
	}.Operation()
}

// pageOf checks the ids in a request and returns the page that it asks for.
func pageOf(maxResults *int32, nextToken *string, ids []string) (page.Page, error) {
	if err := resource.Instance.CheckIDs(ids); err != nil {
		return page.Page{}, err
	}
	return awsapi.Page(maxResults, nextToken, ids)
}

// reservation returns a reservation of one instance, since each host was enrolled by itself.
func reservation(account string, i compute.Instance) types.Reservation {
	return types.Reservation{
		ReservationId: &i.Reservation,
		OwnerId:       &account,
		Groups:        []types.GroupIdentifier{},
		Instances:     []types.Instance{instance(i)},
	}
}

// instance returns a host as EC2 shows it. It omits ImageId and other fields that only guests have. Lists that EC2
// always returns are empty.
func instance(i compute.Instance) types.Instance {
	out := types.Instance{
		InstanceId:          &i.ID,
		InstanceType:        compute.HostType,
		State:               state(i.State),
		Placement:           placement(i),
		LaunchTime:          &i.Enrolled,
		Architecture:        types.ArchitectureValues(i.Report.Architecture),
		PlatformDetails:     aws.String(compute.PlatformDetails),
		PrivateDnsName:      awsapi.Optional(i.Report.Hostname),
		PublicDnsName:       new(string),
		PrivateIpAddress:    address(i.Report.PrivateAddress()),
		PublicIpAddress:     address(i.Report.PublicAddress()),
		Ipv6Address:         address(i.Report.IPv6Address()),
		Tags:                tags(i.Tags),
		SecurityGroups:      []types.GroupIdentifier{},
		NetworkInterfaces:   []types.InstanceNetworkInterface{},
		BlockDeviceMappings: []types.InstanceBlockDeviceMapping{},
		ProductCodes:        []types.ProductCode{},
	}
	reason := i.StateReason()
	out.StateTransitionReason = &reason.Transition
	if reason.Code != "" {
		out.StateReason = &types.StateReason{Code: &reason.Code, Message: &reason.Message}
	}
	return out
}

func placement(i compute.Instance) *types.Placement {
	return &types.Placement{
		AvailabilityZone: &i.Zone, AvailabilityZoneId: awsapi.Optional(i.ZoneID), Tenancy: compute.Tenancy,
	}
}

func state(s compute.State) *types.InstanceState {
	code := s.Code()
	return &types.InstanceState{Code: &code, Name: types.InstanceStateName(s)}
}

func address(a netip.Addr) *string {
	if !a.IsValid() {
		return nil
	}
	return awsapi.Optional(a.String())
}

// tags returns an instance's tags, sorted by key. It returns nil if there are none, since EC2 then omits the element.
func tags(set map[string]string) []types.Tag {
	var out []types.Tag
	for _, key := range slices.Sorted(maps.Keys(set)) {
		value := set[key]
		out = append(out, types.Tag{Key: &key, Value: &value})
	}
	return out
}

func (a api) describeInstanceStatus() awsapi.Operation {
	return awsapi.Row[ec2.DescribeInstanceStatusInput, ec2.DescribeInstanceStatusOutput]{
		Name:    "DescribeInstanceStatus",
		Action:  "ec2:DescribeInstanceStatus",
		Accepts: []string{"InstanceIds", "Filters", "IncludeAllInstances", "MaxResults", "NextToken", "DryRun"},
		Read: func(
			ctx context.Context, pass gate.Pass, in *ec2.DescribeInstanceStatusInput,
		) (*ec2.DescribeInstanceStatusOutput, error) {
			page, err := pageOf(in.MaxResults, in.NextToken, in.InstanceIds)
			if err != nil {
				return nil, err
			}
			found, next, err := a.instances.Instances(ctx, pass, compute.Query{
				IDs: in.InstanceIds, Filters: filters(in.Filters), Page: page,
				Status: true, Running: !aws.ToBool(in.IncludeAllInstances),
			})
			if err != nil {
				return nil, err
			}
			out := &ec2.DescribeInstanceStatusOutput{
				InstanceStatuses: []types.InstanceStatus{}, NextToken: awsapi.Optional(next),
			}
			for _, instance := range found {
				out.InstanceStatuses = append(out.InstanceStatuses, status(instance))
			}
			return out, nil
		},
	}.Operation()
}

func status(i compute.Instance) types.InstanceStatus {
	overall, reachability := i.Health()
	summary := &types.InstanceStatusSummary{Status: types.SummaryStatus(overall)}
	if reachability != "" {
		summary.Details = []types.InstanceStatusDetails{{
			Name: types.StatusNameReachability, Status: types.StatusType(reachability),
		}}
	}
	return types.InstanceStatus{
		InstanceId:         &i.ID,
		AvailabilityZone:   &i.Zone,
		AvailabilityZoneId: awsapi.Optional(i.ZoneID),
		InstanceState:      state(i.State),
		InstanceStatus:     summary,
		SystemStatus:       summary,
	}
}

func (a api) terminateInstances() awsapi.Operation {
	return awsapi.Row[ec2.TerminateInstancesInput, ec2.TerminateInstancesOutput]{
		Name:    "TerminateInstances",
		Action:  "ec2:TerminateInstances",
		Accepts: []string{"InstanceIds", "DryRun"},
		Asks: func(_ context.Context, scope awsapi.Scope, in *ec2.TerminateInstancesInput) ([]gate.Ask, error) {
			if len(in.InstanceIds) == 0 {
				return nil, fault.New(fault.Invalid, fault.Parameters, "No instances specified")
			}
			return a.asks(scope, in.InstanceIds), resource.Instance.CheckIDs(in.InstanceIds)
		},
		Write: func(tx *gate.Tx, in *ec2.TerminateInstancesInput) (*ec2.TerminateInstancesOutput, error) {
			changes, err := a.instances.Terminate(tx, in.InstanceIds)
			if err != nil {
				return nil, err
			}
			out := &ec2.TerminateInstancesOutput{TerminatingInstances: []types.InstanceStateChange{}}
			for _, c := range changes {
				out.TerminatingInstances = append(out.TerminatingInstances, types.InstanceStateChange{
					InstanceId: &c.ID, PreviousState: state(c.Previous), CurrentState: state(c.Current),
				})
			}
			return out, nil
		},
	}.Operation()
}
