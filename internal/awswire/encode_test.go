package awswire_test

import (
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	iamtypes "github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/google/go-cmp/cmp"
	"github.com/sallyport/sallyport/internal/awswire"
)

// A service of our own has no table of names. In every protocol it has Go's names on the wire.
func TestPlainStructs(t *testing.T) {
	want := &house{Name: "a \"b\"\\\n\t<é>\U0001F600", Rooms: []room{{"hall"}},
		Built: time.Unix(1448888888, 250e6).UTC(), Floors: -2, Sealed: true, Beneath: &house{Floors: 1},
		Height: aws.Float64(2.75), Keys: map[string]room{"b\n": {"b"}, "a": {}},
		Plan: []byte{0, 255}, Grid: [][]int32{{1}, {}}}
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
	const xml = `<?xml version="1.0" encoding="UTF-8"?>` + "\n" +
		`<BuildResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/">` +
		`<BuildResult><Rooms/><Floors>3</Floors><Sealed>false</Sealed></BuildResult>` +
		`<ResponseMetadata><RequestId>id-1</RequestId></ResponseMetadata></BuildResponse>`
	if string(response.Body) != xml {
		t.Errorf("got %s", response.Body)
	}
}

func TestWholeResponses(t *testing.T) {
	inEC2, inQuery := awswire.EC2(), iamCodec()
	const (
		ec2XML  = ` xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><requestId>id</requestId>`
		iamXML  = ` xmlns="https://iam.amazonaws.com/doc/2010-05-08/">`
		itsID   = `<ResponseMetadata><RequestId>id</RequestId></ResponseMetadata>`
		groups  = `<entry><key>Groups</key><value>2</value></entry>`
		users   = `<entry><key>Users</key><value>1</value></entry>`
		failure = `<Error><Type>Receiver</Type><Code>C</Code><Message>m</Message></Error><RequestId>id</RequestId>`
	)
	for _, test := range []struct {
		codec awswire.Codec
		name  string // of the operation; empty for an error
		out   any
		want  string
	}{
		{inEC2, "CreateTags", &ec2.CreateTagsOutput{},
			`<CreateTagsResponse` + ec2XML + `<return>true</return></CreateTagsResponse>`},
		{inEC2, "DescribeInstances", &ec2.DescribeInstancesOutput{Reservations: []ec2types.Reservation{}},
			`<DescribeInstancesResponse` + ec2XML + `<reservationSet/></DescribeInstancesResponse>`},
		{inEC2, "", awswire.Error{Status: 400, Code: "C", Message: "<m>"},
			`<Response><Errors><Error><Code>C</Code><Message>&lt;m&gt;</Message></Error></Errors>` +
				`<RequestID>id</RequestID></Response>`},
		{inQuery, "DeleteUser", &iam.DeleteUserOutput{},
			`<DeleteUserResponse` + iamXML + itsID + `</DeleteUserResponse>`},
		{inQuery, "UpdateRole", &iam.UpdateRoleOutput{}, // promises a result, with nothing in it
			`<UpdateRoleResponse` + iamXML + `<UpdateRoleResult></UpdateRoleResult>` + itsID + `</UpdateRoleResponse>`},
		{inQuery, "ListUsers", &iam.ListUsersOutput{Users: []iamtypes.User{}},
			`<ListUsersResponse` + iamXML + `<ListUsersResult><Users/><IsTruncated>false</IsTruncated></ListUsersResult>` +
				itsID + `</ListUsersResponse>`},
		{inQuery, "GetAccountSummary", &iam.GetAccountSummaryOutput{SummaryMap: map[string]int32{"Users": 1, "Groups": 2}},
			`<GetAccountSummaryResponse` + iamXML + `<GetAccountSummaryResult><SummaryMap>` + groups + users +
				`</SummaryMap></GetAccountSummaryResult>` + itsID + `</GetAccountSummaryResponse>`},
		{inQuery, "", awswire.Error{Status: 500, Code: "C", Message: "m"},
			`<ErrorResponse` + iamXML + failure + `</ErrorResponse>`},
	} {
		var got awswire.Response
		if e, ok := test.out.(awswire.Error); ok {
			got = test.codec.EncodeError("id", e)
		} else {
			var err error
			if got, err = test.codec.Encode(test.name, "id", test.out); err != nil {
				t.Fatal(err)
			}
		}
		body := strings.TrimPrefix(string(got.Body), "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n")
		if body != test.want {
			t.Errorf("got  %s\nwant %s", body, test.want)
		}
	}
}
