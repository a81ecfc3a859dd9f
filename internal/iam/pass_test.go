package iam_test

import (
	"errors"
	"reflect"
	"testing"

	"github.com/sallyport/sallyport/internal/gate"
)

// TestNothingWithoutAPass calls every method that takes a Pass with the zero one.
func TestNothingWithoutAPass(t *testing.T) {
	w := newWorld(t)
	for name, err := range callAllWithZeroPass(w) {
		if !errors.Is(err, gate.ErrNoPass) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// callAllWithZeroPass calls every exported method of the service that takes a Pass, with zero values.
func callAllWithZeroPass(w *world) map[string]error {
	results := map[string]error{}
	service := reflect.ValueOf(w.service)
	passType, errorType := reflect.TypeFor[gate.Pass](), reflect.TypeFor[error]()
	for i := range service.NumMethod() {
		method := service.Method(i)
		kind := method.Type()
		if kind.NumIn() < 2 || kind.In(1) != passType {
			continue
		}
		in := []reflect.Value{reflect.ValueOf(w.ctx)}
		for j := 1; j < kind.NumIn(); j++ {
			in = append(in, reflect.Zero(kind.In(j)))
		}
		out := method.Call(in)
		last := out[len(out)-1]
		if last.Type() != errorType {
			w.Fatal("no error is returned by ", service.Type().Method(i).Name)
		}
		err, _ := last.Interface().(error)
		results[service.Type().Method(i).Name] = err
	}
	if len(results) < 30 {
		w.Errorf("only %d methods take a pass", len(results))
	}
	return results
}
