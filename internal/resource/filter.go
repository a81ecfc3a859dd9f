package resource

import (
	"maps"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/internal/fault"
)

// Filter is one of a request's filters, as EC2 has them. A thing matches a filter if it matches any of the values, and
// must match every filter. In a value * stands for any number of characters, ? for one, and \ makes the next character
// literal. Case matters.
type Filter struct {
	Name   string
	Values []string
}

// The most filters of a request, and the most values of a filter.
const (
	maxFilters      = 50
	maxFilterValues = 200
)

// Filters are what things of a type can be filtered by.
type Filters[T any] struct {
	Names map[string]func(thing T) (values []string) // by the filter's name; a thing without values never matches
	Tags  func(thing T) map[string]string            // for the filter tag:KEY; nil if there is none
}

// TagKeys returns the values of the filter tag-key.
func TagKeys[T any](tags func(T) map[string]string) func(T) []string {
	return func(thing T) []string { return slices.Collect(maps.Keys(tags(thing))) }
}

// Always returns the values of a filter by a property that all things share, such as their owner.
func Always[T any](value string) func(T) []string {
	return func(T) []string { return []string{value} }
}

// Given returns the value alone, or no values if it is empty.
func Given(value string) []string {
	if value == "" {
		return nil
	}
	return []string{value}
}

// Match returns a function that reports whether a thing matches all filters of a request. An unknown filter name is
// Invalid "filter"; too many filters or values are Limit "filter".
func (f Filters[T]) Match(wanted []Filter) (func(T) bool, error) {
	if len(wanted) > maxFilters {
		return nil, fault.New(fault.Limit, fault.Filter, "A request may have at most %d filters.", maxFilters)
	}
	values := make([]func(T) []string, len(wanted))
	for i, w := range wanted {
		var ok bool
		switch values[i], ok = f.find(w.Name); {
		case !ok:
			return nil, fault.New(fault.Invalid, fault.Filter, "The filter '%s' is invalid", w.Name)
		case len(w.Values) == 0:
			return nil, fault.New(fault.Invalid, fault.Filter, "The filter '%s' needs at least one value.", w.Name)
		case len(w.Values) > maxFilterValues:
			return nil, fault.New(fault.Limit, fault.Filter, "The filter '%s' has more than %d values.",
				w.Name, maxFilterValues)
		}
	}
	return func(thing T) bool {
		for i, w := range wanted {
			if !anyMatch(w.Values, values[i](thing)) {
				return false
			}
		}
		return true
	}, nil
}

// Keep returns the things that match all filters of a request, in order. Its errors are those of Match.
func (f Filters[T]) Keep(things []T, wanted []Filter) ([]T, error) {
	match, err := f.Match(wanted)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(slices.Clone(things), func(thing T) bool { return !match(thing) }), nil
}

// find returns the function that returns the values of a thing for the named filter.
func (f Filters[T]) find(name string) (values func(thing T) []string, ok bool) {
	if key, isTag := strings.CutPrefix(name, "tag:"); isTag && f.Tags != nil {
		return func(thing T) []string {
			if value, ok := f.Tags(thing)[key]; ok {
				return []string{value}
			}
			return nil
		}, true
	}
	values, ok = f.Names[name]
	return values, ok
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

// wildcard reports whether the pattern matches the whole value. Its time is at worst the product of their lengths.
func wildcard(pattern, value string) bool {
	p, v := []rune(pattern), []rune(value)
	i, j := 0, 0
	star, resume := -1, 0 // the last * in the pattern, and where in the value its next try begins
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
