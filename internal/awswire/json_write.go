package awswire

import (
	"reflect"
	"strconv"
	"time"
	"unicode/utf8"
)

// appendJSON appends a value. Members are in the order of their declaration in Go.
func appendJSON(b []byte, v reflect.Value, s *shape) []byte {
	switch s.kind {
	case structure:
		b = append(b, '{')
		first := true
		for _, f := range s.fields {
			value, ok := given(v.Field(f.index))
			if !ok {
				continue
			}
			if !first {
				b = append(b, ',')
			}
			first = false
			b = append(appendString(b, f.wire), ':')
			b = appendJSON(b, value, f.shape)
		}
		return append(b, '}')
	case list:
		b = append(b, '[')
		for i := range v.Len() {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendJSON(b, reflect.Indirect(v.Index(i)), s.elem)
		}
		return append(b, ']')
	case mapping:
		b = append(b, '{')
		for i, e := range entries(v) {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(appendString(b, e.key), ':')
			b = appendJSON(b, reflect.Indirect(e.value), s.elem)
		}
		return append(b, '}')
	case boolean, integer, float:
		return append(b, scalarText(v, s.kind)...)
	case timestamp:
		return strconv.AppendFloat(b, float64(v.Interface().(time.Time).UnixMilli())/1000, 'f', -1, 64)
	default:
		return appendString(b, scalarText(v, s.kind))
	}
}

// appendString appends a JSON string. What is not UTF-8 becomes U+FFFD.
func appendString(b []byte, s string) []byte {
	const hex = "0123456789abcdef"
	b = append(b, '"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b = append(b, '\\', byte(r))
		case r == '\n':
			b = append(b, '\\', 'n')
		case r < ' ':
			b = append(b, '\\', 'u', '0', '0', hex[r>>4], hex[r&15])
		default:
			b = utf8.AppendRune(b, r)
		}
	}
	return append(b, '"')
}
