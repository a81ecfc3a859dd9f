package compute

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/internal/fault"
	"github.com/sallyport/sallyport/internal/gate"
)

// Regions returns the regions of the names, or all if there are none, that match the filters, in the
// configured order.
func (s *Service) Regions(_ context.Context, pass gate.Pass, names []string, filters []Filter) ([]Region, error) {
	if err := pass.Check(); err != nil {
		return nil, err
	}
	regions := slices.Clone(s.regions)
	for _, name := range names {
		if !slices.ContainsFunc(regions, func(r Region) bool { return r.Name == name }) {
			return nil, fault.New(fault.Invalid, "region-name", "Invalid region provided: [%s]", name)
		}
	}
	if len(names) > 0 {
		regions = slices.DeleteFunc(regions, func(r Region) bool { return !slices.Contains(names, r.Name) })
	}
	return filter(regions, filters, func(r Region, name string) ([]string, bool) {
		switch name {
		case "region-name":
			return []string{r.Name}, true
		case "opt-in-status":
			return []string{"opt-in-not-required"}, true
		}
		return nil, false
	})
}

// Zone is an availability zone.
type Zone struct {
	Region string
	Name   string // "on-prem-1a"
	ID     string // "on-prem-1-az1"
}

// Zones returns the zones of the pass's region: those of the names and ids, or all, that match the filters.
func (s *Service) Zones(_ context.Context, pass gate.Pass, names, ids []string, filters []Filter) ([]Zone, error) {
	if err := pass.Check(); err != nil {
		return nil, err
	}
	all := s.zones(pass.Region())
	for _, name := range names {
		if !slices.ContainsFunc(all, func(z Zone) bool { return z.Name == name }) {
			return nil, fault.New(fault.Invalid, "zone", "Invalid availability zone: [%s]. This region has: %s.", name, zoneNames(all))
		}
	}
	for _, id := range ids {
		if !slices.ContainsFunc(all, func(z Zone) bool { return z.ID == id }) {
			return nil, fault.New(fault.Invalid, "zone", "Invalid availability zone-id: [%s]", id)
		}
	}
	if len(names)+len(ids) > 0 {
		all = slices.DeleteFunc(all, func(z Zone) bool { return !slices.Contains(names, z.Name) && !slices.Contains(ids, z.ID) })
	}
	return filter(all, filters, func(z Zone, name string) ([]string, bool) {
		switch name {
		case "zone-name":
			return []string{z.Name}, true
		case "zone-id":
			return []string{z.ID}, true
		case "region-name", "group-name":
			return []string{z.Region}, true
		case "state":
			return []string{"available"}, true
		case "zone-type":
			return []string{"availability-zone"}, true
		case "opt-in-status":
			return []string{"opt-in-not-required"}, true
		}
		return nil, false
	})
}

// zones returns all zones of the region. Their ids are numbered in the configured order.
func (s *Service) zones(region string) []Zone {
	var zones []Zone
	for _, r := range s.regions {
		if r.Name != region {
			continue
		}
		for i, name := range r.Zones {
			zones = append(zones, Zone{Region: region, Name: name, ID: fmt.Sprintf("%s-az%d", region, i+1)})
		}
	}
	return zones
}

func zoneNames(zones []Zone) string {
	var names []string
	for _, z := range zones {
		names = append(names, z.Name)
	}
	return strings.Join(names, ", ")
}
