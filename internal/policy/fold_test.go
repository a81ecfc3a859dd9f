package policy_test

import (
	"strings"
	"testing"
	"unicode"

	"github.com/sallyport/sallyport/internal/policy"
)

// Fold, strings.EqualFold and StringEqualsIgnoreCase agree for every rune. Folding again changes nothing, and only a
// rune that folds with an ASCII letter becomes one.
func TestFoldOfEveryRune(t *testing.T) {
	document := func(operator, want string) policy.Policy {
		d, err := policy.Parse(`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*",
			"Condition":{"` + operator + `":{"aws:TagKeys":"` + want + `"}}}}`)
		if err != nil {
			t.Fatal(err)
		}
		return policy.Policy{Name: "p", Document: d}
	}
	ignoring := map[rune]policy.Policy{}
	for _, letter := range "abcdefghijklmnopqrstuvwxyz" {
		ignoring[letter] = document("ForAnyValue:StringEqualsIgnoreCase", string(letter))
	}
	for r := rune(0); r <= unicode.MaxRune; r++ {
		text := "x" + string(r)
		folded := policy.Fold(text)
		if !strings.EqualFold(text, folded) || policy.Fold(folded) != folded {
			t.Fatalf("%U folds to %q", r, folded)
		}
		for other := unicode.SimpleFold(r); other != r; other = unicode.SimpleFold(other) {
			if policy.Fold("x"+string(other)) != folded {
				t.Fatalf("%U and %U fold together, and to different texts", r, other)
			}
		}
		for _, other := range []rune{unicode.ToLower(r), unicode.ToUpper(r), unicode.ToTitle(r)} {
			if same := policy.Fold("x"+string(other)) == folded; same != strings.EqualFold(string(r), string(other)) {
				t.Fatalf("%U and %U are one for one rule only", r, other)
			}
		}
		letter := []rune(folded)[1]
		if p, ok := ignoring[letter]; ok && r > unicode.MaxASCII {
			request := policy.Request{Action: "a:B", Resource: "*", Context: policy.Keys{"aws:tagkeys": {string(r)}}}
			if !policy.Evaluate([]policy.Policy{p}, request).Allowed {
				t.Errorf("%U folds to %c, which StringEqualsIgnoreCase does not know", r, letter)
			}
		}
	}
	if policy.Fold("TİER") == policy.Fold("TIER") || policy.Fold("ſ\u212a") != "sk" {
		t.Error("U+0130 is no i; U+017F is an s, and U+212A a k")
	}
}
