package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/sallyport/sallyport/internal/awsapi/sallyport"
)

type hostsCommand struct {
	connection
	Output string `enum:"text,json" default:"text" help:"text, or json."`
}

// Help returns the text of sallyport hosts --help.
func (hostsCommand) Help() string {
	return `A host is running while its agent is linked to the control plane, stopped while it is not. The lines below the
table say why pushed keys do not work on a host, or soon will not.

  sallyport hosts
  sallyport hosts --output json | jq -r '.[] | select(.State=="running").InstanceId'

AWS's own view of the same:
  aws --profile sallyport ec2 describe-instances`
}

// hostRow is a host with its name. The name is a tag, so EC2 reports it.
type hostRow struct {
	Name string `json:"Name,omitempty"`
	sallyport.Host
}

func (c hostsCommand) Run(ctx context.Context, term terminal) error {
	config, err := c.config(ctx)
	if err != nil {
		return err
	}
	hosts, err := describeHosts(ctx, config)
	if err != nil {
		return err
	}
	instances, err := describeInstances(ctx, config)
	if err != nil {
		return err
	}
	names := map[string]string{}
	for _, instance := range instances {
		names[aws.ToString(instance.InstanceId)] = nameOf(instance)
	}
	rows := []hostRow{}
	for _, host := range hosts {
		rows = append(rows, hostRow{Name: names[host.InstanceId], Host: host})
	}
	if c.Output == "json" {
		text, err := json.MarshalIndent(rows, "", "  ")
		if err != nil {
			return err
		}
		_, err = fmt.Fprintln(term.out, visibleJSON(string(text)))
		return err
	}
	if len(rows) == 0 {
		fmt.Fprintf(term.err, "No hosts in %s. Enroll one with: sallyport host-token\n", config.Region)
		return nil
	}
	return printHosts(term.out, rows)
}

// printHosts prints the hosts, those that are terminated last: they can still be seen for an hour, and nothing is to be
// mended about them.
func printHosts(out io.Writer, rows []hostRow) error {
	slices.SortStableFunc(rows, func(a, b hostRow) int { return a.ended() - b.ended() })
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "ID\tNAME\tSTATE\tADDRESS\tUSERS\tSYSTEM\tSEEN")
	for _, row := range rows {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n",
			visible(row.InstanceId), dash(visible(row.Name)), visible(row.State), dash(visible(row.address())),
			dash(visible(few(row.Users))), dash(visible(row.OperatingSystem)), row.seen(time.Now()))
	}
	if err := table.Flush(); err != nil {
		return err
	}
	for _, row := range rows {
		if row.ended() == 1 {
			continue
		}
		for _, problem := range row.Problems {
			fmt.Fprintf(out, "%s: %s\n", visible(row.InstanceId), visible(problem))
		}
	}
	return nil
}

// ended is 1 for a host that is terminated, else 0.
func (r hostRow) ended() int {
	if r.State == "terminated" {
		return 1
	}
	return 0
}

func (r hostRow) address() string {
	if len(r.Addresses) == 0 {
		return ""
	}
	return net.JoinHostPort(r.Addresses[0], strconv.Itoa(int(r.SshPort)))
}

func (r hostRow) seen(now time.Time) string {
	switch {
	case r.Linked:
		return "now"
	case r.LastSeen == 0:
		return "never"
	}
	return now.Sub(time.Unix(r.LastSeen, 0)).Round(time.Second).String() + " ago"
}

// few lists some of the names.
func few(names []string) string {
	const some = 4
	if len(names) > some {
		return strings.Join(names[:some], ",") + fmt.Sprintf(",+%d", len(names)-some)
	}
	return strings.Join(names, ",")
}
