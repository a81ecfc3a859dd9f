package ec2

import (
	"context"
	"maps"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/sallyport/sallyport/internal/awsapi"
	"github.com/sallyport/sallyport/internal/compute"
	"github.com/sallyport/sallyport/internal/fault"
	"github.com/sallyport/sallyport/internal/gate"
	"github.com/sallyport/sallyport/internal/policy"
)

func (a api) createTags() awsapi.Operation {
	return awsapi.Row[ec2.CreateTagsInput, ec2.CreateTagsOutput]{
		Name:    "CreateTags",
		Action:  "ec2:CreateTags",
		Accepts: []string{"Resources", "Tags", "DryRun"},
		Touches: func(_ context.Context, scope awsapi.Scope, in *ec2.CreateTagsInput) (awsapi.Touch, error) {
			return a.touchTags(scope, in.Resources, in.Tags)
		},
		Do: func(ctx context.Context, pass gate.Pass, in *ec2.CreateTagsInput) (*ec2.CreateTagsOutput, error) {
			set := map[string]string{}
			for _, t := range in.Tags {
				set[aws.ToString(t.Key)] = aws.ToString(t.Value)
			}
			return &ec2.CreateTagsOutput{}, a.instances.Tag(ctx, pass, in.Resources, set)
		},
	}.Operation()
}

func (a api) deleteTags() awsapi.Operation {
	return awsapi.Row[ec2.DeleteTagsInput, ec2.DeleteTagsOutput]{
		Name:    "DeleteTags",
		Action:  "ec2:DeleteTags",
		Accepts: []string{"Resources", "Tags", "DryRun"},
		Touches: func(ctx context.Context, scope awsapi.Scope, in *ec2.DeleteTagsInput) (awsapi.Touch, error) {
			touch, err := a.touchTags(scope, in.Resources, in.Tags)
			if err == nil && len(in.Tags) == 0 {
				touch.Conditions, err = a.everyTag(ctx, touch.Resources)
			}
			return touch, err
		},
		Do: func(ctx context.Context, pass gate.Pass, in *ec2.DeleteTagsInput) (*ec2.DeleteTagsOutput, error) {
			var matches []compute.TagMatch
			for _, t := range in.Tags {
				matches = append(matches, compute.TagMatch{Key: aws.ToString(t.Key), Value: t.Value})
			}
			return &ec2.DeleteTagsOutput{}, a.instances.Untag(ctx, pass, in.Resources, matches)
		},
	}.Operation()
}

func (a api) describeTags() awsapi.Operation {
	return awsapi.Row[ec2.DescribeTagsInput, ec2.DescribeTagsOutput]{
		Name:     "DescribeTags",
		Action:   "ec2:DescribeTags",
		ReadOnly: true,
		Accepts:  []string{"Filters", "MaxResults", "NextToken", "DryRun"},
		Do: func(ctx context.Context, pass gate.Pass, in *ec2.DescribeTagsInput) (*ec2.DescribeTagsOutput, error) {
			found, next, err := a.instances.Tags(ctx, pass, filters(in.Filters), compute.PageOf(in.MaxResults, aws.ToString(in.NextToken)))
			if err != nil {
				return nil, err
			}
			out := &ec2.DescribeTagsOutput{Tags: []types.TagDescription{}, NextToken: awsapi.Optional(next)}
			for _, t := range found {
				out.Tags = append(out.Tags, types.TagDescription{
					ResourceId: &t.ResourceID, ResourceType: types.ResourceType(t.ResourceType), Key: &t.Key, Value: &t.Value,
				})
			}
			return out, nil
		},
	}.Operation()
}

// touchTags asks about every resource, and about the tags themselves by aws:RequestTag/KEY and aws:TagKeys.
func (a api) touchTags(scope awsapi.Scope, ids []string, tags []types.Tag) (awsapi.Touch, error) {
	if err := checkTaggable(ids); err != nil {
		return awsapi.Touch{}, err
	}
	conditions, err := awsapi.RequestTags(func(yield func(key, value string) bool) {
		for _, t := range tags {
			if !yield(aws.ToString(t.Key), aws.ToString(t.Value)) {
				return
			}
		}
	})
	return awsapi.Touch{Resources: a.resources(scope, ids), Conditions: conditions}, err
}

// everyTag is what policies are asked about for a request that names no tags to delete and so deletes all. A
// missing aws:TagKeys would satisfy ForAllValues, and who may delete one tag would delete those that others' rights
// hang on.
func (a api) everyTag(ctx context.Context, resources []gate.Resource) (policy.Keys, error) {
	var keys []string
	for _, r := range resources {
		tags, err := a.instances.ResourceTags(ctx, r.ARN)
		if err != nil {
			return nil, err
		}
		keys = slices.AppendSeq(keys, maps.Keys(tags))
	}
	if len(keys) == 0 {
		return nil, nil
	}
	slices.Sort(keys)
	return policy.Keys{"aws:tagkeys": slices.Compact(keys)}, nil
}

// checkTaggable refuses what is not the id of an instance in a request that tags: there is nothing else here.
func checkTaggable(ids []string) error {
	if len(ids) == 0 {
		return fault.New(fault.Missing, "resourceIdSet", "The request must contain the parameter resourceIdSet.")
	}
	for _, id := range ids {
		if !compute.ValidInstanceID(id) {
			return fault.New(fault.Invalid, "resource-id",
				"The ID '%s' is not valid. Give the whole ID of an instance, i- and 17 hex digits.", id)
		}
	}
	return checkIDs(ids)
}
