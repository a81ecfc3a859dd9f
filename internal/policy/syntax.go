package policy

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/sallyport/sallyport/internal/fault"
)

// node is a JSON value with its place in the document. It keeps all members of an object, while encoding/json
// silently takes the last of two members with the same name.
type node struct {
	path    string // "Statement[2].Condition.StringLike"; empty for the whole document
	kind    nodeKind
	text    string // of a scalar: the string, the number as written, "true" or "false"
	members []member
	items   []node
}

type member struct {
	name  string
	value node
}

type nodeKind string

const (
	object  nodeKind = "an object"
	list    nodeKind = "a list"
	text    nodeKind = "a string"
	number  nodeKind = "a number"
	boolean nodeKind = "true or false"
	null    nodeKind = "null"
)

// maxDepth limits nesting. A policy needs five levels.
const maxDepth = 8

// malformed returns the fault for a mistake at path. All errors of Parse are of this kind.
func malformed(path, format string, args ...any) error {
	where := ""
	if path != "" {
		where = "in " + path + ": "
	}
	return fault.New(fault.Invalid, fault.PolicyDocument, "The policy document is malformed: %s%s",
		where, fmt.Sprintf(format, args...))
}

func (n node) malformed(format string, args ...any) error { return malformed(n.path, format, args...) }

// readJSON parses source, which must be exactly one JSON value.
func readJSON(source string) (node, error) {
	if !utf8.ValidString(source) {
		return node{}, malformed("", "it is not UTF-8 text.")
	}
	decoder := json.NewDecoder(strings.NewReader(source))
	decoder.UseNumber()
	root, err := readNode(decoder, "", 0)
	if err != nil {
		return node{}, notJSON(err, source, decoder.InputOffset())
	}
	switch _, err := decoder.Token(); {
	case errors.Is(err, io.EOF): // the document ends where it should
		return root, nil
	case err != nil:
		return node{}, notJSON(err, source, decoder.InputOffset())
	}
	return node{}, malformed("", "there is more text after its end.")
}

// notJSON translates readNode's error. offset is how much of source was read.
func notJSON(err error, source string, offset int64) error {
	var ours *fault.Error
	switch {
	case errors.As(err, &ours):
		return err
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return malformed("", "it ends too early; is a bracket or quote not closed?")
	}
	before := source[:min(int(offset), len(source))]
	return malformed("", "it is not JSON after line %d: %v.", 1+strings.Count(before, "\n"), err)
}

func readNode(decoder *json.Decoder, path string, depth int) (node, error) {
	if depth > maxDepth {
		return node{}, malformed(path, "it is nested too deeply.")
	}
	token, err := decoder.Token()
	if err != nil {
		return node{}, err
	}
	n := node{path: path}
	switch token := token.(type) {
	case string:
		n.kind, n.text = text, token
	case json.Number:
		n.kind, n.text = number, token.String()
	case bool:
		n.kind, n.text = boolean, fmt.Sprint(token)
	case json.Delim:
		if token == '{' {
			return readObject(decoder, n, depth)
		}
		return readList(decoder, n, depth)
	default:
		n.kind = null
	}
	return n, nil
}

func readObject(decoder *json.Decoder, n node, depth int) (node, error) {
	n.kind = object
	seen := map[string]bool{}
	for decoder.More() {
		token, err := decoder.Token()
		if err != nil {
			return node{}, err
		}
		name, ok := token.(string)
		if !ok {
			return node{}, n.malformed("a name must be a string.")
		}
		if seen[name] {
			return node{}, n.malformed("%q is there twice; each may be there once.", name)
		}
		seen[name] = true
		value, err := readNode(decoder, join(n.path, name), depth+1)
		if err != nil {
			return node{}, err
		}
		n.members = append(n.members, member{name, value})
	}
	_, err := decoder.Token()
	return n, err
}

func readList(decoder *json.Decoder, n node, depth int) (node, error) {
	n.kind = list
	for decoder.More() {
		item, err := readNode(decoder, fmt.Sprintf("%s[%d]", n.path, len(n.items)+1), depth+1)
		if err != nil {
			return node{}, err
		}
		n.items = append(n.items, item)
	}
	_, err := decoder.Token()
	return n, err
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

// oneOrMore returns the items of a list, or the value itself: IAM accepts one value in place of a list of one.
func (n node) oneOrMore() []node {
	if n.kind == list {
		return n.items
	}
	return []node{n}
}

// str returns the node's text. It is an error if the node is not a string.
func (n node) str() (string, error) {
	if n.kind != text {
		return "", n.malformed("expected a string, not %s.", n.kind)
	}
	return n.text, nil
}
