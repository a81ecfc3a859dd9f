package awswire

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aws/smithy-go"
)

// kind is how a Go type is carried on the wire.
type kind uint8

const (
	structure kind = iota + 1
	list
	mapping // from strings
	text    // strings and enums
	boolean
	integer
	float // finite
	blob
	timestamp
)

// shape is a Go type as a codec sees it. A pointer has the shape of what it points to.
type shape struct {
	kind   kind
	elem   *shape // of a list or a map
	fields []field
	byWire map[string]int // wire name to position in fields
	schema *smithy.Schema // of a structure; nil if it has none
}

// field is a member of a structure.
type field struct {
	name   string // in Go
	wire   string
	item   string // the name of an XML list's elements; empty for the protocol's own
	secret bool   // the trail must not show it
	index  int    // in the Go struct
	shape  *shape
}

// codec holds what the protocols share: the plans of requests and responses.
type codec struct {
	in, out *plans
	ec2     bool
}

func newCodec() codec {
	return codec{in: &plans{direction: inRequest}, out: &plans{direction: inResponse}}
}

// Prepare implements Codec.
func (c codec) Prepare(in, out reflect.Type) error {
	_, err := c.in.of(in)
	if err == nil {
		_, err = c.out.of(out)
	}
	return err
}

// plans builds the shapes of one direction and keeps them.
type plans struct {
	direction direction
	built     sync.Map // reflect.Type -> *shape
}

// of returns the shape of the type. An error is a mistake in the program: no codec carries the type.
func (p *plans) of(t reflect.Type) (*shape, error) {
	if s, ok := p.built.Load(t); ok {
		return s.(*shape), nil
	}
	draft := map[reflect.Type]*shape{}
	s, err := p.build(t, draft)
	if err != nil {
		return nil, err
	}
	for t, s := range draft {
		p.built.LoadOrStore(t, s)
	}
	return s, nil
}

// ofPointer returns the struct that in points to, and its shape.
func (p *plans) ofPointer(in any) (reflect.Value, *shape, error) {
	v := reflect.ValueOf(in)
	if v.Kind() != reflect.Pointer || v.IsNil() || v.Elem().Kind() != reflect.Struct {
		return reflect.Value{}, nil, fmt.Errorf("awswire: %T is not a pointer to a struct", in)
	}
	s, err := p.of(v.Type().Elem())
	return v.Elem(), s, err
}

// build makes a shape. draft holds the shapes that were begun, so that recursive types end.
func (p *plans) build(t reflect.Type, draft map[reflect.Type]*shape) (*shape, error) {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if s, ok := p.built.Load(t); ok {
		return s.(*shape), nil
	}
	if s, ok := draft[t]; ok {
		return s, nil
	}
	s := &shape{kind: kindOf(t)}
	draft[t] = s
	var err error
	switch s.kind {
	case 0:
		err = fmt.Errorf("awswire: values of type %s cannot be carried", t)
	case list, mapping:
		s.elem, err = p.build(t.Elem(), draft)
	case structure:
		err = p.buildFields(s, t, draft)
	}
	return s, err
}

// kindOf returns the kind of a type, or 0 if no codec carries it.
func kindOf(t reflect.Type) kind {
	switch t.Kind() {
	case reflect.Struct:
		if t == reflect.TypeFor[time.Time]() {
			return timestamp
		}
		return structure
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Uint8 {
			return blob
		}
		return list
	case reflect.Map:
		if t.Key().Kind() == reflect.String {
			return mapping
		}
	case reflect.String:
		return text
	case reflect.Bool:
		return boolean
	case reflect.Int, reflect.Int32, reflect.Int64:
		return integer
	case reflect.Float32, reflect.Float64:
		return float
	}
	return 0
}

func (p *plans) buildFields(s *shape, t reflect.Type, draft map[reflect.Type]*shape) (err error) {
	s.schema = schemaOf(t)
	model := p.direction.model(t, s.schema)
	s.byWire = map[string]int{}
	for i := range t.NumField() {
		f := t.Field(i)
		if !f.IsExported() || f.Name == "ResultMetadata" { // about the call, not part of the message
			continue
		}
		planned := field{name: f.Name, index: i}
		if err = model(&planned); err == nil {
			planned.shape, err = p.build(f.Type, draft)
		}
		if err != nil {
			return fmt.Errorf("field %s of %s: %w", f.Name, t, err)
		}
		s.byWire[planned.wire] = len(s.fields)
		s.fields = append(s.fields, planned)
	}
	return nil
}

// setNames returns the Go names of the fields marked in given, in the order of their declaration.
func (s *shape) setNames(given []bool) []string {
	var set []string
	for i, yes := range given {
		if yes {
			set = append(set, s.fields[i].name)
		}
	}
	return set
}

// settle returns the value to fill: v itself or, if v is a pointer, the new value that it then points to.
func settle(v reflect.Value) reflect.Value {
	if v.Kind() != reflect.Pointer {
		return v
	}
	v.Set(reflect.New(v.Type().Elem()))
	return v.Elem()
}

// given returns the value to write, and whether there is one. Nil is absent. In a field without a pointer, so are an
// empty string (an enum that is not set) and a zero time. A false and a 0 without a pointer are written: the SDK has
// no pointer where the API always answers.
func given(v reflect.Value) (reflect.Value, bool) {
	switch v.Kind() {
	case reflect.Pointer:
		return v.Elem(), !v.IsNil()
	case reflect.Slice, reflect.Map:
		return v, !v.IsNil()
	case reflect.String:
		return v, v.Len() > 0
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			return v, !v.IsZero()
		}
	}
	return v, true
}

// entry is an entry of a map.
type entry struct {
	key   string
	value reflect.Value
}

// entries returns the entries of a map, sorted by key.
func entries(v reflect.Value) []entry {
	var all []entry
	for key, value := range v.Seq2() {
		all = append(all, entry{key.String(), value})
	}
	slices.SortFunc(all, func(a, b entry) int { return strings.Compare(a.key, b.key) })
	return all
}
