package awsapi

import (
	"github.com/sallyport/sallyport/internal/fault"
	"github.com/sallyport/sallyport/internal/page"
)

// The sizes of a page that a caller of EC2 may ask for. It is the largest if they do not say.
const (
	minPage = 5
	maxPage = 1000
)

// Page makes a page of a request's MaxResults and NextToken. Errors are Invalid "page-size", and Invalid "parameters" for
// a page of things that are named by their ids.
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
