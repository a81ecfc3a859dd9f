package controlplane

import (
	"context"
	"strings"

	"github.com/sallyport/sallyport/internal/gate"
)

// tags finds a resource's tags in the room that keeps the resource.
type tags struct{ identities, instances gate.Tags }

// ResourceTags implements gate.Tags.
func (t tags) ResourceTags(ctx context.Context, arn string) (map[string]string, error) {
	if strings.HasPrefix(arn, "arn:aws:iam:") {
		return t.identities.ResourceTags(ctx, arn)
	}
	return t.instances.ResourceTags(ctx, arn)
}
