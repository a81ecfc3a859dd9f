// Package gatetest holds a domain room to the rule that nothing is read or changed without a decision and a record:
// every method of its service takes a Pass, and refuses the zero one, but for those that the room's test names.
package gatetest

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"testing"

	"github.com/sallyport/sallyport/internal/gate"
)

// NeedsPass calls every method of the service that takes a Pass with the zero one, which it must refuse with
// gate.ErrNoPass. A method that takes a context and no Pass must be among the exceptions, by name, and each of these
// must be one: what the gate and the links have to know before there is a Pass, and the room's own upkeep.
func NeedsPass(t *testing.T, service any, exceptions ...string) {
	t.Helper()
	value := reflect.ValueOf(service)
	var without []string
	for i := range value.NumMethod() {
		name, method := value.Type().Method(i).Name, value.Method(i)
		switch {
		case !takes[context.Context](method, 0): // it has no part in a call
		case !takes[gate.Pass](method, 1):
			without = append(without, name)
		default:
			if err := callWithZeros(t.Context(), method); !errors.Is(err, gate.ErrNoPass) {
				t.Errorf("%s answers the zero Pass with %v", name, err)
			}
		}
	}
	slices.Sort(exceptions)
	if !slices.Equal(without, exceptions) { // a type's methods are in the order of their names
		t.Errorf("without a Pass are\n%q, and not just\n%q", without, exceptions)
	}
}

func takes[T any](method reflect.Value, i int) bool {
	kind := method.Type()
	return kind.NumIn() > i && kind.In(i) == reflect.TypeFor[T]()
}

// callWithZeros calls the method with zero values after the context and returns its error: its last result.
func callWithZeros(ctx context.Context, method reflect.Value) error {
	in := []reflect.Value{reflect.ValueOf(ctx)}
	for i := 1; i < method.Type().NumIn(); i++ {
		in = append(in, reflect.Zero(method.Type().In(i)))
	}
	out := method.Call(in)
	err, ok := out[len(out)-1].Interface().(error)
	if !ok {
		return errors.New("success, or no error at all")
	}
	return err
}
