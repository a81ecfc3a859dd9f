package controlplane

import (
	"context"
	"strings"

	"github.com/sallyport/sallyport/internal/gate"
)

// tags finds a resource's tags in the room that keeps the resource.
type tags struct{ iam, ec2 gate.Tags }

// ResourceTags implements gate.Tags.
func (t tags) ResourceTags(ctx context.Context, arn string) (map[string]string, error) {
	if strings.HasPrefix(arn, "arn:aws:iam:") {
		return t.iam.ResourceTags(ctx, arn)
	}
	return t.ec2.ResourceTags(ctx, arn)
}
