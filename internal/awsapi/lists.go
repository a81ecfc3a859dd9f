package awsapi

import (
	"reflect"

	"github.com/sallyport/sallyport/internal/fault"
)

// maxList is the maximum number of items of a list in a request. AWS accepts no longer list of any kind (CreateTags,
// DescribeInstances).
const maxList = 1000

// checkLists refuses an input with a list that is too long, at any depth. The policies are asked about each item that
// names a resource, and the trail keeps all items, even of a call that is denied.
func checkLists(v reflect.Value) error {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			return checkLists(v.Elem())
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if err := checkLists(v.Field(i)); err != nil {
				return err
			}
		}
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			return nil // a blob
		}
		if n := v.Len(); n > maxList {
			return fault.New(fault.Invalid, fault.ParameterValue,
				"A list in the request has %d items, and may have %d. Split it into several requests.", n, maxList)
		}
		for i := range v.Len() {
			if err := checkLists(v.Index(i)); err != nil {
				return err
			}
		}
	}
	return nil
}
