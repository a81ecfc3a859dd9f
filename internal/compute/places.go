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

// Region is a configured region and its zones.
type Region struct {
	Name     string   // "on-prem-1"
	Endpoint string   // HOST:PORT where clients reach it
	Zones    []string // full names: "on-prem-1a"
}

// Zone is an availability zone.
type Zone struct {
	Region string
	Name   string // "on-prem-1a"
	ID     string // "on-prem-1-az1"
}

// Values that EC2 has and that are the same for every region and zone.
const (
	OptInStatus = "opt-in-not-required" // every region is enabled for the account
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

// zones returns all zones of the region. Zone ids number them in the configured order.
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

// zoneID returns the id of the zone with the name. It is empty if the zone is no longer configured.
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

// Regions returns the regions with the names, or all regions if there are none, that match the filters, in the
// configured order. An unknown name is Invalid "region-name".
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

// Zones returns the zones of the pass's region that have one of the names or ids, or all zones if there are none, and
// match the filters. An unknown name or id is Invalid "zone".
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
