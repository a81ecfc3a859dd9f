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
func (s *Service) Regions(_ context.Context, pass gate.Pass, names []string, wanted []Filter) ([]Region, error) {
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
	return regionFilters().keep(regions, wanted)
}

// OptInStatus is that of every region and zone: all are open to the account.
const OptInStatus = "opt-in-not-required"

func regionFilters() filters[Region] {
	return filters[Region]{names: map[string]func(Region) []string{
		"region-name":   func(r Region) []string { return []string{r.Name} },
		"endpoint":      func(r Region) []string { return []string{r.Endpoint} },
		"opt-in-status": func(Region) []string { return []string{OptInStatus} },
	}}
}

// Zone is an availability zone.
type Zone struct {
	Region string
	Name   string // "on-prem-1a"
	ID     string // "on-prem-1-az1"
}

// Zones returns the zones of the pass's region: those of the names and ids, or all, that match the filters.
func (s *Service) Zones(_ context.Context, pass gate.Pass, names, ids []string, wanted []Filter) ([]Zone, error) {
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
	return zoneFilters().keep(all, wanted)
}

// The type and state of every zone.
const (
	ZoneType  = "availability-zone"
	ZoneState = "available"
)

func zoneFilters() filters[Zone] {
	region := func(z Zone) []string { return []string{z.Region} }
	return filters[Zone]{names: map[string]func(Zone) []string{
		"zone-name":     func(z Zone) []string { return []string{z.Name} },
		"zone-id":       func(z Zone) []string { return []string{z.ID} },
		"zone-type":     func(Zone) []string { return []string{ZoneType} },
		"state":         func(Zone) []string { return []string{ZoneState} },
		"opt-in-status": func(Zone) []string { return []string{OptInStatus} },
		"region-name":   region,
		"group-name":    region,
	}}
}

// zoneID is the id of a zone by its name; empty for a zone that is configured no more.
func (s *Service) zoneID(region, name string) string {
	for _, z := range s.zones(region) {
		if z.Name == name {
			return z.ID
		}
	}
	return ""
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
