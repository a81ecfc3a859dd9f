package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
)

// describeInstances returns all of the region's instances, page by page.
func describeInstances(ctx context.Context, config aws.Config) ([]types.Instance, error) {
	var all []types.Instance
	in := &ec2.DescribeInstancesInput{MaxResults: aws.Int32(1000)}
	pages := ec2.NewDescribeInstancesPaginator(ec2.NewFromConfig(config), in)
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, err
		}
		for _, reservation := range page.Reservations {
			all = append(all, reservation.Instances...)
		}
	}
	return all, nil
}

// resolve finds the one instance with the id or Name tag, or with an id or Name tag that begins with name, if only one
// does. It finds terminated instances by their id only.
func resolve(instances []types.Instance, name string) (types.Instance, error) {
	if name == "" {
		return types.Instance{}, fmt.Errorf("no instance is named; %s", known(instances))
	}
	alive := slices.DeleteFunc(slices.Clone(instances), func(i types.Instance) bool {
		return stateOf(i) == types.InstanceStateNameTerminated || stateOf(i) == types.InstanceStateNameShuttingDown
	})
	ways := []struct {
		what string
		from []types.Instance
		fits func(types.Instance) bool
	}{
		{"have the id", instances, func(i types.Instance) bool { return aws.ToString(i.InstanceId) == name }},
		{"are named", alive, func(i types.Instance) bool { return nameOf(i) == name }},
		{"begin with", alive, func(i types.Instance) bool {
			return strings.HasPrefix(aws.ToString(i.InstanceId), name) || strings.HasPrefix(nameOf(i), name)
		}},
	}
	for _, way := range ways {
		var found []types.Instance
		for _, instance := range way.from {
			if way.fits(instance) {
				found = append(found, instance)
			}
		}
		switch len(found) {
		case 0:
			continue
		case 1:
			return found[0], nil
		}
		return types.Instance{}, fmt.Errorf("%d instances %s %q: %s. Use an id", len(found), way.what, name, list(found))
	}
	return types.Instance{}, fmt.Errorf("no instance is %q by id, by Name tag or by the beginning of one; %s",
		name, known(alive))
}

func known(instances []types.Instance) string {
	if len(instances) == 0 {
		return "this region has none. Enroll a machine with: sallyport host-token"
	}
	return "there is " + list(instances)
}

// list returns the names of instances, with the states of those that do not run.
func list(instances []types.Instance) string {
	const few = 8
	var names []string
	for i, instance := range instances {
		if i == few {
			names = append(names, fmt.Sprintf("and %d more", len(instances)-few))
			break
		}
		var more []string
		if name := nameOf(instance); name != "" {
			more = append(more, visible(name))
		}
		if state := stateOf(instance); state != types.InstanceStateNameRunning {
			more = append(more, string(state))
		}
		text := aws.ToString(instance.InstanceId)
		if len(more) > 0 {
			text += " (" + strings.Join(more, ", ") + ")"
		}
		names = append(names, text)
	}
	return strings.Join(names, ", ")
}

func nameOf(instance types.Instance) string {
	for _, tag := range instance.Tags {
		if aws.ToString(tag.Key) == "Name" {
			return aws.ToString(tag.Value)
		}
	}
	return ""
}

func stateOf(instance types.Instance) types.InstanceStateName {
	if instance.State == nil {
		return ""
	}
	return instance.State.Name
}
