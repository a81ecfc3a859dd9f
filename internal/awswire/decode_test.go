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

// house is an input of a service of our own, a plain Go type whose names are those on the wire.
type house struct {
	Name    string
	Rooms   []room
	Built   time.Time
	Floors  int
	Sealed  bool
	Beneath *house
	Token   string
	Height  *float64
	Keys    map[string]room
	Plan    []byte
	Grid    [][]int32
}

type room struct{ Name string }

func iamCodec() awswire.Codec {
	return awswire.Query("https://iam.amazonaws.com/doc/2010-05-08/", "2010-05-08")
}

// post returns a POST request with a body of the content type.
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

// read passes a body through Parse and Decode. It describes a refusal by its Subject and text.
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
	return nil, f.Subject.String() + ": " + f.Message
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
		"Version=2016-11-15&MaxResults=5":   {MaxResults: aws.Int32(5)},
		"Filter.1000000000.Name=n&Filter.1000000000.Value.5=v": {
			Filters: []ec2types.Filter{{Name: aws.String("n"), Values: []string{"v"}}},
		},
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
		"Action=X&Version=2014-01-01":           "request: The version 2014-01-01 of the API is not served here; 2016",
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
		"Action=X&InstanceId=i-1":               "parameter-value: The parameter InstanceId is a list: give its first",
		"Action=X&Filter.1=n":                   "parameter-value: The parameter Filter.1 is a structure: give its",
		"Action=X&MaxResults=5&MaxResults=6":    "parameter-value: The parameter MaxResults is given twice.",
		"Action=X&NextToken=a&NextToken.1=b":    "parameter-value: The parameter NextToken is given both as a value and in",
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

// The query protocol has ".member" in the names of lists, and writes an empty list as an empty value.
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
		_, refusal := readForm(t, iamCodec(), "Action=TagUser&"+body, &iam.TagUserInput{})
		if !strings.Contains(refusal, want) {
			t.Errorf("%s: %q, want %q", body, refusal, want)
		}
	}
}

// A map's entries have numbers in a form, as a list's items do.
func TestQueryMaps(t *testing.T) {
	for body, want := range map[string]map[string]string{
		"Properties.entry.1.key=a&Properties.entry.1.value=b": {"a": "b"},
		"Properties.entry.7.key=a&Properties.entry.7.value=&Properties.entry.2.key=b&Properties.entry.2.value=c": {
			"a": "", "b": "c",
		},
	} {
		got := &iam.PutAccountPropertiesInput{}
		if _, refusal := readForm(t, iamCodec(), "Action=X&"+body, got); refusal != "" {
			t.Errorf("%s: %s", body, refusal)
		}
		if diff := cmp.Diff(want, got.Properties); diff != "" {
			t.Errorf("%s (-want +got):\n%s", body, diff)
		}
	}
	const twice = "Properties.entry.1.key=a&Properties.entry.1.value=b&Properties.entry.2.key=a&Properties.entry.2.value=c"
	for body, want := range map[string]string{
		"Properties=a":             "parameter: The parameter Properties is not recognized",
		"Properties.1.key=a":       "parameter: The parameter Properties.1.key is not recognized",
		"Properties.entry.0.key=a": "parameter: The parameter Properties.entry.0.key is not recognized",
		"Properties.entry.1.key=a": "parameter-value: The parameter Properties.entry.1 is an entry of a map: give its key",
		"Properties.entry.1=a":     "parameter-value: The parameter Properties.entry.1 is an entry of a map: give its key",
		"Properties.entry.1.key=a&Properties.entry.1.value=b&Properties.entry.1.more=c": "is an entry of a map",
		"Properties.entry.1.key=a&Properties.entry.1.value=b&Properties.entry.1=c":      "is an entry of a map",
		"Properties.entry.1.key.x=a&Properties.entry.1.value=b":                         "entry.1.key.x is not recognized",
		twice: "The parameter Properties.entry.2 has a key that is given twice.",
	} {
		_, refusal := readForm(t, iamCodec(), "Action=X&"+body, &iam.PutAccountPropertiesInput{})
		if !strings.Contains(refusal, want) {
			t.Errorf("%s: %q, want %q", body, refusal, want)
		}
	}
}

// Numbers and blobs of a form are read as strictly as its other values.
func TestFormNumbersAndBlobs(t *testing.T) {
	for value, want := range map[string]float64{"0": 0, "1.5": 1.5, "-2e3": -2000, ".5": 0.5} {
		got := &house{}
		if _, refusal := readForm(t, iamCodec(), "Action=X&Height="+value, got); refusal != "" || *got.Height != want {
			t.Errorf("%s: %v %s", value, got.Height, refusal)
		}
	}
	for body, want := range map[string]string{
		"Height=": "must be a number", "Height=NaN": "must be a number", "Height=Inf": "must be a number",
		"Height=0x10": "must be a number", "Height=1_0": "must be a number", "Height=1e999": "must be a number",
		"Height=tall": "must be a number", "Plan=?": "must be base64", "Plan=YQ": "must be base64",
		"Grid.member.1.member.2=x": "The parameter Grid.member.1.member.2 must be an integer",
	} {
		if _, refusal := readForm(t, iamCodec(), "Action=X&"+body, &house{}); !strings.Contains(refusal, want) {
			t.Errorf("%s: %q, want %q", body, refusal, want)
		}
	}
}

