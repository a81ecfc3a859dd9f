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

// Constraint is what AWS's API model says of a member of an input.
type Constraint struct {
	Required bool
	Min, Max int            // of a text's characters, a list's items, a number; a Max of 0 is none
	Pattern  *regexp.Regexp // of the whole text; nil for any
	Says     string         // AWS's sentence for a text that does not match; empty for the one that shows the pattern
	Values   []string       // of an enum; nil for any
	Items    Constraints    // of the structures in a list
	Item     *Constraint    // of what else is in a list
}

// Constraints are those of an input's members, by their names in Go.
type Constraints map[string]Constraint

// Check refuses an input, a pointer to a struct, with members that violate their constraints, in AWS's words: an
// Invalid fault, Resource "parameter". A member that is not set is refused only if it is required.
func (c Constraints) Check(in any) error {
	var violations []string
	if says := c.members(reflect.ValueOf(in).Elem(), "", &violations); says != "" {
		return fault.New(fault.Invalid, "parameter", "%s", says)
	}
	switch n := len(violations); n {
	case 0:
		return nil
	case 1:
		return fault.New(fault.Invalid, "parameter", "1 validation error detected: %s", violations[0])
	default:
		return fault.New(fault.Invalid, "parameter", "%d validation errors detected: %s", n, strings.Join(violations, "; "))
	}
}

// members adds the violations of a struct's members, and returns the first sentence that stands for itself.
func (c Constraints) members(v reflect.Value, path string, violations *[]string) (says string) {
	for i := range v.NumField() {
		name := v.Type().Field(i).Name
		if member, ok := c[name]; ok && says == "" {
			says = member.check(v.Field(i), path+strings.ToLower(name[:1])+name[1:], violations)
		}
	}
	return says
}

// check adds the violations of one value at the path, or returns the constraint's own sentence.
func (c Constraint) check(v reflect.Value, path string, violations *[]string) (says string) {
	violated := func(format string, args ...any) {
		must := fmt.Sprintf(format, args...)
		*violations = append(*violations, "Value at '"+path+"' failed to satisfy constraint: Member must "+must)
	}
	if unset(v) {
		if c.Required {
			violated("not be null")
		}
		return ""
	}
	switch v = reflect.Indirect(v); v.Kind() {
	case reflect.String:
		text := v.String()
		if c.Pattern != nil && !c.Pattern.MatchString(text) {
			if c.Says != "" {
				return c.Says
			}
			violated("satisfy regular expression pattern: %s", strings.Trim(c.Pattern.String(), "^$"))
		}
		if c.Values != nil && !slices.Contains(c.Values, text) {
			violated("satisfy enum value set: [%s]", strings.Join(c.Values, ", "))
		}
		c.bounds("length", utf8.RuneCountInString(text), violated)
	case reflect.Int32:
		c.bounds("value", int(v.Int()), violated)
	case reflect.Slice:
		c.bounds("length", v.Len(), violated)
		for i := range v.Len() {
			at := fmt.Sprintf("%s.%d.member", path, i+1)
			if c.Item != nil {
				says = c.Item.check(v.Index(i), at, violations)
			} else if c.Items != nil {
				says = c.Items.members(v.Index(i), at+".", violations)
			}
			if says != "" || len(*violations) > 0 {
				return says
			}
		}
	}
	return ""
}

// unset reports whether the member was not given. An enum, which has no pointer, cannot be given as empty.
func unset(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Pointer, reflect.Slice:
		return v.IsNil()
	case reflect.String:
		return v.Len() == 0
	}
	return false
}

func (c Constraint) bounds(what string, n int, violated func(format string, args ...any)) {
	if n < c.Min {
		violated("have %s greater than or equal to %d", what, c.Min)
	}
	if c.Max > 0 && n > c.Max {
		violated("have %s less than or equal to %d", what, c.Max)
	}
}
