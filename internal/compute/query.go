package compute

import (
	"context"
	"fmt"
	"net/netip"

	"github.com/sallyport/sallyport/internal/db"
	"github.com/sallyport/sallyport/internal/gate"
	"github.com/sallyport/sallyport/internal/hosts"
	"github.com/sallyport/sallyport/internal/page"
	"github.com/sallyport/sallyport/internal/resource"
)

// Query selects instances. The zero Query selects all instances of the region.
type Query struct {
	IDs     []string // only these, at most resource.MaxIDs; the query fails if one does not exist
	Filters []resource.Filter
	// Running selects running instances only, as DescribeInstanceStatus does by default.
	Running bool
	// Status selects by the filters of DescribeInstanceStatus instead of those of DescribeInstances.
	Status bool
	// Page applies to a query without IDs.
	Page page.Page
}

// Instances returns the instances of the pass's region that the query selects, in the order of query.IDs or else by id,
// and the token of the next page, which is empty on the last page. An instance that is added or removed between two
// pages may or may not appear; no other is missed or repeated. Errors are NotFound "instance", Limit "filter", and
// Invalid "filter", "ids" or "page-token".
func (s *Service) Instances(
	ctx context.Context, pass gate.Pass, query Query,
) (found []Instance, next string, err error) {
	if err := pass.Check(); err != nil {
		return nil, "", err
	}
	known := instanceFilters(pass.Account())
	if query.Status {
		known = statusFilters()
	}
	match, err := known.Match(query.Filters)
	if err != nil {
		return nil, "", err
	}
	wanted := func(i Instance) bool { return match(i) && (i.State == Running || !query.Running) }
	err = s.db.View(ctx, func(tx *db.Tx) error {
		if len(query.IDs) > 0 {
			found, err = s.named(tx, pass.Region(), query.IDs, wanted)
		} else {
			found, next, err = s.listed(tx, pass.Region(), query, wanted)
		}
		return err
	})
	return found, next, err
}

func (s *Service) named(tx *db.Tx, region string, ids []string, wanted func(Instance) bool) ([]Instance, error) {
	all, err := s.find(tx, region, ids...)
	var found []Instance
	for _, i := range all {
		if wanted(i) {
			found = append(found, i)
		}
	}
	return found, err
}

func (s *Service) listed(
	tx *db.Tx, region string, query Query, wanted func(Instance) bool,
) (found []Instance, next string, err error) {
	bound := []any{"instances", region, query.Filters, query.Running, query.Status}
	var after string
	if err := page.Position(query.Page.Token, bound, &after); err != nil {
		return nil, "", err
	}
	err = s.hosts.List(tx, region, after, func(host hosts.Host) error {
		i := s.instance(host)
		switch {
		case !wanted(i):
			return nil
		case len(found) == query.Page.Size:
			next = page.Token(bound, found[len(found)-1].ID)
			return resource.ErrEnough
		}
		found = append(found, i)
		return nil
	})
	return found, next, err
}

// instanceFilters are the filters of DescribeInstances.
func instanceFilters(account string) resource.Filters[Instance] {
	return resource.Filters[Instance]{Tags: tagsOf, Names: map[string]func(Instance) []string{
		"instance-id":          func(i Instance) []string { return []string{i.ID} },
		"reservation-id":       func(i Instance) []string { return []string{i.Reservation} },
		"owner-id":             resource.Always[Instance](account),
		"instance-state-name":  stateName,
		"instance-state-code":  stateCode,
		"state-reason-code":    func(i Instance) []string { return resource.Given(i.StateReason().Code) },
		"state-reason-message": func(i Instance) []string { return resource.Given(i.StateReason().Message) },
		"reason":               func(i Instance) []string { return []string{i.StateReason().Transition} },
		"availability-zone":    zoneName,
		"availability-zone-id": zoneID,
		"architecture":         func(i Instance) []string { return []string{i.Report.Architecture} },
		"platform-details":     resource.Always[Instance](PlatformDetails),
		"instance-type":        resource.Always[Instance](HostType),
		"tenancy":              resource.Always[Instance](Tenancy),
		"launch-time":          launchTime,
		"private-ip-address":   func(i Instance) []string { return addressText(i.Report.PrivateAddress()) },
		"ip-address":           func(i Instance) []string { return addressText(i.Report.PublicAddress()) },
		"ipv6-address":         func(i Instance) []string { return addressText(i.Report.IPv6Address()) },
		"private-dns-name":     func(i Instance) []string { return []string{i.Report.Hostname} },
		"dns-name":             func(Instance) []string { return nil }, // Sallyport gives hosts no public DNS name
		"tag-key":              resource.TagKeys(tagsOf),
	}}
}

// statusFilters are the filters of DescribeInstanceStatus.
func statusFilters() resource.Filters[Instance] {
	status := func(i Instance) []string { status, _ := i.Health(); return []string{status} }
	reachability := func(i Instance) []string { _, reachability := i.Health(); return resource.Given(reachability) }
	return resource.Filters[Instance]{Names: map[string]func(Instance) []string{
		"instance-state-name":          stateName,
		"instance-state-code":          stateCode,
		"availability-zone":            zoneName,
		"availability-zone-id":         zoneID,
		"instance-status.status":       status,
		"instance-status.reachability": reachability,
		"system-status.status":         status,
		"system-status.reachability":   reachability,
	}}
}

func launchTime(i Instance) []string {
	return []string{i.Enrolled.UTC().Format("2006-01-02T15:04:05.000Z")}
}

func stateName(i Instance) []string { return []string{string(i.State)} }
func stateCode(i Instance) []string { return []string{fmt.Sprint(i.State.Code())} }
func zoneName(i Instance) []string  { return []string{i.Zone} }
func zoneID(i Instance) []string    { return []string{i.ZoneID} }

func tagsOf(i Instance) map[string]string { return i.Tags }

func addressText(a netip.Addr) []string {
	if !a.IsValid() {
		return nil
	}
	return []string{a.String()}
}
