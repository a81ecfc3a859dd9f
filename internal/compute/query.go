package compute

import (
	"context"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/internal/fault"
	"github.com/sallyport/sallyport/internal/gate"
	"github.com/sallyport/sallyport/internal/page"
)

// MaxPage is the most a page of a listing holds, and how much it holds when the caller does not say.
const MaxPage = 1000

// minPage is the smallest page that may be asked for, as in EC2.
const minPage = 5

// Query selects instances. Its zero fields select all of the region's.
type Query struct {
	IDs     []string // these and no others, at most MaxPage; any that does not exist fails the whole query
	Filters []Filter
	// Running leaves out what is not running, as DescribeInstanceStatus does by default.
	Running bool
	// Status has the filters be DescribeInstanceStatus's instead of DescribeInstances'.
	Status bool
	Page
}

// Page asks for a part of a listing.
type Page struct {
	Size  int    // 5 to MaxPage; 0 for MaxPage
	Token string // from the page before; empty for the first
}

// PageOf makes a Page of a request's MaxResults, nil if it has none, and its token. Zero results asked for is not "as
// many as you like": it is out of bounds, as any other wrong number.
func PageOf(maxResults *int32, token string) Page {
	p := Page{Token: token}
	if maxResults != nil {
		p.Size = int(*maxResults)
		if p.Size == 0 {
			p.Size = -1
		}
	}
	return p
}

// Instances returns the instances of the pass's region that the query selects, in the order of its IDs or else by id,
// and the token of the next page, empty on the last one. Instances that come or go between pages appear or not, and no
// other one is missed or repeated. Errors are NotFound "instance", Limit "filter", and Invalid "filter", "ids",
// "page-size", "page-token" or "parameters" (IDs together with a page).
func (s *Service) Instances(ctx context.Context, pass gate.Pass, query Query) ([]Instance, string, error) {
	if err := pass.Check(); err != nil {
		return nil, "", err
	}
	all, err := s.candidates(ctx, pass, query)
	if err != nil {
		return nil, "", err
	}
	known := instanceFilters(pass.Account())
	if query.Status {
		known = statusFilters()
	}
	selected, err := known.keep(all, query.Filters)
	if err != nil {
		return nil, "", err
	}
	if query.Running {
		selected = slices.DeleteFunc(selected, func(i Instance) bool { return i.State != Running })
	}
	if len(query.IDs) > 0 {
		return selected, "", nil
	}
	bound := []any{"instances", pass.Region(), query.Filters, query.Running, query.Status}
	return cut(selected, query.Page, bound, func(i Instance) string { return i.ID })
}

// candidates reads what the filters are to be asked about.
func (s *Service) candidates(ctx context.Context, pass gate.Pass, query Query) ([]Instance, error) {
	if len(query.IDs) > 0 {
		if query.Size != 0 || query.Token != "" {
			return nil, fault.New(fault.Invalid, "parameters",
				"The parameter instancesSet cannot be used with the parameter maxResults or nextToken. Leave out one of them.")
		}
		return s.find(ctx, pass, query.IDs)
	}
	all, err := s.store.Instances(ctx, pass.Region(), s.clock.Now().Add(-TerminatedVisible))
	if err != nil {
		return nil, err
	}
	for i := range all {
		all[i] = s.withState(all[i])
	}
	return all, nil
}

// cut returns one page of things that are sorted by key, no two of one key, and the token of the next.
func cut[T any](things []T, p Page, query any, key func(T) string) ([]T, string, error) {
	size := p.Size
	if size == 0 {
		size = MaxPage
	}
	if size < minPage || size > MaxPage {
		return nil, "", fault.New(fault.Invalid, "page-size", "Value ( %d ) for parameter maxResults is invalid. Expecting a value from %d to %d.", p.Size, minPage, MaxPage)
	}
	var after string
	if err := page.Position(p.Token, query, &after); err != nil {
		return nil, "", err
	}
	start, found := slices.BinarySearchFunc(things, after, func(thing T, after string) int { return strings.Compare(key(thing), after) })
	if found {
		start++
	}
	rest := things[start:]
	if len(rest) <= size {
		return rest, "", nil
	}
	return rest[:size], page.Token(query, key(rest[size-1])), nil
}
