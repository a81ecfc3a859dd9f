package policy

import "strings"

// condition tests one key with one operator.
type condition struct {
	key     string // folded
	set     setOperator
	negated bool
	null    *nullTest    // for the Null operator; nil for all others
	missing verdict      // the answer if the request lacks the key
	tests   []comparison // one for each of the policy's values
}

// comparison compares one value of the request with one value of the policy. It never negates the result.
type comparison func(value string, context Context) verdict

// setOperator says how many of a key's values must match.
type setOperator string

const (
	single       setOperator = ""
	forAllValues setOperator = "ForAllValues:"
	forAnyValue  setOperator = "ForAnyValue:"
)

const ifExists = "IfExists"

// parseConditions reads a Condition element: operators, their keys, and the values of the keys.
func parseConditions(n node, variables bool) ([]condition, error) {
	if n.kind != object {
		return nil, n.malformed("a Condition must be an object of operators, not %s.", n.kind)
	}
	var conditions []condition
	for _, operator := range n.members {
		if operator.value.kind != object {
			return nil, operator.value.malformed("the operator must have an object of condition keys, not %s.",
				operator.value.kind)
		}
		seen := map[string]bool{}
		for _, key := range operator.value.members {
			folded := Fold(key.name)
			if !isKey(folded) {
				return nil, key.value.malformed("%q is not a condition key, which has the form vendor:name, as in aws:SourceIp.",
					key.name)
			}
			if seen[folded] {
				return nil, key.value.malformed(
					"the condition key is there twice in another spelling; keys are compared without regard to case.")
			}
			seen[folded] = true
			c, err := parseCondition(operator.name, folded, key.value, variables)
			if err != nil {
				return nil, err
			}
			conditions = append(conditions, c)
		}
	}
	return conditions, nil
}

func parseCondition(name, key string, n node, variables bool) (condition, error) {
	c := condition{key: key}
	for _, set := range []setOperator{forAllValues, forAnyValue} {
		if rest, ok := strings.CutPrefix(name, string(set)); ok {
			c.set, name = set, rest
			break
		}
	}
	base, exists := strings.CutSuffix(name, ifExists)
	values, err := conditionValues(n)
	if err != nil {
		return c, err
	}
	if base == "Null" {
		if exists || c.set != single {
			return c, n.malformed("Null takes neither IfExists nor a set operator: it is about the key's presence itself.")
		}
		c.null, err = parseNull(n, values)
		return c, err
	}
	operator, known := operatorNamed(base)
	if !known {
		return c, n.malformed("there is no condition operator %q; did you mean StringEquals, StringLike, ArnLike, "+
			"NumericEquals, DateLessThan, Bool, IpAddress or Null?", name)
	}
	c.negated = operator.negated
	c.missing = c.whenMissing(exists)
	for _, value := range values {
		test, err := operator.compile(value, variables)
		if err != nil {
			return c, n.malformed("%v.", err)
		}
		c.tests = append(c.tests, test)
	}
	return c, nil
}

// conditionValues returns the values as text. IAM accepts a number or a boolean in place of the string
// that spells it.
func conditionValues(n node) ([]string, error) {
	var values []string
	for _, item := range n.oneOrMore() {
		switch item.kind {
		case text, number, boolean:
			values = append(values, item.text)
		default:
			return nil, item.malformed("a condition's value must be a string, a number or a boolean, not %s.", item.kind)
		}
	}
	if len(values) == 0 {
		return nil, n.malformed("the condition key has an empty list of values, which could match nothing or everything. " +
			"Give a value or remove the key.")
	}
	return values, nil
}

// nullTest records which states of a key the Null operator accepts.
type nullTest struct{ absent, present bool }

func parseNull(n node, values []string) (*nullTest, error) {
	var t nullTest
	for _, value := range values {
		absent, ok := parseBool(value)
		if !ok {
			return nil, n.malformed("Null takes true (the key is absent) or false (it is there), not %q.", value)
		}
		t.absent, t.present = t.absent || absent, t.present || !absent
	}
	return &t, nil
}

// evaluate returns unsettled for a key that is present with only empty values, unless both states are accepted.
func (t *nullTest) evaluate(values []string) verdict {
	switch {
	case len(values) == 0:
		return verdictOf(t.absent)
	case !areEmpty(values):
		return verdictOf(t.present)
	case t.absent && t.present:
		return yes
	}
	return unsettled
}

// whenMissing returns the answer for a key that the request lacks.
func (c *condition) whenMissing(ifExists bool) verdict {
	switch {
	case c.set == forAllValues:
		return yes
	case c.set == forAnyValue && ifExists:
		return unsettled // AWS documents one rule for each half, and they contradict each other
	case c.set == forAnyValue:
		return no
	}
	return verdictOf(ifExists || c.negated)
}

// evaluate reports whether the request satisfies the condition.
func (c *condition) evaluate(context Context) verdict {
	values, _ := context.Values(c.key)
	switch {
	case c.null != nil:
		return c.null.evaluate(values)
	case len(values) == 0, c.set != single && areEmpty(values):
		return c.missing
	case c.set == single && len(values) > 1:
		return unsettled
	case c.set == forAnyValue:
		answer := no
		for _, value := range values {
			answer = max(answer, c.test(value, context))
		}
		return answer
	}
	answer := yes
	for _, value := range values {
		answer = min(answer, c.test(value, context))
	}
	return answer
}

// test compares one value of the request with all values of the policy. It must match one of them or, if the operator
// is negated, none.
func (c *condition) test(value string, context Context) verdict {
	answer := no
	for _, test := range c.tests {
		answer = max(answer, test(value, context))
	}
	if c.negated {
		return answer.not()
	}
	return answer
}

// areEmpty reports whether there are no values or only empty ones, which AWS calls a null dataset.
func areEmpty(values []string) bool {
	for _, value := range values {
		if value != "" {
			return false
		}
	}
	return true
}
