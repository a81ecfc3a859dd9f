package awsapi

import (
	"github.com/sallyport/sallyport/internal/fault"
	"github.com/sallyport/sallyport/internal/page"
)

// The smallest and the largest page that a caller of EC2 may ask for. The largest is the default.
const (
	minPage = 5
	maxPage = 1000
)

// Page returns the page that a request's MaxResults and NextToken ask for. ids are those that the request names,
// whose resources are not paged. Errors are Invalid faults with Subject PageSize, or Parameters if ids are combined
// with the others.
func Page(maxResults *int32, nextToken *string, ids []string) (page.Page, error) {
	p := page.Page{Size: maxPage}
	if nextToken != nil {
		p.Token = *nextToken
	}
	if len(ids) > 0 && (maxResults != nil || p.Token != "") {
		return p, fault.New(fault.Invalid, fault.Parameters, "The parameter instancesSet cannot be used with the parameter "+
			"maxResults or nextToken. Leave out one of them.")
	}
	if maxResults != nil {
		p.Size = int(*maxResults)
	}
	if p.Size < minPage || p.Size > maxPage {
		return p, fault.New(fault.Invalid, fault.PageSize,
			"Value ( %d ) for parameter maxResults is invalid. Expecting a value from %d to %d.", p.Size, minPage, maxPage)
	}
	return p, nil
}
