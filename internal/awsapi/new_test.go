package awsapi_test

import (
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/awsapi"
	"github.com/sallyport/sallyport/internal/awswire"
	"github.com/sallyport/sallyport/internal/gate"
)

type observer struct{ awsapi.Observer }

// A row whose requests could not be read, or whose answers could not be written, ends the program at its start, not at
// the first request.
func TestNewRefusesTypesThatCannotBeCarried(t *testing.T) {
	config := awsapi.Config{
		Regions: []string{"us-east-1"}, Gate: &gate.Gate{}, Observer: observer{}, Log: slog.New(slog.DiscardHandler),
		Now: time.Now, Random: strings.NewReader(""),
	}
	good, bad := reflect.TypeFor[struct{ Name string }](), reflect.TypeFor[struct{ Hook func() }]()
	for _, test := range []struct {
		in, out reflect.Type
		want    string
	}{{good, good, ""}, {bad, good, "Build: field Hook"}, {good, bad, "Build: field Hook"}} {
		for _, codec := range []awswire.Codec{awswire.EC2(), awswire.Query("", ""), awswire.JSON("", "")} {
			row := awsapi.Operation{Name: "Build", Input: test.in, Output: test.out}
			got := panics(func() { awsapi.New(config, awsapi.Service{Codec: codec, Operations: []awsapi.Operation{row}}) })
			if !strings.Contains(got, test.want) || test.want == "" && got != "" {
				t.Errorf("%T, %v, %v: %q", codec, test.in, test.out, got)
			}
		}
	}
}

// panics returns what the function panics with, or "" if it does not.
func panics(f func()) (message string) {
	defer func() {
		if p := recover(); p != nil {
			message = fmt.Sprint(p)
		}
	}()
	f()
	return ""
}
