package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/sallyport/sallyport/internal/awsapi/sallyport"
)

// describeHost returns the report of the host's agent. It returns a zero Host and no error if the server does not have
// the operation, as AWS does not.
func describeHost(ctx context.Context, config aws.Config, instanceID string) (sallyport.Host, error) {
	in := &sallyport.DescribeHostsInput{InstanceIds: []string{instanceID}}
	out, err := sallyport.NewFromConfig(config).DescribeHosts(ctx, in)
	if errors.Is(err, sallyport.ErrNoExtension) {
		return sallyport.Host{}, nil
	}
	if err != nil {
		return sallyport.Host{}, err
	}
	if len(out.Hosts) != 1 {
		return sallyport.Host{}, fmt.Errorf("the server knows %s as an instance but reports no host", instanceID)
	}
	// Without host keys nothing would identify the machine: no session is better than a guess.
	if len(out.Hosts[0].HostKeys) == 0 {
		return sallyport.Host{}, fmt.Errorf("%s has not reported its host keys yet. Try again in a moment; "+
			"if that does not help, look at `sallyport-host status` on it", instanceID)
	}
	return out.Hosts[0], nil
}

// describeHosts returns all of the region's hosts.
func describeHosts(ctx context.Context, config aws.Config) ([]sallyport.Host, error) {
	client := sallyport.NewFromConfig(config)
	var all []sallyport.Host
	for token := ""; ; {
		out, err := client.DescribeHosts(ctx, &sallyport.DescribeHostsInput{NextToken: token, MaxResults: aws.Int32(1000)})
		if err != nil {
			return nil, err
		}
		all = append(all, out.Hosts...)
		if token = out.NextToken; token == "" {
			return all, nil
		}
	}
}
