// Package page splits long listings into pages and makes the tokens that continue them. A token holds a position in
// the listing. It is bound to the listing's query, so that no other listing accepts it. It is not a secret and grants
// nothing: the policies decide what its holder may read.
package page

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/internal/fault"
)

// maxToken limits a token, in bytes. Ours are shorter: the longest holds the name and the ARN of an IAM policy.
const maxToken = 4096

// bindingSize is the number of bytes of the query's hash in a token.
const bindingSize = 12

// Cut returns the page of things that token asks for, and the token of the next page, which is empty on the last one.
// A page has at most size things, and size is at least one. The things must be sorted by key, and no two may have the
// same. query is as for Token, and errors are as for Position. Between two pages, a thing that is added or removed
// may or may not be returned; every other thing is returned exactly once.
func Cut[T any](things []T, key func(T) string, size int, token string, query any) (cut []T, next string, err error) {
	var after *string
	if err := Position(token, query, &after); err != nil {
		return nil, "", err
	}
	if after != nil {
		start, found := slices.BinarySearchFunc(things, *after, func(thing T, after string) int {
			return strings.Compare(key(thing), after)
		})
		if found {
			start++
		}
		things = things[start:]
	}
	if len(things) <= size {
		return things, "", nil
	}
	return things[:size], Token(query, key(things[size-1])), nil
}

// Token returns the token of the page that begins after position. query is everything that the listing depends on
// except the size of a page, which may change from page to page. Token panics if encoding/json cannot encode both.
func Token(query, position any) string {
	text, err := json.Marshal(position)
	if err != nil {
		panic("page: a position that is not JSON: " + err.Error())
	}
	return base64.RawURLEncoding.EncodeToString(append(binding(query), text...))
}

// Position decodes the token into position, a pointer. An empty token means the first page and leaves position alone.
// A token that was not made here, or was made for another query, is an Invalid fault with Subject PageToken.
func Position(token string, query, position any) error {
	if token == "" {
		return nil
	}
	bad := fault.New(fault.Invalid, fault.PageToken, "The page token is not one of this listing's. "+
		"Pass the token exactly as it was returned, with the same filters, or leave it out to begin at the first page.")
	if len(token) > maxToken {
		return bad
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if err != nil || len(raw) < bindingSize || !bytes.Equal(raw[:bindingSize], binding(query)) {
		return bad
	}
	if err := json.Unmarshal(raw[bindingSize:], position); err != nil {
		bad.Cause = err
		return bad
	}
	return nil
}

func binding(query any) []byte {
	text, err := json.Marshal(query)
	if err != nil {
		panic("page: a query that is not JSON: " + err.Error())
	}
	sum := sha256.Sum256(text)
	return sum[:bindingSize]
}

// Page asks for a part of a listing.
type Page struct {
	Size  int    // the maximum number of items
	Token string // from the previous page; empty for the first
}
