package awswire_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/smithy-go"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/sallyport/sallyport/internal/awswire"
	"pgregory.net/rapid"
)

// equalSDK compares SDK structs; their unexported fields are markers.
var equalSDK = []cmp.Option{
	cmp.FilterPath(func(p cmp.Path) bool {
		f, ok := p.Last().(cmp.StructField)
		return ok && (f.Name() == "ResultMetadata" || f.Name() == "noSmithyDocumentSerde")
	}, cmp.Ignore()),
	cmpopts.EquateApproxTime(0),
}

// decode parses and decodes a request as the server would.
func (op sdkOperation) decode(t rapid.TB, r *http.Request, body []byte) (any, []string) {
	t.Helper()
	request, err := op.codec.Parse(r, body)
	if err != nil {
		t.Fatalf("Parse: %v", err)
	}
	if request.Operation != op.operation {
		t.Fatalf("operation %q, want %q", request.Operation, op.operation)
	}
	in := reflect.New(op.in).Interface()
	set, err := op.codec.Decode(request, in)
	if err != nil {
		t.Fatalf("Decode: %v", err)
	}
	return in, set
}

// fieldsOf returns the names of the message's fields.
func fieldsOf(t reflect.Type) []string {
	var names []string
	for i := range t.NumField() {
		if f := t.Field(i); f.IsExported() && f.Name != "ResultMetadata" {
			names = append(names, f.Name)
		}
	}
	return names
}

// Every operation of the services can be planned. An operation that no codec carries is found here and when the server
// starts, not at the first request.
func TestEveryOperationHasAPlan(t *testing.T) {
	if n := len(operations()); n < 1000 {
		t.Errorf("found %d operations", n)
	}
	eachOperation(t, func(t *testing.T, op sdkOperation) {
		if err := op.codec.Prepare(op.in, op.out); err != nil {
			t.Error(err)
		}
	})
	for _, uncarried := range []reflect.Type{
		reflect.TypeFor[iam.SimulatePrincipalPolicyInput](), reflect.TypeFor[struct{ Any any }](),
		reflect.TypeFor[struct{ ByNumber map[int]string }](), reflect.TypeFor[struct{ Small uint8 }](),
	} {
		for _, codec := range []awswire.Codec{awswire.EC2(), iamCodec(), awswire.JSON("Service", "message")} {
			nothing := reflect.TypeFor[struct{}]()
			err := codec.Prepare(uncarried, nothing)
			if err == nil || !strings.Contains(err.Error(), "cannot be carried") || codec.Prepare(nothing, uncarried) == nil {
				t.Errorf("%s: %v", uncarried, err)
			}
		}
	}
}

