package main

import (
	"os"
	"strings"
	"testing"
)

// The table in the tree is what the generator writes today.
func TestNamesAreCurrent(t *testing.T) {
	list, err := os.ReadFile("operations.txt")
	if err != nil {
		t.Fatal(err)
	}
	want, err := generate(string(list))
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile("../names.go")
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != string(want) {
		t.Error("names.go is not what the list and the SDK say: run go generate ./internal/awswire")
	}
}

// What the generator cannot read it refuses.
func TestGenerateRefuses(t *testing.T) {
	for list, want := range map[string]string{
		"ec2 DescribeInstances LevitateInstances": "LevitateInstances: the SDK has no such operation",
		"ec2instanceconnect Nothing":              "api_op_Nothing.go",
		"nosuchservice Call":                      "nosuchservice",
	} {
		if _, err := generate(list); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("generate(%q) = %v, want an error with %q", list, err, want)
		}
	}
}
