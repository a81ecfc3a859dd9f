// Package gatetest checks that the methods of a domain room read and write nothing without a decision and a record.
package gatetest

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"testing"

	"github.com/sallyport/sallyport/internal/db"
	"github.com/sallyport/sallyport/internal/gate"
)

// NeedsPass calls every method of the service that takes (context.Context, gate.Pass, ...) with the zero Pass, and
// every method that takes (*gate.Tx, ...) with nil and with two zero ones. All must return gate.ErrNoPass. Any other
// method that takes a context or a transaction must be among the exceptions, by name, and each exception must be such a
// method: what the gate and the links must know before there is a Pass, what callers with a Pass read in their own
// transaction, and the room's background work.
func NeedsPass(t *testing.T, service any, exceptions ...string) {
	t.Helper()
	value := reflect.ValueOf(service)
	held := 0
	var without []string
	for i := range value.NumMethod() {
		name, method := value.Type().Method(i).Name, value.Method(i)
		switch {
		case takes[context.Context](method, 0) && takes[gate.Pass](method, 1):
			held++
			refuses(t, name, method, t.Context(), gate.Pass{})
		case takes[*gate.Tx](method, 0):
			held++
			for _, tx := range []*gate.Tx{nil, {}, {Tx: new(db.Tx)}} {
				refuses(t, name, method, tx)
			}
		case isAboutACall(method.Type()):
			without = append(without, name)
		}
	}
	slices.Sort(exceptions)
	if !slices.Equal(without, exceptions) { // reflect sorts a type's methods by name
		t.Errorf("without a Pass are\n%q, and not just\n%q", without, exceptions)
	}
	if held == 0 {
		t.Errorf("no method of %T takes a Pass or a Tx", service)
	}
}

func takes[T any](method reflect.Value, i int) bool {
	kind := method.Type()
	return kind.NumIn() > i && kind.In(i) == reflect.TypeFor[T]()
}

// isAboutACall reports whether the method could read or write, which means that it takes a context or a transaction.
func isAboutACall(method reflect.Type) bool {
	for i := range method.NumIn() {
		switch method.In(i) {
		case reflect.TypeFor[context.Context](), reflect.TypeFor[gate.Pass](), reflect.TypeFor[*gate.Tx](),
			reflect.TypeFor[*db.Tx](), reflect.TypeFor[*db.DB](), reflect.TypeFor[*db.Writer]():
			return true
		}
	}
	return false
}

// refuses fails the test unless the method, called with the arguments and zero values for the others, returns
// gate.ErrNoPass as its last result.
func refuses(t *testing.T, name string, method reflect.Value, arguments ...any) {
	t.Helper()
	var in []reflect.Value
	for i := range method.Type().NumIn() {
		if i < len(arguments) {
			in = append(in, reflect.ValueOf(arguments[i]))
		} else if !method.Type().IsVariadic() || i < method.Type().NumIn()-1 {
			in = append(in, reflect.Zero(method.Type().In(i)))
		}
	}
	out := method.Call(in)
	if len(out) == 0 {
		t.Errorf("%s cannot refuse: it returns nothing", name)
		return
	}
	if err, _ := out[len(out)-1].Interface().(error); !errors.Is(err, gate.ErrNoPass) {
		t.Errorf("%s answers %+v with %v", name, arguments[len(arguments)-1], err)
	}
}
