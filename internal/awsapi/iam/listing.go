package iam

import (
	"slices"
	"strings"

	"github.com/sallyport/sallyport/internal/page"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// The sizes of a page, in items.
const (
	defaultItems = 100
	maxItems     = 1000
)

// listing is a page of a list.
type listing[T any] struct {
	items     []T // never nil
	truncated bool
	marker    *string // set if truncated
}

// cut takes the page that marker and size ask for out of all the items, which come from the domain in the order of
// key, different for each. query is the operation and whatever else the list depends on. An item that is deleted
// between two pages neither hides another one nor shows one twice.
func cut[T any](all []T, key func(T) string, marker *string, size *int32, query ...string) (listing[T], error) {
	limit := defaultItems
	if size != nil {
		limit = int(*size) // in bounds, by constraints.go
	}
	var after *string
	if err := page.Position(aws.ToString(marker), query, &after); err != nil {
		return listing[T]{}, err
	}
	items := all
	if after != nil {
		start, found := slices.BinarySearchFunc(items, *after, func(item T, after string) int { return strings.Compare(key(item), after) })
		if found {
			start++
		}
		items = items[start:]
	}
	if len(items) <= limit {
		return listing[T]{items: append([]T{}, items...)}, nil
	}
	next := page.Token(query, key(items[limit-1]))
	return listing[T]{items: items[:limit], truncated: true, marker: &next}, nil
}

// each turns the items into what the wire calls them.
func each[T, Wire any](items []T, convert func(T) Wire) []Wire {
	out := make([]Wire, 0, len(items))
	for _, item := range items {
		out = append(out, convert(item))
	}
	return out
}
