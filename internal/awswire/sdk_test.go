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
	"pgregory.net/rapid"
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
		{"iam", iamCodec(), func(c aws.Config) any { return iam.NewFromConfig(c) }},
		{"sts", awswire.Query("https://sts.amazonaws.com/doc/2011-06-15/", "2011-06-15"),
			func(c aws.Config) any { return sts.NewFromConfig(c) }},
		{"cloudtrail", awswire.JSON("com.amazonaws.cloudtrail.v20131101.CloudTrail_20131101", "message"),
			func(c aws.Config) any { return cloudtrail.NewFromConfig(c) }},
		{"ec2instanceconnect", awswire.JSON("AWSEC2InstanceConnectService", "Message"),
			func(c aws.Config) any { return ec2instanceconnect.NewFromConfig(c) }},
	}
}

// sdkOperation is one operation of a service.
type sdkOperation struct {
	sdkService
	operation string
	in, out   reflect.Type // structs
}

// operations returns every operation of the services, whether it is served or not, so that obstacles to serving another
// one are known early.
func operations() []sdkOperation {
	var all []sdkOperation
	for _, service := range sdkServices() {
		client := reflect.TypeOf(service.client(aws.Config{}))
		for i := range client.NumMethod() {
			m := client.Method(i)
			if m.Type.NumIn() < 3 || m.Type.NumOut() != 2 { // Options, say
				continue
			}
			op := sdkOperation{sdkService: service, operation: m.Name, in: m.Type.In(2).Elem(), out: m.Type.Out(0).Elem()}
			if !op.lacking() {
				all = append(all, op)
			}
		}
	}
	return all
}

// lacking reports whether the operation has a parameter that no codec carries.
func (op sdkOperation) lacking() bool {
	switch op.name + " " + op.operation {
	case "iam SimulatePrincipalPolicy": // PolicyExclusionList has unions: interfaces, of types reflection cannot find
		return true
	case "ec2 CopySnapshot": // DestinationRegion, which clients send, is a field of the SDK's own only
		return true
	}
	return false
}

// eachOperation runs the test for every operation of the services.
func eachOperation(t *testing.T, test func(t *testing.T, op sdkOperation)) {
	t.Helper()
	for _, op := range operations() {
		t.Run(op.name+"/"+op.operation, func(t *testing.T) { test(t, op) })
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
	method := reflect.ValueOf(client).MethodByName(op.operation)
	results := method.Call([]reflect.Value{reflect.ValueOf(context.Background()), reflect.ValueOf(in)})
	err, _ := results[1].Interface().(error)
	return results[0].Interface(), err
}

// capture returns the request that the SDK makes of an input. It makes none if a required member is missing.
func (op sdkOperation) capture(in any) *transport {
	c := &transport{}
	_, _ = op.call(c, in)
	return c
}

// serialize returns the request that the SDK makes of an input.
func (op sdkOperation) serialize(t *testing.T, in any) *transport {
	t.Helper()
	c := op.capture(in)
	if c.request == nil {
		t.Fatal("the SDK made no request")
	}
	return c
}

// answered returns our output as the SDK reads it.
func (op sdkOperation) answered(t rapid.TB, out any) any {
	t.Helper()
	response, err := op.codec.Encode(op.operation, "request-1", out)
	if err != nil {
		t.Fatal(err)
	}
	if id := response.Header.Get("x-amzn-requestid"); id != "request-1" {
		t.Errorf("header x-amzn-requestid is %q", id)
	}
	got, err := op.call(&transport{respond: func() *http.Response { return httpResponse(response) }}, filled(op.in))
	if err != nil {
		t.Fatalf("the SDK cannot read\n%s\n%v", response.Body, err)
	}
	return got
}

// httpResponse returns what a client would receive.
func httpResponse(r awswire.Response) *http.Response {
	body := io.NopCloser(bytes.NewReader(r.Body))
	return &http.Response{StatusCode: r.Status, Header: r.Header, Body: body, ContentLength: int64(len(r.Body))}
}

// moduleDir returns the directory of a service's SDK module, which has the snapshots.
func moduleDir(t *testing.T, service string) string {
	t.Helper()
	module := "github.com/aws/aws-sdk-go-v2/service/" + service
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", module).Output()
	if err != nil {
		t.Fatalf("find the SDK's module: %v", err)
	}
	return strings.TrimSpace(string(out))
}

// snapshots finds and reads snapshot files. It looks each module up once.
type snapshots struct {
	mu   sync.Mutex
	dirs map[string]string
}

// read returns a snapshot's first line, headers (after a blank line in a request's) and body. ok is false if the module
// does not have the snapshot.
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

// fill sets every field of v as the SDK's own snapshots do, with two elements per list near the top. It stops where a
// type contains itself.
func fill(v reflect.Value, name string, depth int) {
	if depth > 12 {
		return
	}
	if v.Type() == reflect.TypeFor[time.Time]() {
		v.Set(reflect.ValueOf(time.Date(2026, 11, 22, 2, 2, 10, 123e6, time.UTC)))
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), name, depth)
	case reflect.String:
		v.SetString("__" + name + "_<&\"'é>__")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int32, reflect.Int64:
		v.SetInt(7)
	case reflect.Uint8:
		v.SetUint(250)
	case reflect.Float32, reflect.Float64:
		v.SetFloat(-0.15625)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), max(1, 2-depth/3), max(1, 2-depth/3)))
		for i := range v.Len() {
			fill(v.Index(i), name, depth+1)
		}
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		for _, key := range []string{"a b", "a=b&c"} {
			value := reflect.New(v.Type().Elem()).Elem()
			fill(value, name, depth+1)
			v.SetMapIndex(reflect.ValueOf(key).Convert(v.Type().Key()), value)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if f := v.Type().Field(i); f.IsExported() && f.Name != "ResultMetadata" {
				fill(v.Field(i), f.Name, depth+1)
			}
		}
	}
}

// filled returns a pointer to a struct of the type with every field set.
func filled(t reflect.Type) any {
	v := reflect.New(t)
	fill(v.Elem(), t.Name(), 0)
	return v.Interface()
}
