package compute

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/internal/fault"
)

// Filter is one of a request's filters, as EC2 has them: something matches if any of the values does, and must
// match every filter. In a value * stands for any characters, ? for one, and \ takes the next one literally;
// case counts.
type Filter struct {
	Name   string
	Values []string
}

// The most filters, and values of one filter, that a request may have.
const (
	maxFilters      = 50
	maxFilterValues = 200
)

// filters is what things of a kind can be filtered by.
type filters[T any] struct {
	names map[string]func(thing T) (values []string)  // by the filter's name
	tag   func(thing T, key string) (values []string) // of tag:KEY; nil where there is no such filter
}

// find returns the function that finds the values of a thing under the filter's name.
func (f filters[T]) find(name string) (values func(thing T) []string, ok bool) {
	if key, isTag := strings.CutPrefix(name, "tag:"); isTag && f.tag != nil {
		return func(thing T) []string { return f.tag(thing, key) }, true
	}
	values, ok = f.names[name]
	return values, ok
}

// keep returns what matches all filters, in order. An unknown filter name is an Invalid fault, Resource "filter", even
// if there is nothing to filter; too many filters or values are a Limit fault.
func (f filters[T]) keep(things []T, wanted []Filter) ([]T, error) {
	if len(wanted) > maxFilters {
		return nil, fault.New(fault.Limit, "filter", "A request may have at most %d filters.", maxFilters)
	}
	kept := slices.Clone(things)
	for _, w := range wanted {
		values, ok := f.find(w.Name)
		switch {
		case !ok:
			return nil, fault.New(fault.Invalid, "filter", "The filter '%s' is invalid", w.Name)
		case len(w.Values) == 0:
			return nil, fault.New(fault.Invalid, "filter", "The filter '%s' needs at least one value.", w.Name)
		case len(w.Values) > maxFilterValues:
			return nil, fault.New(fault.Limit, "filter", "The filter '%s' has more than %d values.", w.Name, maxFilterValues)
		}
		kept = slices.DeleteFunc(kept, func(thing T) bool { return !anyMatch(w.Values, values(thing)) })
	}
	return kept, nil
}

func anyMatch(patterns, values []string) bool {
	for _, pattern := range patterns {
		for _, value := range values {
			if wildcard(pattern, value) {
				return true
			}
		}
	}
	return false
}

// wildcard matches the whole value. It takes time in the product of the lengths at worst: no pattern blows up.
func wildcard(pattern, value string) bool {
	p, v := []rune(pattern), []rune(value)
	i, j := 0, 0
	star, resume := -1, 0 // the last * seen, and where in the value it would next try to go on
	for j < len(v) {
		switch {
		case i < len(p) && p[i] == '*':
			star, resume = i, j
			i++
			continue
		case i < len(p) && p[i] == '?':
			i++
			j++
			continue
		case i < len(p):
			width := 1
			if p[i] == '\\' && i+1 < len(p) {
				width = 2
			}
			if p[i+width-1] == v[j] {
				i += width
				j++
				continue
			}
		}
		if star < 0 {
			return false
		}
		resume++
		i, j = star+1, resume
	}
	for i < len(p) && p[i] == '*' {
		i++
	}
	return i == len(p)
}

// instanceFilters are the filters of DescribeInstances.
func instanceFilters(account string) filters[Instance] {
	return filters[Instance]{tag: instanceTag, names: map[string]func(Instance) []string{
		"instance-id":          func(i Instance) []string { return []string{i.ID} },
		"reservation-id":       func(i Instance) []string { return []string{i.Reservation} },
		"owner-id":             func(Instance) []string { return []string{account} },
		"instance-state-name":  stateName,
		"instance-state-code":  stateCode,
		"state-reason-code":    func(i Instance) []string { return given(i.StateReason().Code) },
		"state-reason-message": func(i Instance) []string { return given(i.StateReason().Message) },
		"reason":               func(i Instance) []string { return []string{i.StateReason().Transition} },
		"availability-zone":    zoneName,
		"availability-zone-id": zoneID,
		"architecture":         func(i Instance) []string { return []string{i.Report.Architecture} },
		"platform-details":     func(Instance) []string { return []string{PlatformDetails} },
		"tenancy":              func(Instance) []string { return []string{Tenancy} },
		"launch-time":          launchTime,
		"private-ip-address":   func(i Instance) []string { return addressText(i.Report.PrivateAddress()) },
		"ip-address":           func(i Instance) []string { return addressText(i.Report.PublicAddress()) },
		"ipv6-address":         func(i Instance) []string { return addressText(i.Report.IPv6Address()) },
		"private-dns-name":     func(i Instance) []string { return []string{i.Report.Hostname} },
		"dns-name":             func(Instance) []string { return nil }, // hosts have no public DNS name of ours
		"tag-key":              func(i Instance) []string { return slices.Collect(maps.Keys(i.Tags)) },
	}}
}

// statusFilters are the filters of DescribeInstanceStatus.
func statusFilters() filters[Instance] {
	status := func(i Instance) []string { status, _ := i.Health(); return []string{status} }
	reachability := func(i Instance) []string { _, reachability := i.Health(); return given(reachability) }
	return filters[Instance]{names: map[string]func(Instance) []string{
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

func instanceTag(i Instance, key string) []string {
	value, tagged := i.Tags[key]
	if !tagged {
		return nil
	}
	return []string{value}
}

// tagFilters are the filters of DescribeTags.
func tagFilters() filters[Tag] {
	ofKey := func(t Tag, key string) []string {
		if t.Key != key {
			return nil
		}
		return []string{t.Value}
	}
	return filters[Tag]{tag: ofKey, names: map[string]func(Tag) []string{
		"key":           func(t Tag) []string { return []string{t.Key} },
		"value":         func(t Tag) []string { return []string{t.Value} },
		"resource-id":   func(t Tag) []string { return []string{t.ResourceID} },
		"resource-type": func(t Tag) []string { return []string{t.ResourceType} },
	}}
}

// given returns the value, none if it is empty.
func given(value string) []string {
	if value == "" {
		return nil
	}
	return []string{value}
}

func addressText(a netip.Addr) []string {
	if !a.IsValid() {
		return nil
	}
	return []string{a.String()}
}
