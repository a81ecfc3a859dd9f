package awswire_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/aws-sdk-go-v2/service/ec2instanceconnect"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	iamtypes "github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/google/go-cmp/cmp"
	"github.com/sallyport/sallyport/internal/awswire"
	"github.com/sallyport/sallyport/internal/fault"
)

// house is an input of a service of our own: plain Go, its names the wire's.
type house struct {
	Name    string
	Rooms   []room
	Built   time.Time
	Floors  int
	Sealed  bool
	Beneath *house
	Token   string
}

type room struct{ Name string }

func iamCodec() awswire.Codec {
	return awswire.Query("https://iam.amazonaws.com/doc/2010-05-08/", "2010-05-08")
}

// post is a POST of a body of the type.
func post(t *testing.T, contentType, target string) *http.Request {
	t.Helper()
	r, err := http.NewRequest("POST", "/", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", contentType)
	if target != "" {
		r.Header.Set("X-Amz-Target", target)
	}
	return r
}

// read takes a body through Parse and Decode and describes a refusal: its Resource and text.
func read(t *testing.T, codec awswire.Codec, r *http.Request, body string, in any) (set []string, refusal string) {
	t.Helper()
	request, err := codec.Parse(r, []byte(body))
	if err == nil {
		set, err = codec.Decode(request, in)
	}
	if err == nil {
		return set, ""
	}
	f := fault.Of(err)
	if f.Kind != fault.Invalid {
		t.Fatalf("not an Invalid fault: %v", err)
	}
	return nil, f.Resource + ": " + f.Message
}

func readForm(t *testing.T, codec awswire.Codec, body string, in any) ([]string, string) {
	t.Helper()
	return read(t, codec, post(t, "application/x-www-form-urlencoded; charset=utf-8", ""), body, in)
}

func readJSON(t *testing.T, body string, in any) ([]string, string) {
	t.Helper()
	return read(t, awswire.JSON("Service", "message"), post(t, "application/x-amz-json-1.1", "Service.Build"), body, in)
}

func TestFormDecode(t *testing.T) {
	for body, want := range map[string]*ec2.DescribeInstancesInput{
		"":                                  {},
		"InstanceId.1=i-1&InstanceId.2=i-2": {InstanceIds: []string{"i-1", "i-2"}},
		"InstanceId.7=i-2&InstanceId.3=i-1": {InstanceIds: []string{"i-1", "i-2"}}, // gaps, out of order
		"InstanceId.10=b&InstanceId.9=a":    {InstanceIds: []string{"a", "b"}},     // by number, not by text
		"InstanceId.2147483647=i-1":         {InstanceIds: []string{"i-1"}},        // costs one element
		"NextToken=":                        {NextToken: aws.String("")},           //
		"NextToken=a%20b%2Bc%3D":            {NextToken: aws.String("a b+c=")},     //
		"MaxResults=-5&DryRun=false":        {MaxResults: aws.Int32(-5), DryRun: aws.Bool(false)},
		"Filter.1000000000.Name=n&Filter.1000000000.Value.5=v": {Filters: []ec2types.Filter{{Name: aws.String("n"), Values: []string{"v"}}}},
		"Version=2016-11-15&MaxResults=5":                      {MaxResults: aws.Int32(5)},
	} {
		got := &ec2.DescribeInstancesInput{}
		if _, refusal := readForm(t, awswire.EC2(), "Action=DescribeInstances&"+body, got); refusal != "" {
			t.Errorf("%s: %s", body, refusal)
		}
		if diff := cmp.Diff(want, got, equalSDK...); diff != "" {
			t.Errorf("%s (-want +got):\n%s", body, diff)
		}
	}
}

func TestFormRefusals(t *testing.T) {
	for body, want := range map[string]string{
		"":                                      "operation: The request names no Action.",
		"Action=":                               "operation: The request names no Action.",
		"Action=A&Action=B":                     "operation: A,B is not the name",
		"Action=../etc":                         "operation: ../etc is not the name",
		"Action=X&a=%zz":                        "request: The body cannot be read",
		"Action=X&a=1;b=2":                      "request: The body cannot be read",
		"Action=X&Version=2014-01-01":           "request: The version 2014-01-01 of the API is not served here; 2016-11-15 is.",
		"Action=X&Colour=red":                   "parameter: The parameter Colour is not recognized by X.",
		"Action=X&instanceid.1=i":               "parameter: The parameter instanceid.1 is not recognized",
		"Action=X&Filter.1.Names=n":             "parameter: The parameter Filter.1.Names is not recognized",
		"Action=X&Filter.1.Name.Deep=n":         "parameter: The parameter Filter.1.Name.Deep is not recognized",
		"Action=X&Filter.one.Name=n":            "parameter: The parameter Filter.one.Name is not recognized",
		"Action=X&InstanceId.0=i":               "parameter: The parameter InstanceId.0 is not recognized",
		"Action=X&InstanceId.-1=i":              "parameter: The parameter InstanceId.-1 is not recognized",
		"Action=X&InstanceId.01=i":              "parameter: The parameter InstanceId.01 is not recognized",
		"Action=X&InstanceId.2147483648=i":      "parameter: The parameter InstanceId.2147483648 is not recognized",
		"Action=X&InstanceId.1.2=i":             "parameter: The parameter InstanceId.1.2 is not recognized",
		"Action=X&InstanceId..1=i":              "is not recognized",
		"Action=X&.=i":                          "is not recognized",
		"Action=X&InstanceId=i-1":               "parameter-value: The parameter InstanceId is a list: give its first element as InstanceId.1.",
		"Action=X&Filter.1=n":                   "parameter-value: The parameter Filter.1 is a structure: give its members as Filter.1.NAME.",
		"Action=X&MaxResults=5&MaxResults=6":    "parameter-value: The parameter MaxResults is given twice.",
		"Action=X&NextToken=a&NextToken.1=b":    "parameter-value: The parameter NextToken is given both as a value and in parts.",
		"Action=X&MaxResults=five":              "parameter-value: The parameter MaxResults must be an integer",
		"Action=X&MaxResults=%2B5":              "parameter-value: The parameter MaxResults must be an integer",
		"Action=X&MaxResults=2147483648":        "parameter-value: The parameter MaxResults must be an integer",
		"Action=X&MaxResults=":                  "parameter-value: The parameter MaxResults must be an integer",
		"Action=X&DryRun=yes":                   "parameter-value: The parameter DryRun must be true or false.",
		"Action=X&NextToken=%ff":                "parameter-value: The parameter NextToken must be valid UTF-8.",
		"Action=X&NextToken=%00":                "parameter-value: The parameter NextToken must not contain a NUL",
		"Action=X&%0a%22=1":                     `parameter: The parameter "\n\"" is not recognized`,
		"Action=X&X-Amz-Date=1":                 "parameter: The parameter X-Amz-Date is not recognized",
		"Action=X" + strings.Repeat("&a=", 1e4): "request: The request has more than 4096 parameters.",
		"Action=X&a" + strings.Repeat(".a", 20): "is nested too deep",
	} {
		_, refusal := readForm(t, awswire.EC2(), body, &ec2.DescribeInstancesInput{})
		if !strings.Contains(refusal, want) {
			t.Errorf("%.60s: %q, want %q", body, refusal, want)
		}
	}
}

// The query protocol has ".member" in its lists, and writes an empty one as an empty value.
func TestQueryLists(t *testing.T) {
	for body, want := range map[string][]iamtypes.Tag{
		"":                     nil,
		"Tags=":                {},
		"Tags.member.3.Key=k":  {{Key: aws.String("k")}},
		"Tags.member.1.Value=": {{Value: aws.String("")}},
	} {
		got := &iam.TagUserInput{}
		if _, refusal := readForm(t, iamCodec(), "Action=TagUser&"+body, got); refusal != "" {
			t.Errorf("%s: %s", body, refusal)
		}
		if diff := cmp.Diff(want, got.Tags, equalSDK...); diff != "" {
			t.Errorf("%s (-want +got):\n%s", body, diff)
		}
	}
	for body, want := range map[string]string{
		"Tags.1.Key=k":                       "Tags.1.Key is not recognized",
		"Tags.member.1.Key=k&Tags.other.1=k": "Tags.member.1.Key is not recognized",
		"Tags.member=k":                      "Tags.member is not recognized",
		"Tags=k":                             "give its first element as Tags.member.1",
	} {
		if _, refusal := readForm(t, iamCodec(), "Action=TagUser&"+body, &iam.TagUserInput{}); !strings.Contains(refusal, want) {
			t.Errorf("%s: %q, want %q", body, refusal, want)
		}
	}
}

// A presigned GET has its parameters in the URL, among those of the signature.
func TestFormInQuery(t *testing.T) {
	r, err := http.NewRequest("GET", "/?Action=DescribeInstances&MaxResults=5&X-Amz-Algorithm=a&X-Amz-Credential=b&X-Amz-Date=c&X-Amz-Expires=d&X-Amz-SignedHeaders=e&X-Amz-Signature=f&X-Amz-Security-Token=g", nil)
	if err != nil {
		t.Fatal(err)
	}
	got := &ec2.DescribeInstancesInput{}
	set, refusal := read(t, awswire.EC2(), r, "", got)
	if refusal != "" || *got.MaxResults != 5 || !cmp.Equal(set, []string{"MaxResults"}) {
		t.Errorf("%v %v %s", got, set, refusal)
	}

	r.Method = "POST"
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if _, refusal := read(t, awswire.EC2(), r, "MaxResults=6", got); !strings.Contains(refusal, "given twice") {
		t.Errorf("in URL and body: %q", refusal)
	}
	r.Header.Set("Content-Type", "multipart/form-data; boundary=x")
	if _, refusal := read(t, awswire.EC2(), r, "--x", got); !strings.Contains(refusal, "application/x-www-form-urlencoded") {
		t.Errorf("multipart: %q", refusal)
	}
}

func TestJSONDecode(t *testing.T) {
	for body, want := range map[string]*house{
		"":                                    {},
		" \n":                                 {},
		"{}":                                  {},
		`{"Name":null,"Rooms":null}`:          {},
		`{"Rooms":[]}`:                        {Rooms: []room{}},
		`{"Rooms":[{"Name":"hall"},{}]}`:      {Rooms: []room{{Name: "hall"}, {}}},
		`{"Built":1448888888.25}`:             {Built: time.Unix(1448888888, 250e6).UTC()},
		`{"Built":0}`:                         {Built: time.Unix(0, 0).UTC()},
		`{"Sealed":true,"Floors":-9}`:         {Sealed: true, Floors: -9},
		`{"Beneath":{"Name":"cel\u0041lar"}}`: {Beneath: &house{Name: "celAlar"}},
	} {
		got := &house{}
		if _, refusal := readJSON(t, body, got); refusal != "" {
			t.Errorf("%s: %s", body, refusal)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", body, diff)
		}
	}
	set, refusal := readJSON(t, `{"Floors":0,"Sealed":null,"Name":""}`, &house{})
	if refusal != "" || !cmp.Equal(set, []string{"Name", "Floors"}) {
		t.Errorf("fields set: %v %s", set, refusal)
	}
}

func TestJSONRefusals(t *testing.T) {
	for body, want := range map[string]string{
		"null":                             "request: The body must be a JSON object.",
		"[]":                               "request: The body must be a JSON object.",
		"{":                                "request: The body is not valid JSON.",
		`{"Name":"a"`:                      "request: The body is not valid JSON.",
		`{"Name":"a",}`:                    "request: The body is not valid JSON.",
		`{"Name" "a"}`:                     "request: The body is not valid JSON.",
		`{Name:"a"}`:                       "request: The body is not valid JSON.",
		`{"Rooms":[{},]}`:                  "request: The body is not valid JSON.",
		`{"Name":"a"}{}`:                   "request: The body goes on",
		`{"Name":"a"}x`:                    "request: The body goes on",
		"{\"Name\":\"\xff\"}":              "request: The body is not valid UTF-8.",
		`{"Colour":"red"}`:                 "parameter: The parameter Colour is not recognized by Build.",
		`{"name":"red"}`:                   "parameter: The parameter name is not recognized",
		`{"Rooms":[{"Door":1}]}`:           "parameter: The parameter Rooms[0].Door is not recognized",
		`{"Name":"a","Name":"b"}`:          "parameter-value: The parameter Name is given twice.",
		`{"Name":null,"Name":"b"}`:         "parameter-value: The parameter Name is given twice.",
		`{"Rooms":[null]}`:                 "parameter-value: The parameter Rooms[0] must not be null.",
		`{"Rooms":{}}`:                     "parameter-value: The parameter Rooms must be a list.",
		`{"Rooms":["hall"]}`:               "parameter-value: The parameter Rooms[0] must be an object.",
		`{"Name":5}`:                       "parameter-value: The parameter Name must be a string.",
		`{"Name":"\u0000"}`:                "parameter-value: The parameter Name must not contain a NUL",
		`{"Floors":"5"}`:                   "parameter-value: The parameter Floors must be a number.",
		`{"Floors":1.5}`:                   "parameter-value: The parameter Floors must be an integer",
		`{"Floors":99999999999999999999}`:  "parameter-value: The parameter Floors must be an integer",
		`{"Sealed":"true"}`:                "parameter-value: The parameter Sealed must be true or false.",
		`{"Built":"2026-11-22T00:00:00Z"}`: "parameter-value: The parameter Built must be a time",
		`{"Built":1e20}`:                   "parameter-value: The parameter Built must be a time",
		strings.Repeat(`{"Beneath":`, 40) + "{}" + strings.Repeat("}", 40):         "is nested too deep",
		`{"Rooms":[` + strings.TrimSuffix(strings.Repeat("{},", 5000), ",") + `]}`: "request: The request has more than 4096 parameters.",
	} {
		_, refusal := readJSON(t, body, &house{})
		if !strings.Contains(refusal, want) {
			t.Errorf("%.60s: %q, want %q", body, refusal, want)
		}
	}
	codec := awswire.JSON("com.amazonaws.Service_1", "message")
	for target, want := range map[string]string{
		"Service_1.Build":               "",
		"com.amazonaws.Service_1.Build": "",
		"":                              "operation: The header X-Amz-Target must be Service_1.OPERATION.",
		"Build":                         "operation: The header X-Amz-Target must be",
		"XService_1.Build":              "operation: The header X-Amz-Target must be",
		"Service_1.":                    "operation: The header X-Amz-Target names no operation.",
		"Service_1.a/b":                 "operation: a/b is not the name of an operation.",
	} {
		if _, refusal := read(t, codec, post(t, "application/x-amz-json-1.1", target), "{}", &house{}); !strings.HasPrefix(refusal, want) || want == "" && refusal != "" {
			t.Errorf("%q: %q, want %q", target, refusal, want)
		}
	}
}

// A service of our own, without tables, has Go's names on the wire in every protocol.
func TestPlainStructs(t *testing.T) {
	want := &house{Name: "a \"b\"\\\n\t<é>\U0001F600", Rooms: []room{{"hall"}},
		Built: time.Unix(1448888888, 250e6).UTC(), Floors: -2, Sealed: true, Beneath: &house{Floors: 1}}
	response, err := awswire.JSON("Service", "message").Encode("Build", "id", want)
	if err != nil {
		t.Fatal(err)
	}
	got := &house{}
	if _, refusal := readJSON(t, string(response.Body), got); refusal != "" {
		t.Fatal(refusal)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-written +read):\n%s\n%s", diff, response.Body)
	}
	response, err = iamCodec().Encode("Build", "id-1", &house{Rooms: []room{}, Floors: 3})
	if err != nil {
		t.Fatal(err)
	}
	const xml = `<?xml version="1.0" encoding="UTF-8"?>
<BuildResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/"><BuildResult><Rooms/><Floors>3</Floors><Sealed>false</Sealed></BuildResult><ResponseMetadata><RequestId>id-1</RequestId></ResponseMetadata></BuildResponse>`
	if string(response.Body) != xml {
		t.Errorf("got %s", response.Body)
	}
}

