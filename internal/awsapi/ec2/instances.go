package ec2

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/sallyport/sallyport/internal/awsapi"
	"github.com/sallyport/sallyport/internal/compute"
	"github.com/sallyport/sallyport/internal/gate"
)

func (a api) describeInstances() awsapi.Operation {
	return awsapi.Row[ec2.DescribeInstancesInput, ec2.DescribeInstancesOutput]{
		Name:     "DescribeInstances",
		Action:   "ec2:DescribeInstances",
		ReadOnly: true,
		Accepts:  []string{"InstanceIds", "Filters", "MaxResults", "NextToken", "DryRun"},
		Do: func(ctx context.Context, pass gate.Pass, in *ec2.DescribeInstancesInput) (*ec2.DescribeInstancesOutput, error) {
			if err := checkIDs(in.InstanceIds); err != nil {
				return nil, err
			}
			found, next, err := a.instances.Instances(ctx, pass, compute.Query{
				IDs: in.InstanceIds, Filters: filters(in.Filters), Page: compute.PageOf(in.MaxResults, aws.ToString(in.NextToken)),
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

// reservation wraps one instance: each host was enrolled by itself.
func reservation(account string, i compute.Instance) types.Reservation {
	return types.Reservation{
		ReservationId: &i.Reservation,
		OwnerId:       &account,
		Groups:        []types.GroupIdentifier{},
		Instances:     []types.Instance{instance(i)},
	}
}

// instance is a host as EC2 shows it. InstanceType, ImageId and the rest of what only a guest has are left out;
// the lists that clients take for granted are empty.
func instance(i compute.Instance) types.Instance {
	out := types.Instance{
		InstanceId:          &i.ID,
		State:               state(i.State),
		Placement:           &types.Placement{AvailabilityZone: &i.Zone, Tenancy: types.TenancyDefault},
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
	out.StateReason, out.StateTransitionReason = stateReason(i)
	return out
}

func state(s compute.State) *types.InstanceState {
	code := s.Code()
	return &types.InstanceState{Code: &code, Name: types.InstanceStateName(s)}
}

// stateReason says why an instance is not running: a host that stopped did not do so at anybody's request.
func stateReason(i compute.Instance) (*types.StateReason, *string) {
	reason := func(code, text string) *types.StateReason {
		message := code + ": " + text
		return &types.StateReason{Code: &code, Message: &message}
	}
	switch i.State {
	case compute.Terminated:
		transition := fmt.Sprintf("User initiated (%s)", i.Terminated.UTC().Format("2006-01-02 15:04:05 GMT"))
		return reason("Client.UserInitiatedShutdown", "The host was un-enrolled"), &transition
	case compute.Stopped:
		text := "The host's agent has never been connected"
		if !i.LastSeen.IsZero() {
			text = fmt.Sprintf("The host's agent is not connected; it was last seen at %s", i.LastSeen.UTC().Format("2006-01-02 15:04:05 GMT"))
		}
		return reason("Server.AgentNotConnected", text), new(string)
	}
	return nil, new(string)
}

func address(a netip.Addr) *string {
	if !a.IsValid() {
		return nil
	}
	return awsapi.Optional(a.String())
}

func tags(set map[string]string) []types.Tag {
	out := []types.Tag{}
	for _, key := range slices.Sorted(maps.Keys(set)) {
		value := set[key]
		out = append(out, types.Tag{Key: &key, Value: &value})
	}
	return out
}

func (a api) describeInstanceStatus() awsapi.Operation {
	return awsapi.Row[ec2.DescribeInstanceStatusInput, ec2.DescribeInstanceStatusOutput]{
		Name:     "DescribeInstanceStatus",
		Action:   "ec2:DescribeInstanceStatus",
		ReadOnly: true,
		Accepts:  []string{"InstanceIds", "Filters", "IncludeAllInstances", "MaxResults", "NextToken", "DryRun"},
		Do: func(ctx context.Context, pass gate.Pass, in *ec2.DescribeInstanceStatusInput) (*ec2.DescribeInstanceStatusOutput, error) {
			if err := checkIDs(in.InstanceIds); err != nil {
				return nil, err
			}
			found, next, err := a.instances.Instances(ctx, pass, compute.Query{
				IDs: in.InstanceIds, Filters: filters(in.Filters), Page: compute.PageOf(in.MaxResults, aws.ToString(in.NextToken)),
				Status: true, Running: !aws.ToBool(in.IncludeAllInstances),
			})
			if err != nil {
				return nil, err
			}
			out := &ec2.DescribeInstanceStatusOutput{InstanceStatuses: []types.InstanceStatus{}, NextToken: awsapi.Optional(next)}
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
		summary.Details = []types.InstanceStatusDetails{{Name: types.StatusNameReachability, Status: types.StatusType(reachability)}}
	}
	return types.InstanceStatus{
		InstanceId:       &i.ID,
		AvailabilityZone: &i.Zone,
		InstanceState:    state(i.State),
		InstanceStatus:   summary,
		SystemStatus:     summary,
	}
}

func (a api) terminateInstances() awsapi.Operation {
	return awsapi.Row[ec2.TerminateInstancesInput, ec2.TerminateInstancesOutput]{
		Name:    "TerminateInstances",
		Action:  "ec2:TerminateInstances",
		Accepts: []string{"InstanceIds", "DryRun"},
		Touches: func(_ context.Context, scope awsapi.Scope, in *ec2.TerminateInstancesInput) (awsapi.Touch, error) {
			resources, err := instancesOf(scope, in.InstanceIds, "InstanceId")
			return awsapi.Touch{Resources: resources}, err
		},
		Do: func(ctx context.Context, pass gate.Pass, in *ec2.TerminateInstancesInput) (*ec2.TerminateInstancesOutput, error) {
			changes, err := a.instances.Terminate(ctx, pass, in.InstanceIds)
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
