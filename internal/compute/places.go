package compute

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/internal/fault"
	"github.com/sallyport/sallyport/internal/gate"
	"github.com/sallyport/sallyport/internal/resource"
)

// Places are the regions, as the operator configured them.
type Places []Region

// Region is a place with zones.
type Region struct {
	Name     string   // "on-prem-1"
	Endpoint string   // host and port under which clients reach it
	Zones    []string // whole names: "on-prem-1a"
}

// Zone is an availability zone.
type Zone struct {
	Region string
	Name   string // "on-prem-1a"
	ID     string // "on-prem-1-az1"
}

// What EC2 says of every region and zone.
const (
	OptInStatus = "opt-in-not-required" // all are open to the account
	ZoneType    = "availability-zone"
	ZoneState   = "available"
)

// Zone implements hosts.Zones.
func (p Places) Zone(region, name string) (string, error) {
	zones := p.zones(region)
	if name == "" && len(zones) > 0 {
		return zones[0].Name, nil
	}
	if !slices.ContainsFunc(zones, func(z Zone) bool { return z.Name == name }) {
		return "", noZone(name, zones)
	}
	return name, nil
}

func noZone(name string, zones []Zone) error {
	var names []string
	for _, z := range zones {
		names = append(names, z.Name)
	}
	return fault.New(fault.Invalid, fault.Zone, "Invalid availability zone: [%s]. This region has: %s.",
		name, strings.Join(names, ", "))
}

// zones returns all zones of the region. Their ids are numbered in the configured order.
func (p Places) zones(region string) []Zone {
	var zones []Zone
	for _, r := range p {
		if r.Name != region {
			continue
		}
		for i, name := range r.Zones {
			zones = append(zones, Zone{Region: region, Name: name, ID: fmt.Sprintf("%s-az%d", region, i+1)})
		}
	}
	return zones
}

// zoneID is the id of a zone by its name; empty for a zone that is configured no more.
func (p Places) zoneID(region, name string) string {
	for _, z := range p.zones(region) {
		if z.Name == name {
			return z.ID
		}
	}
	return ""
}

var regionFilters = resource.Filters[Region]{Names: map[string]func(Region) []string{
	"region-name":   func(r Region) []string { return []string{r.Name} },
	"endpoint":      func(r Region) []string { return []string{r.Endpoint} },
	"opt-in-status": resource.Always[Region](OptInStatus),
}}

// Regions returns the regions of the names, or all if there are none, that match the filters, in the
// configured order.
func (s *Service) Regions(
	_ context.Context, pass gate.Pass, names []string, wanted []resource.Filter,
) ([]Region, error) {
	if err := pass.Check(); err != nil {
		return nil, err
	}
	regions := slices.Clone(s.places)
	for _, name := range names {
		if !slices.ContainsFunc(regions, func(r Region) bool { return r.Name == name }) {
			return nil, fault.New(fault.Invalid, fault.RegionName, "Invalid region provided: [%s]", name)
		}
	}
	if len(names) > 0 {
		regions = slices.DeleteFunc(regions, func(r Region) bool { return !slices.Contains(names, r.Name) })
	}
	return regionFilters.Keep(regions, wanted)
}

var zoneFilters = resource.Filters[Zone]{Names: map[string]func(Zone) []string{
	"zone-name":     func(z Zone) []string { return []string{z.Name} },
	"zone-id":       func(z Zone) []string { return []string{z.ID} },
	"zone-type":     resource.Always[Zone](ZoneType),
	"state":         resource.Always[Zone](ZoneState),
	"opt-in-status": resource.Always[Zone](OptInStatus),
	"region-name":   func(z Zone) []string { return []string{z.Region} },
	"group-name":    func(z Zone) []string { return []string{z.Region} },
}}

// Zones returns the zones of the pass's region: those of the names and ids, or all, that match the filters.
func (s *Service) Zones(
	_ context.Context, pass gate.Pass, names, ids []string, wanted []resource.Filter,
) ([]Zone, error) {
	if err := pass.Check(); err != nil {
		return nil, err
	}
	all := s.places.zones(pass.Region())
	for _, name := range names {
		if !slices.ContainsFunc(all, func(z Zone) bool { return z.Name == name }) {
			return nil, noZone(name, all)
		}
	}
	for _, id := range ids {
		if !slices.ContainsFunc(all, func(z Zone) bool { return z.ID == id }) {
			return nil, fault.New(fault.Invalid, fault.Zone, "Invalid availability zone-id: [%s]", id)
		}
	}
	if len(names)+len(ids) > 0 {
		all = slices.DeleteFunc(all, func(z Zone) bool {
			return !slices.Contains(names, z.Name) && !slices.Contains(ids, z.ID)
		})
	}
	return zoneFilters.Keep(all, wanted)
}