// An operation whose names were never generated is our own mistake, not the caller's.
func TestUnknownShape(t *testing.T) {
	request, err := awswire.EC2().Parse(post(t, "application/x-www-form-urlencoded", ""), []byte("Action=CreateVpc"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := awswire.EC2().Decode(request, &ec2.CreateVpcInput{}); !fault.Is(err, fault.Internal) || !strings.Contains(err.Error(), "go generate") {
		t.Errorf("got %v", err)
	}
	if _, err := awswire.EC2().Encode("CreateVpc", "id", &ec2.CreateVpcOutput{}); !fault.Is(err, fault.Internal) {
		t.Errorf("got %v", err)
	}
	// Neither is a type that no operation has so far: it is refused, not left out.
	for _, out := range []any{&struct{ Labels map[string]string }{}, &struct{ Height float64 }{}, &struct{ Plan []byte }{}} {
		if _, err := iamCodec().Encode("Build", "id", out); err == nil || !strings.Contains(err.Error(), "cannot be carried") {
			t.Errorf("%T: %v", out, err)
		}
	}
}

func TestWholeResponses(t *testing.T) {
	for want, make := range map[string]func() (awswire.Response, error){
		`<CreateTagsResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><requestId>id</requestId><return>true</return></CreateTagsResponse>`: func() (awswire.Response, error) {
			return awswire.EC2().Encode("CreateTags", "id", &ec2.CreateTagsOutput{})
		},
		`<DescribeInstancesResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><requestId>id</requestId><reservationSet/></DescribeInstancesResponse>`: func() (awswire.Response, error) {
			return awswire.EC2().Encode("DescribeInstances", "id", &ec2.DescribeInstancesOutput{Reservations: []ec2types.Reservation{}})
		},
		`<Response><Errors><Error><Code>C</Code><Message>&lt;m&gt;</Message></Error></Errors><RequestID>id</RequestID></Response>`: func() (awswire.Response, error) {
			return awswire.EC2().EncodeError("id", awswire.Error{Status: 400, Code: "C", Message: "<m>"}), nil
		},
		`<DeleteUserResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/"><ResponseMetadata><RequestId>id</RequestId></ResponseMetadata></DeleteUserResponse>`: func() (awswire.Response, error) {
			return iamCodec().Encode("DeleteUser", "id", &iam.DeleteUserOutput{})
		},
		`<ListUsersResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/"><ListUsersResult><Users/><IsTruncated>false</IsTruncated></ListUsersResult><ResponseMetadata><RequestId>id</RequestId></ResponseMetadata></ListUsersResponse>`: func() (awswire.Response, error) {
			return iamCodec().Encode("ListUsers", "id", &iam.ListUsersOutput{Users: []iamtypes.User{}})
		},
		`<ErrorResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/"><Error><Type>Receiver</Type><Code>C</Code><Message>m</Message></Error><RequestId>id</RequestId></ErrorResponse>`: func() (awswire.Response, error) {
			return iamCodec().EncodeError("id", awswire.Error{Status: 500, Code: "C", Message: "m"}), nil
		},
	} {
		got, err := make()
		if err != nil {
			t.Fatal(err)
		}
		if body := strings.TrimPrefix(string(got.Body), "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"); body != want {
			t.Errorf("got  %s\nwant %s", body, want)
		}
	}
}

// FuzzQueryDecode: no form brings a decoder down; what is refused is refused by an Invalid fault, and what is taken
// says what it set.
func FuzzQueryDecode(f *testing.F) {
	for _, seed := range []string{
		"Action=DescribeInstances&Version=2016-11-15&Filter.1.Name=a&Filter.1.Value.2=b&InstanceId.1=i&MaxResults=5&DryRun=true",
		"Action=TagUser&Tags.member.1.Key=a&Tags.member.1.Value=b&UserName=u", "Action=TagUser&Tags=",
		"Action=Build&Rooms.member.1.Name=a&Beneath.Beneath.Built=2026-11-22T00:00:00Z",
		"Action=X&Filter.1000000000.Name=n", "Action=X&.=&..1=", "Action=X&a;b", "Action=X&%ff=%00",
	} {
		f.Add(seed)
	}
	inEC2, inQuery := awswire.EC2(), iamCodec()
	f.Fuzz(func(t *testing.T, body string) {
		for _, c := range []struct {
			codec awswire.Codec
			in    any
		}{{inEC2, &ec2.DescribeInstancesInput{}}, {inQuery, &iam.TagUserInput{}}, {inQuery, &house{}}} {
			set, refusal := readForm(t, c.codec, body, c.in)
			if refusal != "" {
				continue
			}
			values, err := url.ParseQuery(body)
			if err != nil || len(values) <= len(set) && len(set) > 0 { // Action at least is no field
				t.Fatalf("%q set %v (%v)", body, set, err)
			}
			shown, err := c.codec.Parameters(c.in)
			if n := strings.Count(fmt.Sprint(shown), " "); err != nil || n > 4*len(body)+10 {
				t.Fatalf("%q grew to %d values (%v)", body, n, err)
			}
		}
	})
}

// FuzzJSONDecode: no body brings the decoder down, and what it takes is JSON.
func FuzzJSONDecode(f *testing.F) {
	for _, seed := range []string{
		`{"Name":"a","Rooms":[{"Name":"b"}],"Built":1.5,"Floors":2,"Sealed":true,"Beneath":{"Beneath":null}}`,
		"", "{}", `{"Rooms":[],}`, `{"Name":"\ud800"}`, `{"Floors":-0}`, "[[[[", `{"Beneath":{"Beneath":{"Beneath":{}}}}`,
	} {
		f.Add(seed)
	}
	codec := awswire.JSON("Service", "message")
	f.Fuzz(func(t *testing.T, body string) {
		in := &house{}
		if _, refusal := read(t, codec, post(t, "application/x-amz-json-1.1", "Service.Build"), body, in); refusal != "" {
			return
		}
		if strings.TrimSpace(body) != "" && !json.Valid([]byte(body)) {
			t.Fatalf("took %q", body)
		}
		response, err := codec.Encode("Build", "id", in)
		if err != nil || !json.Valid(response.Body) {
			t.Fatalf("%q became %q (%v)", body, response.Body, err)
		}
	})
}

func BenchmarkSendSSHPublicKey(b *testing.B) {
	codec := awswire.JSON("AWSEC2InstanceConnectService", "Message")
	r, _ := http.NewRequest("POST", "/", nil)
	r.Header.Set("X-Amz-Target", "AWSEC2InstanceConnectService.SendSSHPublicKey")
	body := []byte(`{"InstanceId":"i-0123456789abcdef0","InstanceOSUser":"debian","SSHPublicKey":"ssh-rsa ` + strings.Repeat("A", 400) + `"}`)
	b.ReportAllocs()
	for b.Loop() {
		request, err := codec.Parse(r, body)
		if err != nil {
			b.Fatal(err)
		}
		in := &ec2instanceconnect.SendSSHPublicKeyInput{}
		if _, err := codec.Decode(request, in); err != nil {
			b.Fatal(err)
		}
		if _, err := codec.Parameters(in); err != nil {
			b.Fatal(err)
		}
		if _, err := codec.Encode("SendSSHPublicKey", "id", &ec2instanceconnect.SendSSHPublicKeyOutput{RequestId: aws.String("id"), Success: true}); err != nil {
			b.Fatal(err)
		}
	}
}
