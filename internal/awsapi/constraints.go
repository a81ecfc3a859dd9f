package awsapi

import (
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/sallyport/sallyport/internal/fault"
)

// Constraint is what AWS's API model says about a member of an input. The SDK knows the values of enums. Its schemas
// leave out the rest, so each service writes that down.
type Constraint struct {
	Required bool
	Min, Max int            // characters of a text, items of a list, or a number; a Max of 0 is no limit
	Pattern  *regexp.Regexp // of the whole text; nil for any text
	Says     string         // AWS's message if a text does not match; empty for the one that shows the pattern
	Values   []string       // of an enum; nil for the values of its type
	Items    Constraints    // for the structures in a list
	Item     *Constraint    // for any other items of a list
}

// Constraints has the constraints of an input's members, by their names in Go.
type Constraints map[string]Constraint

// Check refuses an input, a pointer to a struct, if its members violate their constraints. The error is an Invalid
// fault with Subject Parameter, in AWS's words. A member that is not set is refused only if it is required.
func (c Constraints) Check(in any) error {
	var found violations
	found.ofMembers(c, reflect.ValueOf(in).Elem(), "")
	switch n := len(found.constraints); {
	case found.sentence != "":
		return fault.New(fault.Invalid, fault.Parameter, "%s", found.sentence)
	case n == 0:
		return nil
	case n == 1:
		return fault.New(fault.Invalid, fault.Parameter, "1 validation error detected: %s", found.constraints[0])
	default:
		all := strings.Join(found.constraints, "; ")
		return fault.New(fault.Invalid, fault.Parameter, "%d validation errors detected: %s", n, all)
	}
}

// violations is what is wrong with an input.
type violations struct {
	sentence    string   // the first with a message of its own, which is then the whole answer
	constraints []string // the others
}

func (f *violations) add(path, format string, args ...any) {
	must := fmt.Sprintf(format, args...)
	f.constraints = append(f.constraints, "Value at '"+path+"' failed to satisfy constraint: Member must "+must)
}

func (f *violations) any() bool { return f.sentence != "" || len(f.constraints) > 0 }

func (f *violations) ofMembers(c Constraints, v reflect.Value, path string) {
	for i := range v.NumField() {
		name := v.Type().Field(i).Name
		member, ok := c[name]
		if member.Values == nil {
			member.Values = enumValues(v.Field(i))
		}
		if ok || member.Values != nil {
			f.of(member, v.Field(i), path+strings.ToLower(name[:1])+name[1:])
		}
	}
}

func (f *violations) of(c Constraint, v reflect.Value, path string) {
	if unset(v) {
		if c.Required {
			f.add(path, "not be null")
		}
		return
	}
	switch v = reflect.Indirect(v); v.Kind() {
	case reflect.String:
		f.ofText(c, v.String(), path)
	case reflect.Int32:
		f.ofBounds(c, "value", int(v.Int()), path)
	case reflect.Slice:
		f.ofList(c, v, path)
	}
}

func (f *violations) ofText(c Constraint, text, path string) {
	switch {
	case c.Pattern == nil || c.Pattern.MatchString(text):
	case c.Says == "":
		f.add(path, "satisfy regular expression pattern: %s", strings.Trim(c.Pattern.String(), "^$"))
	case f.sentence == "":
		f.sentence = c.Says
	}
	if c.Values != nil && !slices.Contains(c.Values, text) {
		f.add(path, "satisfy enum value set: [%s]", strings.Join(c.Values, ", "))
	}
	f.ofBounds(c, "length", utf8.RuneCountInString(text), path)
}

// ofList stops at the first wrong item, since a list can be long.
func (f *violations) ofList(c Constraint, v reflect.Value, path string) {
	f.ofBounds(c, "length", v.Len(), path)
	for i := 0; i < v.Len() && !f.any(); i++ {
		at := fmt.Sprintf("%s.%d.member", path, i+1)
		if c.Item != nil {
			f.of(*c.Item, v.Index(i), at)
		}
		if c.Items != nil {
			f.ofMembers(c.Items, v.Index(i), at+".")
		}
	}
}

func (f *violations) ofBounds(c Constraint, what string, n int, path string) {
	if n < c.Min {
		f.add(path, "have %s greater than or equal to %d", what, c.Min)
	}
	if c.Max > 0 && n > c.Max {
		f.add(path, "have %s less than or equal to %d", what, c.Max)
	}
}

// enumValues returns the values of an enum of the SDK, or nil for any other type.
func enumValues(v reflect.Value) []string {
	if v.Kind() != reflect.String {
		return nil
	}
	method := v.MethodByName("Values")
	if !method.IsValid() {
		return nil
	}
	var values []string
	for _, value := range method.Call(nil)[0].Seq2() {
		values = append(values, value.String())
	}
	return values
}

// unset reports whether the member was not given. An enum has no pointer; it is unset if it is empty.
func unset(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Pointer, reflect.Slice:
		return v.IsNil()
	case reflect.String:
		return v.Len() == 0
	}
	return false
}
