package awswire

import (
	"encoding/base64"
	"reflect"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/sallyport/sallyport/internal/fault"
)

// refuse returns the fault for a parameter that cannot be read. It cuts the caller's text short.
func refuse(path, problem string) error {
	return fault.New(fault.Invalid, fault.ParameterValue, "The parameter %s %s.", short(path), problem)
}

// unknown returns the fault for a parameter that the operation does not have.
func unknown(path, operation string) error {
	return fault.New(fault.Invalid, fault.Parameter, "The parameter %s is not recognized by %s.", short(path), operation)
}

// tooMany returns the fault for a request with more than maxParameters values.
func tooMany() error {
	return fault.New(fault.Invalid, fault.Request,
		"The request has more than %d parameters. Split it into several.", maxParameters)
}

// short returns a name from a request in a form that is fit for a message.
func short(name string) string {
	if len(name) > 200 {
		name = name[:200] + "…"
	}
	for _, r := range name {
		if r <= ' ' || r > '~' {
			return strconv.QuoteToASCII(name)
		}
	}
	return name
}

// setText fills v, which is of the scalar kind k, from text as forms carry it.
func setText(v reflect.Value, k kind, path, value string) error {
	switch k {
	case text:
		if problem := textProblem(value); problem != "" {
			return refuse(path, problem)
		}
		v.SetString(value)
	case boolean:
		switch value {
		case "true", "false":
			v.SetBool(value == "true")
		default:
			return refuse(path, "must be true or false")
		}
	case integer:
		n, err := strconv.ParseInt(value, 10, v.Type().Bits())
		if err != nil || strings.HasPrefix(value, "+") {
			return refuse(path, "must be an integer of "+strconv.Itoa(v.Type().Bits())+" bits")
		}
		v.SetInt(n)
	case float:
		n, err := strconv.ParseFloat(value, v.Type().Bits())
		if err != nil || strings.Trim(value, "0123456789.eE+-") != "" {
			return refuse(path, "must be a number")
		}
		v.SetFloat(n)
	case blob:
		b, err := base64.StdEncoding.DecodeString(value)
		if err != nil {
			return refuse(path, "must be base64")
		}
		v.SetBytes(b)
	case timestamp:
		t, ok := parseTime(value)
		if !ok {
			return refuse(path, "must be a time as in 2026-11-22T02:02:10Z")
		}
		v.Set(reflect.ValueOf(t))
	}
	return nil
}

// textProblem returns why a string is refused, or "" if it is not. Neither the databases nor the trail can
// hold such text.
func textProblem(value string) string {
	switch {
	case !utf8.ValidString(value):
		return "must be valid UTF-8"
	case strings.ContainsRune(value, 0):
		return "must not contain a NUL character"
	}
	return ""
}

// parseTime reads ISO 8601, in the years that JSON and SQL can carry: 1 to 9999.
func parseTime(value string) (time.Time, bool) {
	t, err := time.Parse(time.RFC3339Nano, value)
	if err != nil || t.UTC().Year() < 1 || t.UTC().Year() > 9999 {
		return time.Time{}, false
	}
	return t.UTC(), true
}

// scalarText is the inverse of setText.
func scalarText(v reflect.Value, k kind) string {
	switch k {
	case boolean:
		return strconv.FormatBool(v.Bool())
	case integer:
		return strconv.FormatInt(v.Int(), 10)
	case float:
		return strconv.FormatFloat(v.Float(), 'f', -1, v.Type().Bits())
	case blob:
		return base64.StdEncoding.EncodeToString(v.Bytes())
	case timestamp:
		return timeText(v.Interface().(time.Time))
	default:
		return v.String()
	}
}
