package awswire

import (
	"fmt"
	"reflect"
	"strings"
	"sync"
	"time"
)

// direction tells the two tables apart: a shape has other names in a request than in a response
// ("Tag.1.Key" and "<tagSet><item><key>").
type direction string

const (
	inRequest  direction = "request"
	inResponse direction = "response"
)

// kind is how a Go type travels.
type kind uint8

const (
	structure kind = iota + 1
	list
	text // strings and enums
	boolean
	integer
	timestamp
)

// shape is a Go type as a codec sees it. A pointer has the shape of what it points to.
type shape struct {
	kind   kind
	elem   *shape // of a list
	fields []field
	byWire map[string]int // wire name to position in fields
}

// field is a member of a structure.
type field struct {
	name  string // in Go
	wire  string
	index int // in the Go struct
	shape *shape
}

// plans makes the shapes of one direction and keeps them.
type plans struct {
	direction direction
	names     table
	built     sync.Map // reflect.Type -> *shape
}

func newPlans(d direction) *plans { return &plans{direction: d, names: parseNames(names)} }

// of returns the shape of the type. The error is ours: a type no codec can carry, or an SDK type without names.
func (p *plans) of(t reflect.Type) (*shape, error) {
	if s, ok := p.built.Load(t); ok {
		return s.(*shape), nil
	}
	draft := map[reflect.Type]*shape{}
	s, err := p.build(t, draft)
	if err != nil {
		return nil, err
	}
	p.built.Store(t, s)
	return s, nil
}

// ofPointer returns the struct behind a pointer to one, with its shape.
func (p *plans) ofPointer(in any) (reflect.Value, *shape, error) {
	v := reflect.ValueOf(in)
	if v.Kind() != reflect.Pointer || v.IsNil() || v.Elem().Kind() != reflect.Struct {
		return reflect.Value{}, nil, fmt.Errorf("awswire: %T is not a pointer to a struct", in)
	}
	s, err := p.of(v.Type().Elem())
	return v.Elem(), s, err
}

// build makes a shape; draft holds those begun, so that recursive types end.
func (p *plans) build(t reflect.Type, draft map[reflect.Type]*shape) (*shape, error) {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if s, ok := draft[t]; ok {
		return s, nil
	}
	s := &shape{}
	draft[t] = s
	var err error
	switch {
	case t == reflect.TypeFor[time.Time]():
		s.kind = timestamp
	case t.Kind() == reflect.String:
		s.kind = text
	case t.Kind() == reflect.Bool:
		s.kind = boolean
	case t.Kind() == reflect.Int, t.Kind() == reflect.Int32, t.Kind() == reflect.Int64:
		s.kind = integer
	case t.Kind() == reflect.Slice:
		s.kind = list
		s.elem, err = p.build(t.Elem(), draft)
	case t.Kind() == reflect.Struct:
		s.kind = structure
		err = p.buildFields(s, t, draft)
	default:
		err = fmt.Errorf("awswire: values of type %s cannot be carried", t)
	}
	return s, err
}

func (p *plans) buildFields(s *shape, t reflect.Type, draft map[reflect.Type]*shape) error {
	renamed, err := p.names.of(p.direction, t)
	if err != nil {
		return err
	}
	s.byWire = map[string]int{}
	for i := range t.NumField() {
		f := t.Field(i)
		if !f.IsExported() || f.Name == "ResultMetadata" { // the SDK's notes about a call, not part of the message
			continue
		}
		wire := f.Name
		if name, ok := renamed[f.Name]; ok {
			wire = name
		}
		shape, err := p.build(f.Type, draft)
		if err != nil {
			return fmt.Errorf("field %s of %s: %w", f.Name, t, err)
		}
		s.byWire[wire] = len(s.fields)
		s.fields = append(s.fields, field{name: f.Name, wire: wire, index: i, shape: shape})
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

// settle returns the value to fill: v itself, or what a fresh pointer in v points to.
func settle(v reflect.Value) reflect.Value {
	if v.Kind() != reflect.Pointer {
		return v
	}
	v.Set(reflect.New(v.Type().Elem()))
	return v.Elem()
}

// given returns the value to write, and whether there is one. Nil is absent; so is, where the Go type has no
// pointer, an empty string (an enum not set) and a zero time. A false and a 0 without a pointer are written:
// the SDK has none where the API always answers.
func given(v reflect.Value) (reflect.Value, bool) {
	switch v.Kind() {
	case reflect.Pointer:
		return v.Elem(), !v.IsNil()
	case reflect.Slice:
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

// table holds the wire names that differ from the Go names, by shape: "request ec2/types.Filter". A shape of the
// SDK that is not in it is not served.
type table map[string]map[string]string

const sdk = "github.com/aws/aws-sdk-go-v2/service/"

// of returns the renamed fields of a type; none for a type that is not the SDK's, whose wire names are its Go names.
func (n table) of(d direction, t reflect.Type) (map[string]string, error) {
	service, isSDK := strings.CutPrefix(t.PkgPath(), sdk)
	if !isSDK {
		return nil, nil
	}
	key := string(d) + " " + service + "." + t.Name()
	renamed, ok := n[key]
	if !ok {
		return nil, fmt.Errorf("awswire: no names for the %s: add its operation to generate/operations.txt and run go generate", key)
	}
	return renamed, nil
}

// parseNames reads the generated text: a line a shape, "request ec2/types.Filter Values=Value".
func parseNames(text string) table {
	n := table{}
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		if len(words) < 2 {
			continue
		}
		renamed := map[string]string{}
		for _, word := range words[2:] {
			name, wire, _ := strings.Cut(word, "=")
			renamed[name] = wire
		}
		n[words[0]+" "+words[1]] = renamed
	}
	return n
}
