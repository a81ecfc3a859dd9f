package awswire

import (
	"bytes"
	"mime"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/sallyport/sallyport/internal/fault"
)

// form reads the requests of the ec2 and query protocols: "Filter.1.Value.2=x", "Tags.member.1.Key=x".
type form struct {
	version string
	member  string // between a list's name and its numbers; empty in ec2
	codec
}

// Parse takes parameters from the URL's query and from the body. A presigned GET has all of them in the query. There,
// X-Amz-Algorithm and the like belong to the signature and are not parameters.
func (f form) Parse(r *http.Request, body []byte) (*Request, error) {
	if strings.Count(r.URL.RawQuery, "&")+bytes.Count(body, []byte("&")) >= maxParameters {
		return nil, tooMany()
	}
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, fault.Wrap(err, fault.Invalid, fault.Request, "The query string cannot be read.")
	}
	for name := range values {
		if len(name) > 6 && strings.EqualFold(name[:6], "X-Amz-") {
			delete(values, name)
		}
	}
	if len(body) > 0 {
		media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
		if err != nil || media != "application/x-www-form-urlencoded" {
			return nil, fault.New(fault.Invalid, fault.Request, "The body must be of type application/x-www-form-urlencoded.")
		}
		fields, err := url.ParseQuery(string(body))
		if err != nil {
			return nil, fault.Wrap(err, fault.Invalid, fault.Request, "The body cannot be read as form parameters.")
		}
		for name, given := range fields {
			values[name] = append(values[name], given...)
		}
	}
	if version := values.Get("Version"); version != "" && version != f.version {
		return nil, fault.New(fault.Invalid, fault.Request,
			"The version %s of the API is not served here; %s is.", short(version), f.version)
	}
	operation, err := operationName(values["Action"], "The request names no Action.")
	if err != nil {
		return nil, err
	}
	delete(values, "Action")
	delete(values, "Version")
	return &Request{Operation: operation, form: values}, nil
}

// operationName returns the one operation that a request must name. none is the message for a request without one.
func operationName(given []string, none string) (string, error) {
	if len(given) == 0 || given[0] == "" {
		return "", fault.New(fault.Invalid, fault.Operation, "%s", none)
	}
	name := given[0]
	if len(given) > 1 || len(name) > 100 || strings.ContainsFunc(name, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9')
	}) {
		name = short(strings.Join(given, ","))
		return "", fault.New(fault.Invalid, fault.Operation, "%s is not the name of an operation.", name)
	}
	return name, nil
}

func (f form) Decode(request *Request, in any) ([]string, error) {
	v, shape, err := f.in.ofPointer(in)
	if err != nil {
		return nil, err
	}
	root, err := tree(request.form)
	if err != nil {
		return nil, err
	}
	d := formDecoder{member: f.member, operation: request.Operation}
	given, err := d.fields(v, shape, root, "")
	if err != nil {
		return nil, err
	}
	return shape.setNames(given), nil
}

// node is a place in the tree that the dots in the parameters' names form. It has a value or children.
type node struct {
	value    string
	given    bool
	children map[string]*node
}

// tree splits the parameters' names at their dots. Its size is proportional to theirs: a large index of a list
// costs nothing.
func tree(values url.Values) (*node, error) {
	names := make([]string, 0, len(values))
	for name := range values {
		names = append(names, name)
	}
	slices.Sort(names) // so that the same request gets the same answer
	root := &node{}
	for _, name := range names {
		if len(values[name]) > 1 {
			return nil, refuse(name, "is given twice")
		}
		if strings.Count(name, ".") >= maxDepth {
			return nil, refuse(name, "is nested too deep")
		}
		at := root
		for part := range strings.SplitSeq(name, ".") {
			next := at.children[part]
			if next == nil {
				next = &node{}
				if at.children == nil {
					at.children = map[string]*node{}
				}
				at.children[part] = next
			}
			at = next
		}
		at.value, at.given = values[name][0], true
	}
	return root, nil
}

