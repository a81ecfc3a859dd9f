package main

import (
	"os"
	"strings"
	"testing"
)

// The committed names are those that the generator writes.
func TestNamesAreCurrent(t *testing.T) {
	want, err := generate("cloudtrail", "ec2")
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile("../names.txt")
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Error("names.txt is not what the SDK says: run go generate ./internal/awswire")
	}
}

// The generator refuses a module that it cannot read.
func TestGenerateRefuses(t *testing.T) {
	for name, want := range map[string]string{"iam": "serializers.go", "nosuchservice": "nosuchservice"} {
		if _, err := generate(name); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want an error with %q", name, err, want)
		}
	}
}