// We decode the SDK's snapshot of a request, the SDK sends it again, and the result is the snapshot.
func TestRequestSnapshots(t *testing.T) {
	var files snapshots
	eachOperation(t, func(t *testing.T, op sdkOperation) {
		first, header, body, ok := files.read(t, op.name, filepath.Join("request_snapshot", op.operation+".request.snap"))
		if !ok && op.name == "cloudtrail" { // it has no snapshots: see TestRequestRoundTrip
			return
		}
		if !ok {
			t.Fatal("the SDK has no snapshot")
		}
		method, target, _ := strings.Cut(strings.TrimSpace(first), " ")
		r, err := http.NewRequest(method, target, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header = header
		in, set := op.decode(t, r, body)
		if diff := cmp.Diff(fieldsOf(op.in), set); diff != "" {
			t.Errorf("fields set (-all +reported):\n%s", diff)
		}
		again := op.serialize(t, in)
		if diff := cmp.Diff(parsed(t, header, body), parsed(t, again.request.Header, again.body)); diff != "" {
			t.Errorf("(-snapshot +sent again):\n%s", diff)
		}
	})
}

// parsed returns the form or the JSON of a body.
func parsed(t rapid.TB, header http.Header, body []byte) any {
	t.Helper()
	if strings.Contains(header.Get("Content-Type"), "json") {
		var v any
		if err := json.Unmarshal(body, &v); err != nil {
			t.Fatal(err)
		}
		return v
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		t.Fatal(err)
	}
	return form
}

// The SDK sends an input with every field set, and we decode the same input.
func TestRequestRoundTrip(t *testing.T) {
	eachOperation(t, func(t *testing.T, op sdkOperation) {
		want := filled(op.in)
		sent := op.serialize(t, want)
		got, set := op.decode(t, sent.request, sent.body)
		if diff := cmp.Diff(want, got, equalSDK...); diff != "" {
			t.Errorf("(-sent +decoded):\n%s", diff)
		}
		if diff := cmp.Diff(fieldsOf(op.in), set); diff != "" {
			t.Errorf("fields set (-all +reported):\n%s", diff)
		}
	})
}

// We write an output, and the SDK reads the same output.
func TestResponseRoundTrip(t *testing.T) {
	eachOperation(t, func(t *testing.T, op sdkOperation) {
		for name, want := range map[string]any{"full": filled(op.out), "empty": reflect.New(op.out).Interface()} {
			got := op.answered(t, want)
			if diff := cmp.Diff(want, got, append(equalSDK, cmpopts.EquateEmpty())...); diff != "" {
				t.Errorf("%s (-encoded +read):\n%s", name, diff)
			}
		}
	})
}

// The SDK's client returns our errors with their code, their text and the request's id.
func TestErrorRoundTrip(t *testing.T) {
	eachOperation(t, func(t *testing.T, op sdkOperation) {
		want := awswire.Error{Status: 400, Code: "Some.Code", Message: `Not <this>: "a" & 'b'.`}
		response := op.codec.EncodeError("request-1", want)
		_, err := op.call(&transport{respond: func() *http.Response { return httpResponse(response) }}, filled(op.in))
		var api smithy.APIError
		if !errors.As(err, &api) {
			t.Fatalf("not an APIError: %v", err)
		}
		if api.ErrorCode() != want.Code || api.ErrorMessage() != want.Message {
			t.Errorf("got %q %q", api.ErrorCode(), api.ErrorMessage())
		}
		var sent *awshttp.ResponseError
		if !errors.As(err, &sent) || sent.ServiceRequestID() != "request-1" || sent.HTTPStatusCode() != 400 {
			t.Errorf("request id or status lost: %v", err)
		}
	})
}

// Our responses equal EC2 Instance Connect's snapshots of responses byte for byte.
func TestResponseSnapshots(t *testing.T) {
	service := sdkServices()[4]
	dir := moduleDir(t, service.name)
	paths, err := filepath.Glob(filepath.Join(dir, "response_snapshot", "*.error.snap"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no snapshots: %v", err)
	}
	var files snapshots
	for _, path := range append(paths, filepath.Join(dir, "response_snapshot", "SendSSHPublicKey.response.snap")) {
		name := filepath.Base(path)
		t.Run(name, func(t *testing.T) {
			first, header, body, _ := files.read(t, service.name, filepath.Join("response_snapshot", name))
			status, err := strconv.Atoi(first)
			if err != nil {
				t.Fatal(err)
			}
			var got awswire.Response
			if code, isError := strings.CutSuffix(name, ".error.snap"); isError {
				got = service.codec.EncodeError("id", awswire.Error{Status: status, Code: code, Message: "__Message__"})
			} else {
				method, _ := reflect.TypeOf(service.client(aws.Config{})).MethodByName("SendSSHPublicKey")
				out := reflect.New(method.Type.Out(0).Elem())
				out.Elem().FieldByName("RequestId").Set(reflect.ValueOf(aws.String("__RequestId__")))
				out.Elem().FieldByName("Success").SetBool(true)
				if got, err = service.codec.Encode("SendSSHPublicKey", "id", out.Interface()); err != nil {
					t.Fatal(err)
				}
			}
			same := got.Header.Get("Content-Type") == header.Get("Content-Type") && string(got.Body) == string(body)
			if got.Status != status || !same {
				t.Errorf("got %d %s\n%s\nwant %d %s\n%s", got.Status, got.Header, got.Body, status, header, body)
			}
		})
	}
}
