package awswire

import (
	"encoding/json"
	"io"
	"math"
	"reflect"
	"strconv"
	"time"

	"github.com/sallyport/sallyport/internal/fault"
)

// jsonReader fills structs from the tokens of a JSON text. It stops at the first mistake, and skips nothing
// that is unknown.
type jsonReader struct {
	tokens    *json.Decoder
	operation string // for messages
	values    int    // read so far
}

// document reads the whole text, which must be one object. It returns, for each of the shape's fields,
// whether it is there.
func (d *jsonReader) document(v reflect.Value, s *shape) ([]bool, error) {
	start, err := d.tokens.Token()
	if err != nil {
		return nil, err
	}
	if start != json.Delim('{') {
		return nil, fault.New(fault.Invalid, fault.Request, "The body must be a JSON object.")
	}
	set, err := d.members(v, s, "", 1)
	if err != nil {
		return nil, err
	}
	if _, err := d.tokens.Token(); err != io.EOF {
		return nil, fault.New(fault.Invalid, fault.Request, "The body goes on after its JSON object.")
	}
	return set, nil
}

// key reads the next member's name.
func (d *jsonReader) key() (string, error) {
	token, err := d.tokens.Token()
	name, _ := token.(string) // the decoder accepts only a string here
	return name, err
}

// members fills a struct from an object whose opening brace has been read.
func (d *jsonReader) members(v reflect.Value, s *shape, path string, depth int) ([]bool, error) {
	seen, set := make([]bool, len(s.fields)), make([]bool, len(s.fields))
	for d.tokens.More() {
		name, err := d.key()
		if err != nil {
			return nil, err
		}
		i, ok := s.byWire[name]
		if !ok {
			return nil, unknown(join(path, name), d.operation)
		}
		if seen[i] {
			return nil, refuse(join(path, name), "is given twice")
		}
		seen[i] = true
		f := s.fields[i]
		if set[i], err = d.value(v.Field(f.index), f.shape, join(path, name), depth); err != nil {
			return nil, err
		}
	}
	_, err := d.tokens.Token()
	return set, err
}

// value reads one value into v and reports whether there was one. null leaves v as it is and counts as absent.
func (d *jsonReader) value(v reflect.Value, s *shape, path string, depth int) (bool, error) {
	if d.values++; d.values > maxParameters {
		return false, tooMany()
	}
	if depth >= maxDepth {
		return false, refuse(path, "is nested too deep")
	}
	token, err := d.tokens.Token()
	if err != nil || token == nil {
		return false, err
	}
	v = settle(v)
	switch s.kind {
	case structure:
		if token != json.Delim('{') {
			return false, refuse(path, "must be an object")
		}
		_, err = d.members(v, s, path, depth+1)
	case list:
		if token != json.Delim('[') {
			return false, refuse(path, "must be a list")
		}
		err = d.list(v, s, path, depth+1)
	case mapping:
		if token != json.Delim('{') {
			return false, refuse(path, "must be an object")
		}
		err = d.mapping(v, s, path, depth+1)
	default:
		err = setToken(v, s.kind, path, token)
	}
	return true, err
}

func (d *jsonReader) list(v reflect.Value, s *shape, path string, depth int) error {
	filled := reflect.MakeSlice(v.Type(), 0, 0)
	for d.tokens.More() {
		element := reflect.New(v.Type().Elem()).Elem()
		at := path + "[" + strconv.Itoa(filled.Len()) + "]"
		if err := d.element(element, s.elem, at, depth); err != nil {
			return err
		}
		filled = reflect.Append(filled, element)
	}
	v.Set(filled)
	_, err := d.tokens.Token()
	return err
}

func (d *jsonReader) mapping(v reflect.Value, s *shape, path string, depth int) error {
	filled := reflect.MakeMap(v.Type())
	for d.tokens.More() {
		name, err := d.key()
		if err != nil {
			return err
		}
		key, element := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		at := join(path, name)
		if err := setText(key, text, at, name); err != nil {
			return err
		}
		if filled.MapIndex(key).IsValid() {
			return refuse(at, "is given twice")
		}
		if err := d.element(element, s.elem, at, depth); err != nil {
			return err
		}
		filled.SetMapIndex(key, element)
	}
	v.Set(filled)
	_, err := d.tokens.Token()
	return err
}

// element is like value, but refuses null.
func (d *jsonReader) element(v reflect.Value, s *shape, path string, depth int) error {
	present, err := d.value(v, s, path, depth)
	if err == nil && !present {
		return refuse(path, "must not be null")
	}
	return err
}

// setToken fills v, which is of the scalar kind k.
func setToken(v reflect.Value, k kind, path string, token json.Token) error {
	switch k {
	case text, blob:
		value, ok := token.(string)
		if !ok {
			return refuse(path, "must be a string")
		}
		return setText(v, k, path, value)
	case boolean:
		value, ok := token.(bool)
		if !ok {
			return refuse(path, "must be true or false")
		}
		v.SetBool(value)
	case integer, float:
		number, ok := token.(json.Number)
		if !ok {
			return refuse(path, "must be a number")
		}
		return setText(v, k, path, number.String())
	case timestamp:
		t, ok := epoch(token)
		if !ok {
			return refuse(path, "must be a time in seconds since 1970")
		}
		v.Set(reflect.ValueOf(t))
	}
	return nil
}

// epoch reads seconds since 1970, to the millisecond, in the years 1 to 9999.
func epoch(token json.Token) (time.Time, bool) {
	number, ok := token.(json.Number)
	if !ok {
		return time.Time{}, false
	}
	seconds, err := number.Float64()
	if err != nil || seconds < -62135596800 || seconds >= 253402300800 {
		return time.Time{}, false
	}
	return time.UnixMilli(int64(math.Round(seconds * 1000))).UTC(), true
}
