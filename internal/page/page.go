// Package page cuts long listings into pages, and makes the tokens by which they are read. A token holds a position
// in the listing and is bound to the query it continues, so that it cannot be taken for a place in another one. It is
// no secret and grants nothing: whoever shows it may read what their policies allow, page or no page.
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

// maxToken bounds a token, in bytes; ours are shorter: the longest holds the name and the ARN of an IAM policy.
const maxToken = 4096

// bindingSize is how many bytes of the query's hash a token carries.
const bindingSize = 12

// Cut returns the page of things that token asks for, of at most size things (one or more), and the token of the next
// page, which is empty on the last one. The things are sorted by key, and no two have the same. query is as in Token,
// and the error is Position's. A thing that comes or goes between two pages is in them or not; no other thing is missed
// or repeated.
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

// Token returns the token for the page that begins after the position. query is everything the listing depends
// on but the page's size, which may change from page to page. Both must be fit for encoding/json.
func Token(query, position any) string {
	text, err := json.Marshal(position)
	if err != nil {
		panic("page: a position that is not JSON: " + err.Error())
	}
	return base64.RawURLEncoding.EncodeToString(append(binding(query), text...))
}

// Position fills in position, a pointer, from the token. An empty token leaves it alone: that is the first
// page. A token that we did not make, or made for another query, is an Invalid fault with Subject
// "page-token".
func Position(token string, query, position any) error {
	if token == "" {
		return nil
	}
	bad := fault.New(fault.Invalid, fault.PageToken, "The page token is not one of this listing's. Pass the token exactly "+
		"as it was returned, with the same filters, or leave it out to begin at the first page.")
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
	Size  int    // the most items
	Token string // from the page before; empty for the first
}
