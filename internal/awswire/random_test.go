package awswire_test

import (
	"reflect"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

// draw sets v to any value that a client or the server can send. It may leave v unset unless must is true.
func draw(t *rapid.T, v reflect.Value, must bool, depth int) {
	if !must && (depth > 12 || rapid.IntRange(0, 3).Draw(t, "absent") == 0) {
		return
	}
	if v.Type() == reflect.TypeFor[time.Time]() {
		eighths := rapid.Int64Range(0, 32e9).Draw(t, "time") // of a second: JSON's are floats, which the SDK cuts off
		v.Set(reflect.ValueOf(time.UnixMilli(125 * eighths).UTC()))
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		draw(t, v.Elem(), true, depth)
	case reflect.String:
		v.SetString(rapid.StringMatching(`[!-~é世]([ -~é世]{0,9}[!-~é世])?`).Draw(t, "text"))
	case reflect.Bool:
		v.SetBool(rapid.Bool().Draw(t, "flag"))
	case reflect.Int32:
		v.SetInt(int64(rapid.Int32().Draw(t, "number")))
	case reflect.Int64:
		v.SetInt(rapid.Int64().Draw(t, "number"))
	case reflect.Uint8:
		v.SetUint(uint64(rapid.Byte().Draw(t, "byte")))
	case reflect.Float32:
		v.SetFloat(float64(rapid.Float32Range(-1e9, 1e9).Draw(t, "number")))
	case reflect.Float64:
		v.SetFloat(rapid.Float64Range(-1e9, 1e9).Draw(t, "number"))
	case reflect.Slice:
		n := rapid.IntRange(1, 2).Draw(t, "length")
		v.Set(reflect.MakeSlice(v.Type(), n, n))
		for i := range n { // a form cannot have an item with nothing set
			draw(t, v.Index(i), true, depth+1)
		}
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		for range rapid.IntRange(1, 2).Draw(t, "size") {
			key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
			draw(t, key, true, depth+1)
			draw(t, value, true, depth+1)
			v.SetMapIndex(key, value)
		}
	case reflect.Struct:
		drawFields(t, v, must, depth)
	}
}

func drawFields(t *rapid.T, v reflect.Value, must bool, depth int) {
	for i := range v.NumField() {
		if f := v.Type().Field(i); f.IsExported() && f.Name != "ResultMetadata" {
			draw(t, v.Field(i), must, depth+1)
			must = false
		}
	}
}

// Every request and every answer arrives as it was sent: the SDK encodes what we decoded into the same request, and
// decodes what we encoded into the same output.
func TestAnyRoundTrip(t *testing.T) {
	byService := map[string][]sdkOperation{}
	for _, op := range operations() {
		byService[op.name] = append(byService[op.name], op)
	}
	for name, all := range byService {
		t.Run(name, rapid.MakeCheck(func(r *rapid.T) {
			op := all[rapid.IntRange(0, len(all)-1).Draw(r, "operation")]
			in, out := reflect.New(op.in), reflect.New(op.out)
			drawFields(r, in.Elem(), false, 0)
			if sent := op.capture(in.Interface()); sent.request != nil { // the SDK misses no required member
				decoded, _ := op.decode(r, sent.request, sent.body)
				again := op.capture(decoded)
				want, got := parsed(r, sent.request.Header, sent.body), parsed(r, again.request.Header, again.body)
				if diff := cmp.Diff(want, got); diff != "" {
					r.Errorf("%s (-sent +sent again):\n%s", op.operation, diff)
				}
			}
			drawFields(r, out.Elem(), false, 0)
			want, got := out.Interface(), op.answered(r, out.Interface())
			if diff := cmp.Diff(want, got, append(equalSDK, cmpopts.EquateEmpty())...); diff != "" {
				r.Errorf("%s (-encoded +read):\n%s", op.operation, diff)
			}
		}))
	}
}
