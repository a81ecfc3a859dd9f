package compute

import (
	"fmt"
	"net/netip"
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

// fields finds the values of a thing under a filter's name. ok is false for a name it does not know.
type fields[T any] func(thing T, name string) (values []string, ok bool)

// filter keeps what matches all filters, in order. An unknown filter name is an Invalid fault, Resource
// "filter", even if there is nothing to filter.
func filter[T any](things []T, filters []Filter, values fields[T]) ([]T, error) {
	if len(filters) > maxFilters {
		return nil, fault.New(fault.Invalid, "filter", "A request may have at most %d filters.", maxFilters)
	}
	for _, f := range filters {
		var zero T
		if _, ok := values(zero, f.Name); !ok {
			return nil, fault.New(fault.Invalid, "filter", "The filter '%s' is invalid", f.Name)
		}
		if len(f.Values) == 0 {
			return nil, fault.New(fault.Invalid, "filter", "The filter '%s' needs at least one value.", f.Name)
		}
		if len(f.Values) > maxFilterValues {
			return nil, fault.New(fault.Invalid, "filter", "The filter '%s' has more than %d values.", f.Name, maxFilterValues)
		}
	}
	var kept []T
	for _, thing := range things {
		if matchesAll(thing, filters, values) {
			kept = append(kept, thing)
		}
	}
	return kept, nil
}

func matchesAll[T any](thing T, filters []Filter, values fields[T]) bool {
	for _, f := range filters {
		have, _ := values(thing, f.Name)
		if !anyMatch(f.Values, have) {
			return false
		}
	}
	return true
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

// instanceFields are the filters of DescribeInstances.
func instanceFields(account string) fields[Instance] {
	return func(i Instance, name string) ([]string, bool) {
		if key, ok := strings.CutPrefix(name, "tag:"); ok {
			value, tagged := i.Tags[key]
			if !tagged {
				return nil, true
			}
			return []string{value}, true
		}
		switch name {
		case "instance-id":
			return []string{i.ID}, true
		case "reservation-id":
			return []string{i.Reservation}, true
		case "owner-id":
			return []string{account}, true
		case "instance-state-name":
			return []string{string(i.State)}, true
		case "instance-state-code":
			return []string{fmt.Sprint(i.State.Code())}, true
		case "availability-zone":
			return []string{i.Zone}, true
		case "architecture":
			return []string{i.Report.Architecture}, true
		case "platform-details":
			return []string{PlatformDetails}, true
		case "launch-time":
			return []string{i.Enrolled.UTC().Format("2006-01-02T15:04:05.000Z")}, true
		case "private-ip-address":
			return addressText(i.Report.PrivateAddress()), true
		case "ip-address":
			return addressText(i.Report.PublicAddress()), true
		case "ipv6-address":
			return addressText(i.Report.IPv6Address()), true
		case "tenancy":
			return []string{"default"}, true
		case "private-dns-name":
			return []string{i.Report.Hostname}, true
		case "dns-name":
			return nil, true // hosts have no public DNS name of ours
		case "tag-key":
			return tagKeys(i.Tags), true
		}
		return nil, false
	}
}

// statusFields are the filters of DescribeInstanceStatus.
func statusFields(i Instance, name string) ([]string, bool) {
	switch name {
	case "availability-zone", "instance-state-name", "instance-state-code":
		return instanceFields("")(i, name)
	case "instance-status.status", "system-status.status":
		status, _ := i.Health()
		return []string{status}, true
	case "instance-status.reachability", "system-status.reachability":
		_, reachability := i.Health()
		if reachability == "" {
			return nil, true
		}
		return []string{reachability}, true
	}
	return nil, false
}

// tagFields are the filters of DescribeTags.
func tagFields(t Tag, name string) ([]string, bool) {
	if key, ok := strings.CutPrefix(name, "tag:"); ok {
		if t.Key != key {
			return nil, true
		}
		return []string{t.Value}, true
	}
	switch name {
	case "key":
		return []string{t.Key}, true
	case "value":
		return []string{t.Value}, true
	case "resource-id":
		return []string{t.ResourceID}, true
	case "resource-type":
		return []string{t.ResourceType}, true
	}
	return nil, false
}

func tagKeys(tags map[string]string) []string {
	var keys []string
	for key := range tags {
		keys = append(keys, key)
	}
	return keys
}

func addressText(a netip.Addr) []string {
	if !a.IsValid() {
		return nil
	}
	return []string{a.String()}
}
