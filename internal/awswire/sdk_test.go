package awswire_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2instanceconnect"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/sallyport/sallyport/internal/awswire"
)

// sdkService is one service as the tests see it: our codec and the SDK's client.
type sdkService struct {
	name   string // of the SDK's module
	codec  awswire.Codec
	client func(aws.Config) any
}

func sdkServices() []sdkService {
	return []sdkService{
		{"ec2", awswire.EC2(), func(c aws.Config) any { return ec2.NewFromConfig(c) }},
		{"iam", awswire.Query("https://iam.amazonaws.com/doc/2010-05-08/", "2010-05-08"), func(c aws.Config) any { return iam.NewFromConfig(c) }},
		{"sts", awswire.Query("https://sts.amazonaws.com/doc/2011-06-15/", "2011-06-15"), func(c aws.Config) any { return sts.NewFromConfig(c) }},
		{"cloudtrail", awswire.JSON("com.amazonaws.cloudtrail.v20131101.CloudTrail_20131101", "message"), func(c aws.Config) any { return cloudtrail.NewFromConfig(c) }},
		{"ec2instanceconnect", awswire.JSON("AWSEC2InstanceConnectService", "Message"), func(c aws.Config) any { return ec2instanceconnect.NewFromConfig(c) }},
	}
}

// sdkOperation is one supported operation of a service.
type sdkOperation struct {
	sdkService
	operation string
	in, out   reflect.Type // structs
}

// eachOperation runs the test for every operation of the list the names are generated from.
func eachOperation(t *testing.T, test func(t *testing.T, op sdkOperation)) {
	t.Helper()
	list, err := os.ReadFile("generate/operations.txt")
	if err != nil {
		t.Fatal(err)
	}
	services := map[string]sdkService{}
	for _, s := range sdkServices() {
		services[s.name] = s
	}
	for line := range strings.Lines(string(list)) {
		line, _, _ = strings.Cut(line, "#")
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		service, ok := services[words[0]]
		if !ok {
			t.Fatalf("the tests know no client of %s", words[0])
		}
		for _, name := range words[1:] {
			method, ok := reflect.TypeOf(service.client(aws.Config{})).MethodByName(name)
			if !ok {
				t.Fatalf("the client of %s has no %s", words[0], name)
			}
			op := sdkOperation{sdkService: service, operation: name, in: method.Type.In(2).Elem(), out: method.Type.Out(0).Elem()}
			t.Run(words[0]+"/"+name, func(t *testing.T) { test(t, op) })
		}
	}
}

// transport keeps the last request and answers with a response of ours.
type transport struct {
	request *http.Request
	body    []byte
	respond func() *http.Response
}

func (c *transport) Do(r *http.Request) (*http.Response, error) {
	c.request, c.body = r, nil
	if r.Body != nil {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		c.body = body
	}
	if c.respond == nil {
		return nil, errors.New("this transport only captures")
	}
	return c.respond(), nil
}

// call lets the SDK's client make the call over the transport.
func (op sdkOperation) call(c *transport, in any) (any, error) {
	client := op.client(aws.Config{
		Region:       "us-east-1",
		Credentials:  credentials.NewStaticCredentialsProvider("AKIDEXAMPLE", "secret", ""),
		BaseEndpoint: aws.String("http://127.0.0.1:1"),
		HTTPClient:   c,
		Retryer:      func() aws.Retryer { return aws.NopRetryer{} },
	})
	results := reflect.ValueOf(client).MethodByName(op.operation).Call([]reflect.Value{reflect.ValueOf(context.Background()), reflect.ValueOf(in)})
	err, _ := results[1].Interface().(error)
	return results[0].Interface(), err
}

// serialize returns the request the SDK makes of an input.
func (op sdkOperation) serialize(t *testing.T, in any) *transport {
	t.Helper()
	c := &transport{}
	if _, err := op.call(c, in); c.request == nil {
		t.Fatalf("the SDK made no request: %v", err)
	}
	return c
}

// httpResponse is what a client would receive.
func httpResponse(r awswire.Response) *http.Response {
	return &http.Response{StatusCode: r.Status, Header: r.Header, Body: io.NopCloser(bytes.NewReader(r.Body)), ContentLength: int64(len(r.Body))}
}

// moduleDir returns where a service's SDK module is, with the snapshots it ships.
func moduleDir(t *testing.T, service string) string {
	t.Helper()
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/aws/aws-sdk-go-v2/service/"+service).Output()
	if err != nil {
		t.Fatalf("find the SDK's module: %v", err)
	}
	return strings.TrimSpace(string(out))
}

// snapshots finds and reads snapshot files; it asks for each module once.
type snapshots struct {
	mu   sync.Mutex
	dirs map[string]string
}

// read returns a snapshot's first line, headers (after a blank line in a request's) and body; ok is false where
// the module has none.
func (s *snapshots) read(t *testing.T, service, path string) (first string, header http.Header, body []byte, ok bool) {
	t.Helper()
	s.mu.Lock()
	dir, known := s.dirs[service]
	if !known {
		dir = moduleDir(t, service)
		if s.dirs == nil {
			s.dirs = map[string]string{}
		}
		s.dirs[service] = dir
	}
	s.mu.Unlock()
	raw, err := os.ReadFile(filepath.Join(dir, path))
	if errors.Is(err, os.ErrNotExist) {
		return "", nil, nil, false
	}
	if err != nil {
		t.Fatal(err)
	}
	first, rest, _ := strings.Cut(string(raw), "\n")
	head, text, _ := strings.Cut(strings.TrimPrefix(rest, "\n"), "\n\n")
	header = http.Header{}
	for line := range strings.Lines(head) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		header.Set(name, value)
	}
	return first, header, []byte(text), true
}

// fill sets every field of v: what the SDK's own snapshots do, two elements a list.
func fill(v reflect.Value, name string) {
	if v.Type() == reflect.TypeFor[time.Time]() {
		v.Set(reflect.ValueOf(time.Date(2026, 11, 22, 2, 2, 10, 123e6, time.UTC)))
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), name)
	case reflect.String:
		v.SetString("__" + name + "_<&\"'é>__")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int32, reflect.Int64:
		v.SetInt(7)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		for i := range 2 {
			fill(v.Index(i), name)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if f := v.Type().Field(i); f.IsExported() && f.Name != "ResultMetadata" {
				fill(v.Field(i), f.Name)
			}
		}
	}
}

// filled returns a pointer to a struct of the type with every field set.
func filled(t reflect.Type) any {
	v := reflect.New(t)
	fill(v.Elem(), t.Name())
	return v.Interface()
}