// A presigned GET has its parameters in the URL, among those of the signature.
func TestFormInQuery(t *testing.T) {
	const signature = "&X-Amz-Algorithm=a&X-Amz-Credential=b&X-Amz-Date=c&X-Amz-Expires=d&X-Amz-SignedHeaders=e" +
		"&X-Amz-Signature=f&X-Amz-Security-Token=g"
	r, err := http.NewRequest("GET", "/?Action=DescribeInstances&MaxResults=5"+signature, nil)
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
	_, refusal = read(t, awswire.EC2(), r, "--x", got)
	if !strings.Contains(refusal, "application/x-www-form-urlencoded") {
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
		`{"Height":-1.5e1}`:                   {Height: aws.Float64(-15)},
		`{"Keys":{}}`:                         {Keys: map[string]room{}},
		`{"Keys":{"a b":{"Name":"hall"}}}`:    {Keys: map[string]room{"a b": {Name: "hall"}}},
		`{"Plan":"cGxhbg=="}`:                 {Plan: []byte("plan")},
		`{"Grid":[[1,2],[]]}`:                 {Grid: [][]int32{{1, 2}, {}}},
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
		`{"Height":"1.5"}`:                 "parameter-value: The parameter Height must be a number.",
		`{"Height":1e999}`:                 "parameter-value: The parameter Height must be a number.",
		`{"Plan":"?"}`:                     "parameter-value: The parameter Plan must be base64.",
		`{"Plan":[1]}`:                     "parameter-value: The parameter Plan must be a string.",
		`{"Keys":[]}`:                      "parameter-value: The parameter Keys must be an object.",
		`{"Keys":{"a":null}}`:              "parameter-value: The parameter Keys.a must not be null.",
		`{"Keys":{"a":{},"a":{}}}`:         "parameter-value: The parameter Keys.a is given twice.",
		`{"Keys":{"a":{"Door":1}}}`:        "parameter: The parameter Keys.a.Door is not recognized",
		`{"Keys":{"\u0000":{}}}`:           "must not contain a NUL",
		`{"Grid":[1]}`:                     "parameter-value: The parameter Grid[0] must be a list.",
		`{"Sealed":"true"}`:                "parameter-value: The parameter Sealed must be true or false.",
		`{"Built":"2026-11-22T00:00:00Z"}`: "parameter-value: The parameter Built must be a time",
		`{"Built":1e20}`:                   "parameter-value: The parameter Built must be a time",
		strings.Repeat(`{"Beneath":`, 40) + "{}" + strings.Repeat("}", 40): "is nested too deep",
		`{"Rooms":[` + strings.Repeat("{},", 5000) + `{}]}`:                "request: The request has more than 4096",
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
		_, refusal := read(t, codec, post(t, "application/x-amz-json-1.1", target), "{}", &house{})
		if !strings.HasPrefix(refusal, want) || want == "" && refusal != "" {
			t.Errorf("%q: %q, want %q", target, refusal, want)
		}
	}
}

// FuzzQueryDecode: no form crashes the decoder. A refusal is an Invalid fault, and a decoded form has the fields that
// were set.
func FuzzQueryDecode(f *testing.F) {
	for _, seed := range []string{
		"Action=DescribeInstances&Version=2016-11-15&Filter.1.Name=a&Filter.1.Value.2=b&InstanceId.1=i&MaxResults=5",
		"Action=TagUser&Tags.member.1.Key=a&Tags.member.1.Value=b&UserName=u", "Action=TagUser&Tags=",
		"Action=Build&Rooms.member.1.Name=a&Beneath.Beneath.Built=2026-11-22T00:00:00Z",
		"Action=Build&Keys.entry.1.key=a&Keys.entry.1.value.Name=b&Height=1e3&Plan=YQ==&Grid.member.1.member.2=3",
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

// FuzzJSONDecode: no body crashes the decoder, and it accepts only JSON.
func FuzzJSONDecode(f *testing.F) {
	for _, seed := range []string{
		`{"Name":"a","Rooms":[{"Name":"b"}],"Built":1.5,"Floors":2,"Sealed":true,"Beneath":{"Beneath":null}}`,
		"", "{}", `{"Rooms":[],}`, `{"Name":"\ud800"}`, `{"Floors":-0}`, "[[[[", `{"Beneath":{"Beneath":{"Beneath":{}}}}`,
		`{"Keys":{"a":{"Name":"b"}},"Height":1e-300,"Plan":"YQ==","Grid":[[1],[]]}`,
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
	body := []byte(`{"InstanceId":"i-0123456789abcdef0","InstanceOSUser":"debian",` +
		`"SSHPublicKey":"ssh-rsa ` + strings.Repeat("A", 400) + `"}`)
	out := &ec2instanceconnect.SendSSHPublicKeyOutput{RequestId: aws.String("id"), Success: true}
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
		if _, err := codec.Encode("SendSSHPublicKey", "id", out); err != nil {
			b.Fatal(err)
		}
	}
}