// names returns the names of the node's children, sorted.
func (n *node) names() []string {
	names := make([]string, 0, len(n.children))
	for name := range n.children {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

type formDecoder struct {
	member    string
	operation string // for messages
}

// fields fills a struct and returns, for each of the shape's fields, whether it was given.
func (d formDecoder) fields(v reflect.Value, s *shape, n *node, path string) ([]bool, error) {
	set := make([]bool, len(s.fields))
	for _, name := range n.names() {
		i, ok := s.byWire[name]
		if !ok {
			return nil, unknown(n.children[name].full(join(path, name)), d.operation)
		}
		f := s.fields[i]
		if err := d.value(settle(v.Field(f.index)), f.shape, n.children[name], join(path, name)); err != nil {
			return nil, err
		}
		set[i] = true
	}
	return set, nil
}

func (d formDecoder) value(v reflect.Value, s *shape, n *node, path string) error {
	if n.given && n.children != nil {
		return refuse(path, "is given both as a value and in parts")
	}
	switch s.kind {
	case structure:
		if n.given {
			return refuse(path, "is a structure: give its members as "+short(path)+".NAME")
		}
		_, err := d.fields(v, s, n, path)
		return err
	case list:
		return d.list(v, s, n, path)
	case mapping:
		return d.mapping(v, s, n, path)
	}
	if !n.given {
		return unknown(n.full(path), d.operation)
	}
	return setText(v, s.kind, path, n.value)
}

func (d formDecoder) list(v reflect.Value, s *shape, n *node, path string) error {
	if n.given { // how the query protocol writes an empty list
		if n.value != "" {
			return refuse(path, "is a list: give its first element as "+join(join(short(path), d.member), "1"))
		}
		v.Set(reflect.MakeSlice(v.Type(), 0, 0))
		return nil
	}
	if d.member != "" {
		var err error
		if n, path, err = d.only(n, d.member, path); err != nil {
			return err
		}
	}
	indices, err := d.indices(n, path)
	if err != nil {
		return err
	}
	filled := reflect.MakeSlice(v.Type(), len(indices), len(indices))
	for i, index := range indices {
		name := strconv.Itoa(index)
		if err := d.value(settle(filled.Index(i)), s.elem, n.children[name], join(path, name)); err != nil {
			return err
		}
	}
	v.Set(filled)
	return nil
}

// mapping fills a map from "NAME.entry.1.key" and "NAME.entry.1.value".
func (d formDecoder) mapping(v reflect.Value, s *shape, n *node, path string) error {
	n, path, err := d.only(n, "entry", path)
	if err != nil {
		return err
	}
	indices, err := d.indices(n, path)
	if err != nil {
		return err
	}
	filled := reflect.MakeMap(v.Type())
	for _, index := range indices {
		name := strconv.Itoa(index)
		if err := d.entry(filled, s, n.children[name], join(path, name)); err != nil {
			return err
		}
	}
	v.Set(filled)
	return nil
}

// entry adds one entry to a map.
func (d formDecoder) entry(filled reflect.Value, s *shape, n *node, path string) error {
	key, value := n.children["key"], n.children["value"]
	if n.given || key == nil || value == nil || len(n.children) > 2 {
		return refuse(path, "is an entry of a map: give its key and its value as "+short(path)+".key and .value")
	}
	k, v := reflect.New(filled.Type().Key()).Elem(), reflect.New(filled.Type().Elem()).Elem()
	if err := d.value(k, &shape{kind: text}, key, join(path, "key")); err != nil {
		return err
	}
	if err := d.value(settle(v), s.elem, value, join(path, "value")); err != nil {
		return err
	}
	if filled.MapIndex(k).IsValid() {
		return refuse(path, "has a key that is given twice")
	}
	filled.SetMapIndex(k, v)
	return nil
}

// only returns the node's one child, which must have the name.
func (d formDecoder) only(n *node, name, path string) (*node, string, error) {
	child := n.children[name]
	if child == nil || len(n.children) > 1 || child.given {
		return nil, "", unknown(n.full(path), d.operation)
	}
	return child, join(path, name), nil
}

// indices returns the numbers of a list's elements, sorted. They may begin anywhere and have gaps.
func (d formDecoder) indices(n *node, path string) ([]int, error) {
	indices := make([]int, 0, len(n.children))
	for _, name := range n.names() {
		index, err := strconv.ParseInt(name, 10, 32)
		if err != nil || index < 1 || strconv.Itoa(int(index)) != name {
			return nil, unknown(n.children[name].full(join(path, name)), d.operation)
		}
		indices = append(indices, int(index))
	}
	slices.Sort(indices)
	return indices, nil
}

// full returns the name of the first parameter at or under a node, as the caller wrote it.
func (n *node) full(path string) string {
	for !n.given && n.children != nil {
		name := n.names()[0]
		n, path = n.children[name], join(path, name)
	}
	return path
}

func join(path, name string) string {
	switch {
	case path == "":
		return name
	case name == "":
		return path
	}
	return path + "." + name
}
