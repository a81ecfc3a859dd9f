package sallyport

import (
	"context"

	"github.com/sallyport/sallyport/internal/awsapi"
	"github.com/sallyport/sallyport/internal/compute"
	"github.com/sallyport/sallyport/internal/gate"
	"github.com/sallyport/sallyport/internal/resource"
)

// DescribeHostsInput selects hosts by their ids, or all hosts of the region, in pages.
type DescribeHostsInput struct {
	InstanceIds []string `json:",omitempty"`
	MaxResults  *int32   `json:",omitempty"` // 5 to 1,000; not with InstanceIds
	NextToken   string   `json:",omitempty"`
}

// DescribeHostsOutput is a page of hosts.
type DescribeHostsOutput struct {
	Hosts     []Host
	NextToken string `json:",omitempty"` // empty on the last page
}

// Host is what a host's agent last reported about its machine, and whether the host is linked.
type Host struct {
	InstanceId       string
	Hostname         string
	OperatingSystem  string
	Addresses        []string // where sshd can be reached, the best first
	SshPort          int32
	HostKeys         []string // "TYPE BASE64"; clients should accept these and no others
	Users            []string // local users with a login shell
	KeyTypes         []string // of public keys that sshd accepts; empty if the host does not say
	Problems         []string // sentences: why pushed keys do not work, or soon will not
	AgentVersion     string
	AvailabilityZone string
	State            string // as in DescribeInstances
	Linked           bool   // a key can be pushed now
	LastSeen         int64  // seconds since 1970; 0 for never
}

func (a api) describeHosts() awsapi.Operation {
	return awsapi.Row[DescribeHostsInput, DescribeHostsOutput]{
		Name:    "DescribeHosts",
		Action:  "sallyport:DescribeHosts",
		Accepts: []string{"InstanceIds", "MaxResults", "NextToken"},
		Asks: func(_ context.Context, scope awsapi.Scope, in *DescribeHostsInput) ([]gate.Ask, error) {
			if len(in.InstanceIds) == 0 {
				return []gate.Ask{{ARN: "*"}}, nil
			}
			var asks []gate.Ask
			for _, id := range in.InstanceIds {
				arn := resource.Instance.ARN(scope.Region, scope.Account, id)
				asks = append(asks, gate.Ask{ARN: arn, Type: resource.Instance.Type})
			}
			return asks, resource.Instance.CheckIDs(in.InstanceIds)
		},
		Read: func(ctx context.Context, pass gate.Pass, in *DescribeHostsInput) (*DescribeHostsOutput, error) {
			page, err := awsapi.Page(in.MaxResults, &in.NextToken, in.InstanceIds)
			if err != nil {
				return nil, err
			}
			found, next, err := a.instances.Instances(ctx, pass, compute.Query{IDs: in.InstanceIds, Page: page})
			if err != nil {
				return nil, err
			}
			out := &DescribeHostsOutput{Hosts: []Host{}, NextToken: next}
			for _, instance := range found {
				out.Hosts = append(out.Hosts, host(instance))
			}
			return out, nil
		},
	}.Operation()
}

func host(i compute.Instance) Host {
	h := Host{
		InstanceId: i.ID, Hostname: i.Report.Hostname, OperatingSystem: i.Report.OS, Addresses: []string{},
		SshPort: int32(i.Report.SSHPort), HostKeys: i.Report.HostKeys, Users: i.Report.Users, AgentVersion: i.Report.Version,
		KeyTypes: append([]string{}, i.Report.KeyTypes...), Problems: append([]string{}, i.Report.Problems...),
		AvailabilityZone: i.Zone, State: string(i.State), Linked: i.State == compute.Running,
	}
	if i.LinkProblem != "" {
		h.Problems = append(h.Problems, i.LinkProblem)
	}
	for _, a := range i.Report.Addresses {
		h.Addresses = append(h.Addresses, a.String())
	}
	if !i.LastSeen.IsZero() {
		h.LastSeen = i.LastSeen.Unix()
	}
	return h
}
