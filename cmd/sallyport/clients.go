package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/smithy-go"

	"github.com/sallyport/sallyport/internal/awsprofile"
)

// connection has the flags by which a client command finds the API. All are optional: like every AWS client, the
// commands take what is missing from the environment and the AWS profile. The profile sallyport is used if it exists
// and neither AWS_PROFILE nor AWS_ACCESS_KEY_ID is set.
type connection struct {
	Profile     string `help:"AWS profile (default: the environment's, else sallyport if it exists)." group:"Connection:"`
	Region      string `help:"Region (default: the profile's)." group:"Connection:"`
	EndpointURL string `name:"endpoint-url" help:"Address of the API (default: the profile's)." group:"Connection:"`
}

// config returns region, credentials and endpoint.
func (c connection) config(ctx context.Context) (aws.Config, error) {
	options := []func(*awsconfig.LoadOptions) error{
		awsconfig.WithAppID("sallyport/" + strings.TrimPrefix(version, "v")),
	}
	if profile := c.profile(); profile != "" {
		options = append(options, awsconfig.WithSharedConfigProfile(profile))
	}
	if c.Region != "" {
		options = append(options, awsconfig.WithRegion(c.Region))
	}
	config, err := awsconfig.LoadDefaultConfig(ctx, options...)
	if err != nil {
		return aws.Config{}, fmt.Errorf("read the AWS configuration: %w", err)
	}
	if c.EndpointURL != "" {
		config.BaseEndpoint = aws.String(c.EndpointURL)
	}
	if config.Region == "" {
		return aws.Config{}, errors.New(
			"no region is set: give --region, or a profile that has one (sallyport configure writes it)")
	}
	return config, nil
}

// profile returns the profile to use; "" leaves the choice to the AWS SDK.
func (c connection) profile() string {
	if c.Profile != "" {
		return c.Profile
	}
	for _, name := range []string{"AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_ACCESS_KEY_ID"} {
		if os.Getenv(name) != "" {
			return ""
		}
	}
	if _, ok := awsprofile.FromEnvironment().Read(defaultProfile); ok {
		return defaultProfile
	}
	return ""
}

// explain returns the text of an error of the API: its code and message, without the SDK's details.
func explain(err error) string {
	var answer smithy.APIError
	if errors.As(err, &answer) {
		var operation *smithy.OperationError
		if errors.As(err, &operation) {
			return fmt.Sprintf("%s: %s (%s)", operation.OperationName, answer.ErrorMessage(), answer.ErrorCode())
		}
		return fmt.Sprintf("%s (%s)", answer.ErrorMessage(), answer.ErrorCode())
	}
	var sending *smithy.OperationError
	if errors.As(err, &sending) {
		text := err.Error()
		switch {
		case strings.Contains(text, "connection refused"), strings.Contains(text, "dial tcp"),
			strings.Contains(text, "i/o timeout"):
			return fmt.Sprintf("%s: the API does not answer: %v\n"+
				"Is the control plane running, and is the profile's endpoint_url right? "+
				"See: sallyport up, sallyport configure --help", sending.OperationName, innermost(sending))
		case strings.Contains(text, "certificate"):
			return fmt.Sprintf("%s: %v\nSet ca_bundle in the profile, or AWS_CA_BUNDLE, to the control plane's ca.pem.",
				sending.OperationName, innermost(sending))
		case strings.Contains(text, "credentials"):
			return fmt.Sprintf("%s: no credentials were found: %v\n"+
				"Name a profile by --profile or AWS_PROFILE. See: sallyport configure --help",
				sending.OperationName, innermost(sending))
		}
	}
	return err.Error()
}

// innermost unwraps an error until it finds one without a single cause.
func innermost(err error) error {
	for {
		next := errors.Unwrap(err)
		if next == nil {
			return err
		}
		err = next
	}
}
