package ec2

import (
	"context"
	"iter"
	"maps"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/sallyport/sallyport/internal/awsapi"
	"github.com/sallyport/sallyport/internal/gate"
	"github.com/sallyport/sallyport/internal/policy"
	"github.com/sallyport/sallyport/internal/resource"
)

func (a api) createTags() awsapi.Operation {
	return awsapi.Row[ec2.CreateTagsInput, ec2.CreateTagsOutput]{
		Name:    "CreateTags",
		Action:  "ec2:CreateTags",
		Accepts: []string{"Resources", "Tags", "DryRun"},
		Asks: func(_ context.Context, scope awsapi.Scope, in *ec2.CreateTagsInput) ([]gate.Ask, error) {
			return a.tagAsks(scope, in.Resources, in.Tags)
		},
		Write: func(tx *gate.Tx, in *ec2.CreateTagsInput) (*ec2.CreateTagsOutput, error) {
			return &ec2.CreateTagsOutput{}, a.tags.Set(tx, in.Resources, maps.Collect(each(in.Tags)))
		},
	}.Operation()
}

func (a api) deleteTags() awsapi.Operation {
	return awsapi.Row[ec2.DeleteTagsInput, ec2.DeleteTagsOutput]{
		Name:    "DeleteTags",
		Action:  "ec2:DeleteTags",
		Accepts: []string{"Resources", "Tags", "DryRun"},
		Asks: func(ctx context.Context, scope awsapi.Scope, in *ec2.DeleteTagsInput) ([]gate.Ask, error) {
			asks, err := a.tagAsks(scope, in.Resources, in.Tags)
			if err == nil && len(in.Tags) == 0 {
				err = a.everyTag(ctx, asks)
			}
			return asks, err
		},
		Write: func(tx *gate.Tx, in *ec2.DeleteTagsInput) (*ec2.DeleteTagsOutput, error) {
			var matches []resource.TagMatch
			for _, t := range in.Tags {
				matches = append(matches, resource.TagMatch{Key: aws.ToString(t.Key), Value: t.Value})
			}
			return &ec2.DeleteTagsOutput{}, a.tags.Delete(tx, in.Resources, matches)
		},
	}.Operation()
}

func (a api) describeTags() awsapi.Operation {
	return awsapi.Row[ec2.DescribeTagsInput, ec2.DescribeTagsOutput]{
		Name:    "DescribeTags",
		Action:  "ec2:DescribeTags",
		Accepts: []string{"Filters", "MaxResults", "NextToken", "DryRun"},
		Read: func(ctx context.Context, pass gate.Pass, in *ec2.DescribeTagsInput) (*ec2.DescribeTagsOutput, error) {
			page, err := awsapi.Page(in.MaxResults, in.NextToken, nil)
			if err != nil {
				return nil, err
			}
			found, next, err := a.tags.List(ctx, pass, filters(in.Filters), page)
			if err != nil {
				return nil, err
			}
			out := &ec2.DescribeTagsOutput{Tags: []types.TagDescription{}, NextToken: awsapi.Optional(next)}
			for _, t := range found {
				out.Tags = append(out.Tags, types.TagDescription{
					ResourceId: &t.ResourceID, ResourceType: types.ResourceType(t.Kind), Key: &t.Key, Value: &t.Value,
				})
			}
			return out, nil
		},
	}.Operation()
}

// tagAsks returns an ask about each resource, with the tags as aws:RequestTag/KEY and aws:TagKeys.
func (a api) tagAsks(scope awsapi.Scope, ids []string, tags []types.Tag) ([]gate.Ask, error) {
	if err := resource.CheckTaggable(ids); err != nil {
		return nil, err
	}
	keys, err := awsapi.RequestTags(each(tags))
	asks := a.asks(scope, ids)
	for i := range asks {
		asks[i].Keys = keys
	}
	return asks, err
}

func each(tags []types.Tag) iter.Seq2[string, string] {
	return func(yield func(key, value string) bool) {
		for _, t := range tags {
			if !yield(aws.ToString(t.Key), aws.ToString(t.Value)) {
				return
			}
		}
	}
}

// everyTag completes the asks of a request that names no tags and so deletes all: each ask gets the keys of its
// resource's tags. If aws:TagKeys were missing, ForAllValues would hold, and a caller who may delete one tag could
// delete the tags that the rights of others depend on.
func (a api) everyTag(ctx context.Context, asks []gate.Ask) error {
	for i := range asks {
		tags, err := a.tags.ResourceTags(ctx, asks[i].ARN)
		if err != nil {
			return err
		}
		if len(tags) > 0 {
			asks[i].Keys = policy.Keys{"aws:tagkeys": slices.Sorted(maps.Keys(tags))}
		}
	}
	return nil
}
