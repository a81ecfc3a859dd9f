package sdktest

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsec2 "github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/sallyport/sallyport/internal/testkit/wait"
)

func describing(ids ...string) *awsec2.DescribeInstancesInput {
	return &awsec2.DescribeInstancesInput{InstanceIds: ids}
}

func terminating(ids ...string) *awsec2.TerminateInstancesInput {
	return &awsec2.TerminateInstancesInput{InstanceIds: ids}
}

func tag(key, value string) types.Tag { return types.Tag{Key: &key, Value: &value} }

func filter(name string, values ...string) []types.Filter {
	return []types.Filter{{Name: &name, Values: values}}
}

func TestDescribeInstances(t *testing.T) {
	w := newWorld(t)
	client := ec2Client(w.root())
	id := w.enroll(map[string]string{"Name": "web", "team": "a"})
	out, err := client.DescribeInstances(t.Context(), describing(id))
	if err != nil {
		t.Fatal(err)
	}
	if len(out.Reservations) != 1 || len(out.Reservations[0].Instances) != 1 || *out.Reservations[0].OwnerId != account {
		t.Fatalf("reservations: %+v", out.Reservations)
	}
	i := out.Reservations[0].Instances[0]
	got := []string{
		*i.InstanceId, string(i.State.Name), *i.Placement.AvailabilityZoneId, *i.PrivateIpAddress, *i.PublicIpAddress,
		*i.Ipv6Address, *i.PrivateDnsName, string(i.Architecture), *i.PlatformDetails,
		*i.Tags[0].Key, *i.Tags[0].Value, *i.Tags[1].Key,
	}
	expected := []string{
		id, "running", "on-prem-1-az1", "10.0.0.7", "198.51.100.7",
		"2001:db8::7", "web-1", "x86_64", "Linux/UNIX", "Name", "web", "team",
	}
	recent := time.Since(*i.LaunchTime) < time.Hour && i.LaunchTime.Nanosecond() == 0
	if !slices.Equal(got, expected) || *i.State.Code != 16 || !recent || i.StateReason != nil {
		t.Errorf("got %v, %v, want %v", got, i.LaunchTime, expected)
	}
	if e := w.last(); e.Name != "DescribeInstances" || !e.ReadOnly || e.Identity.Type != "Root" || e.ErrorCode != "" {
		t.Errorf("the event is %+v", e)
	}

	waiter := awsec2.NewInstanceRunningWaiter(client)
	if err := waiter.Wait(t.Context(), describing(id), wait.Patience); err != nil {
		t.Errorf("the SDK's waiter: %v", err)
	}
	bare, err := client.DescribeInstances(t.Context(), describing(w.enroll(nil)))
	if err != nil || bare.Reservations[0].Instances[0].Tags != nil {
		t.Errorf("an instance without tags: %+v, %v", bare, err)
	}
	w.Dismiss(t.Context(), id)
	out, err = client.DescribeInstances(t.Context(), describing(id))
	if err != nil {
		t.Fatal(err)
	}
	i = out.Reservations[0].Instances[0]
	if i.State.Name != types.InstanceStateNameStopped || i.StateReason == nil {
		t.Fatalf("unlinked: %+v, %+v", i.State, i.StateReason)
	}
	says := *i.StateReason.Message
	if !strings.Contains(says, "not connected") && !strings.Contains(says, "never been") {
		t.Errorf("it says %q", says)
	}
}

func TestDescribeInstancesPages(t *testing.T) {
	w := newWorld(t)
	client := ec2Client(w.root())
	var made, got []string
	for range 12 {
		made = append(made, w.enroll(nil))
	}
	pages := awsec2.NewDescribeInstancesPaginator(client, &awsec2.DescribeInstancesInput{MaxResults: aws.Int32(5)})
	count := 0
	for ; pages.HasMorePages(); count++ {
		page, err := pages.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range page.Reservations {
			got = append(got, *r.Instances[0].InstanceId)
		}
	}
	slices.Sort(made)
	if !slices.Equal(got, made) || count != 3 {
		t.Errorf("%d pages gave %v, want %v", count, got, made)
	}
}

func TestEC2Errors(t *testing.T) {
	w := newWorld(t)
	id := w.enroll(nil)
	client := ec2Client(w.root())
	describe := func(in awsec2.DescribeInstancesInput) error {
		_, err := client.DescribeInstances(t.Context(), &in)
		return err
	}
	none := "i-00000000000000000"
	state := filter("instance-state-name", "running")
	refused(t, describe(*describing("i-1")), 400, "InvalidInstanceID.Malformed")
	says := refused(t, describe(*describing(id, none)), 400, "InvalidInstanceID.NotFound")
	if says != "The instance ID '"+none+"' does not exist" {
		t.Errorf("it says %q", says)
	}
	vpc := awsec2.DescribeInstancesInput{Filters: filter("vpc-id", "vpc-1")}
	says = refused(t, describe(vpc), 400, "InvalidParameterValue")
	if says != "The filter 'vpc-id' is invalid" {
		t.Errorf("it says %q", says)
	}
	both := awsec2.DescribeInstancesInput{MaxResults: aws.Int32(5), InstanceIds: []string{id}}
	refused(t, describe(both), 400, "InvalidParameterCombination")
	refused(t, describe(awsec2.DescribeInstancesInput{MaxResults: aws.Int32(4)}), 400, "InvalidParameterValue")
	refused(t, describe(awsec2.DescribeInstancesInput{MaxResults: aws.Int32(0)}), 400, "InvalidParameterValue")
	refused(t, describe(awsec2.DescribeInstancesInput{NextToken: aws.String("x")}), 400, "InvalidPaginationToken")
	refused(t, describe(awsec2.DescribeInstancesInput{Filters: slices.Repeat(state, 51)}), 400, "FilterLimitExceeded")
	refused(t, describe(*describing(slices.Repeat([]string{id}, 1001)...)), 400, "InvalidParameterValue")
	refused(t, describe(awsec2.DescribeInstancesInput{DryRun: aws.Bool(true)}), 412, "DryRunOperation")

	_, err := client.RunInstances(t.Context(), &awsec2.RunInstancesInput{MinCount: aws.Int32(1), MaxCount: aws.Int32(1)})
	refused(t, err, 400, "InvalidAction")
	_, err = client.TerminateInstances(t.Context(), &awsec2.TerminateInstancesInput{
		InstanceIds: []string{id}, SkipOsShutdown: aws.Bool(true),
	})
	refused(t, err, 400, "UnsupportedOperation", "SkipOsShutdown")

	ghost := w.root()
	ghost.Region = "us-east-1"
	_, err = ec2Client(ghost).DescribeRegions(t.Context(), &awsec2.DescribeRegionsInput{})
	refused(t, err, 401, "AuthFailure", region)
	bad := w.root()
	w.mu.Lock()
	clear(w.principals)
	w.mu.Unlock()
	_, err = ec2Client(bad).DescribeRegions(t.Context(), &awsec2.DescribeRegionsInput{})
	refused(t, err, 401, "AuthFailure")
}

// Policies written for EC2 decide by the region of a request and by properties of the instance.
func TestEC2ConditionKeys(t *testing.T) {
	w := newWorld(t)
	a, b := w.enroll(nil), w.enroll(nil)
	for condition, allowed := range map[string]bool{
		`"StringEquals":{"ec2:Region":"on-prem-1"}`:            true,
		`"StringEquals":{"ec2:Region":"on-prem-2"}`:            false,
		`"StringEquals":{"ec2:InstanceID":"` + a + `"}`:        true,
		`"StringEquals":{"ec2:InstanceID":"` + b + `"}`:        false,
		`"StringLike":{"ec2:AvailabilityZone":"*-1a"}`:         true,
		`"StringNotEquals":{"ec2:AvailabilityZone":"x"}`:       true,
		`"StringEquals":{"ec2:availabilityzone":"on-prem-1b"}`: false,
		`"StringEquals":{"ec2:Tenancy":"default"}`:             true,
		`"Null":{"ec2:Tenancy":"true"}`:                        false,
		`"StringEquals":{"ec2:ResourceTag/team":"a"}`:          false,
	} {
		user := ec2Client(w.user("alice", allow("ec2:*", "*", condition)))
		_, err := user.TerminateInstances(t.Context(), &awsec2.TerminateInstancesInput{
			InstanceIds: []string{a}, DryRun: aws.Bool(true),
		})
		if allowed {
			refused(t, err, 412, "DryRunOperation")
		} else {
			refused(t, err, 403, "UnauthorizedOperation")
		}
	}
	elsewhere := w.user("carol", allow("ec2:*", "*", `"StringEquals":{"ec2:AvailabilityZone":"on-prem-1a"}`))
	elsewhere.Region = "on-prem-2"
	_, err := ec2Client(elsewhere).TerminateInstances(t.Context(), terminating(a))
	refused(t, err, 403, "UnauthorizedOperation") // the instance is not in that region, so the ask has no zone
	here := ec2Client(w.user("bob", allow("ec2:Describe*", "*",
		`"StringEquals":{"ec2:Region":"on-prem-1"},"Null":{"ec2:InstanceID":"true"}`)))
	if _, err := here.DescribeInstances(t.Context(), &awsec2.DescribeInstancesInput{}); err != nil {
		t.Errorf("a listing by region: %v", err)
	}
}

func TestEC2Denials(t *testing.T) {
	w := newWorld(t)
	mine, other := w.enroll(map[string]string{"team": "a"}), w.enroll(map[string]string{"team": "b"})
	alice := ec2Client(w.user("alice", `{"Version":"2012-10-17","Statement":[
		{"Effect":"Allow","Action":"ec2:Describe*","Resource":"*"},
		{"Effect":"Allow","Action":["ec2:TerminateInstances"],"Resource":"*",
			"Condition":{"StringEquals":{"aws:ResourceTag/team":"a"}}},
		{"Effect":"Allow","Action":"ec2:CreateTags","Resource":"*","Condition":{
			"StringEquals":{"aws:RequestTag/team":"a"},"ForAllValues:StringEquals":{"aws:TagKeys":["team","Name"]}}},
		{"Sid":"NoUntag","Effect":"Deny","Action":"ec2:DeleteTags","Resource":"*"}]}`))
	_, err := alice.TerminateInstances(t.Context(), terminating(mine, other))
	says := refused(t, err, 403, "UnauthorizedOperation")
	expected := "You are not authorized to perform this operation. User: arn:aws:iam::" + account + ":user/alice " +
		"is not authorized to perform: ec2:TerminateInstances " +
		"on resource: arn:aws:ec2:" + region + ":" + account + ":instance/" + other + " " +
		"because no identity-based policy allows the ec2:TerminateInstances action"
	if says != expected {
		t.Errorf("it says\n%s, want\n%s", says, expected)
	}
	e := w.last()
	if e.ErrorCode != "Client.UnauthorizedOperation" || e.Identity.UserName != "alice" || e.Response != nil {
		t.Errorf("the event is %+v", e)
	}
	_, err = alice.TerminateInstances(t.Context(), &awsec2.TerminateInstancesInput{
		InstanceIds: []string{mine}, DryRun: aws.Bool(true),
	})
	refused(t, err, 412, "DryRunOperation")
	_, err = alice.DeleteTags(t.Context(), &awsec2.DeleteTagsInput{Resources: []string{mine}})
	refused(t, err, 403, "UnauthorizedOperation", "explicit deny", "NoUntag")
	create := func(more types.Tag) error {
		tags := []types.Tag{tag("team", "a"), more}
		_, err := alice.CreateTags(t.Context(), &awsec2.CreateTagsInput{Resources: []string{mine}, Tags: tags})
		return err
	}
	refused(t, create(tag("other", "")), 403, "UnauthorizedOperation")
	refused(t, create(tag("Team", "b")), 403, "UnauthorizedOperation") // the condition on team has both values
	refused(t, create(tag("team", "b")), 400, "InvalidParameterValue")
	if err := create(tag("Name", "x")); err != nil {
		t.Error(err)
	}
	_, err = ec2Client(w.user("bob", "")).DescribeInstances(t.Context(), &awsec2.DescribeInstancesInput{})
	refused(t, err, 403, "UnauthorizedOperation")
}

func TestTerminateInstances(t *testing.T) {
	w := newWorld(t)
	client := ec2Client(w.root())
	a, b := w.enroll(nil), w.enroll(nil)
	_, err := client.TerminateInstances(t.Context(), terminating(a, "i-00000000"))
	refused(t, err, 400, "InvalidInstanceID.NotFound")
	_, err = client.TerminateInstances(t.Context(), &awsec2.TerminateInstancesInput{InstanceIds: []string{}})
	if says := refused(t, err, 400, "InvalidParameterCombination"); says != "No instances specified" {
		t.Errorf("it says %q", says)
	}
	if len(w.dismissed) != 0 {
		t.Fatal("one bad id, and something was done")
	}
	out, err := client.TerminateInstances(t.Context(), terminating(a))
	if err != nil {
		t.Fatal(err)
	}
	c := out.TerminatingInstances[0]
	if *c.InstanceId != a || c.PreviousState.Name != "running" || c.CurrentState.Name != "terminated" {
		t.Errorf("changed %+v", c)
	}
	if !slices.Equal(w.dismissed, []string{a}) {
		t.Errorf("dismissed %v", w.dismissed)
	}
	e := w.last()
	items, _ := e.Response["instancesSet"].(map[string]any)
	if items == nil || len(e.Resources) != 1 || e.Resources[0].Name() != a {
		t.Errorf("the event is %+v", e)
	}
	status := func(in awsec2.DescribeInstanceStatusInput) types.InstanceStatus {
		out, err := client.DescribeInstanceStatus(t.Context(), &in)
		if err != nil || len(out.InstanceStatuses) != 1 {
			t.Fatalf("statuses: %+v, %v", out, err)
		}
		return out.InstanceStatuses[0]
	}
	if s := status(awsec2.DescribeInstanceStatusInput{}); *s.InstanceId != b || s.InstanceStatus.Status != "ok" {
		t.Errorf("running: %+v", s)
	}
	s := status(awsec2.DescribeInstanceStatusInput{
		IncludeAllInstances: aws.Bool(true), Filters: filter("instance-state-name", "terminated"),
	})
	if *s.InstanceId != a || s.SystemStatus.Status != "not-applicable" {
		t.Errorf("terminated: %+v", s)
	}
	waiter := awsec2.NewInstanceTerminatedWaiter(client)
	if err := waiter.Wait(t.Context(), describing(a), wait.Patience); err != nil {
		t.Errorf("the SDK's waiter: %v", err)
	}
}

func TestTagsAndPlaces(t *testing.T) {
	w := newWorld(t)
	client := ec2Client(w.root())
	id := w.enroll(nil)
	create := func(ids []string, tags ...types.Tag) error {
		_, err := client.CreateTags(t.Context(), &awsec2.CreateTagsInput{Resources: ids, Tags: tags})
		return err
	}
	remove := func(tags ...types.Tag) error {
		_, err := client.DeleteTags(t.Context(), &awsec2.DeleteTagsInput{Resources: []string{id}, Tags: tags})
		return err
	}
	if err := create([]string{id}, tag("a", "1"), types.Tag{Key: aws.String("b")}); err != nil {
		t.Fatal(err)
	}
	if err := remove(tag("a", "2"), tag("b", "")); err != nil {
		t.Fatal(err)
	}
	tags, err := client.DescribeTags(t.Context(), &awsec2.DescribeTagsInput{Filters: filter("resource-id", id)})
	if err != nil || len(tags.Tags) != 1 || *tags.Tags[0].Key != "a" || tags.Tags[0].ResourceType != "instance" {
		t.Errorf("tags: %+v, %v", tags, err)
	}
	for _, bad := range []string{"vol-0123456789abcdef0", "web", "i-", "Name=web"} {
		refused(t, create([]string{id, bad}, tag("a", "")), 400, "InvalidID")
	}
	cases := []types.Tag{tag("Env", "1"), tag("env", "2")}
	if err := create([]string{id}, cases...); err != nil {
		t.Errorf("keys of two spellings are two: %v", err)
	}
	if err := remove(cases[0]); err != nil {
		t.Error(err)
	}
	out, err := client.DescribeInstances(t.Context(), describing(id))
	if err != nil {
		t.Fatal(err)
	}
	if left := out.Reservations[0].Instances[0].Tags; len(left) != 2 || *left[1].Key != "env" {
		t.Errorf("one of the spellings was deleted, left are %+v", left)
	}
	refused(t, create(slices.Repeat([]string{id}, 1001), cases...), 400, "InvalidParameterValue")
	refused(t, create([]string{id}, tag("aws:a", "")), 400, "InvalidParameterValue")
	var many []types.Tag
	for c := range 51 {
		many = append(many, tag(strings.Repeat("k", c+1), ""))
	}
	refused(t, create([]string{id}, many...), 400, "TagLimitExceeded")

	found, err := client.DescribeRegions(t.Context(), &awsec2.DescribeRegionsInput{AllRegions: aws.Bool(true)})
	if err != nil || len(found.Regions) != 2 {
		t.Fatalf("regions: %+v, %v", found, err)
	}
	if r := found.Regions; *r[1].RegionName != "on-prem-2" || *r[0].Endpoint != "sallyport.example:8443" {
		t.Errorf("regions: %+v", r)
	}
	zones := func(in awsec2.DescribeAvailabilityZonesInput) ([]types.AvailabilityZone, error) {
		out, err := client.DescribeAvailabilityZones(t.Context(), &in)
		if err != nil {
			return nil, err
		}
		return out.AvailabilityZones, nil
	}
	z, err := zones(awsec2.DescribeAvailabilityZonesInput{ZoneIds: []string{"on-prem-1-az2"}})
	if err != nil || len(z) != 1 || *z[0].ZoneName != "on-prem-1b" || z[0].State != "available" {
		t.Errorf("zones: %+v, %v", z, err)
	}
	_, err = zones(awsec2.DescribeAvailabilityZonesInput{ZoneNames: []string{"us-east-1a"}})
	refused(t, err, 400, "InvalidParameterValue")
}

// Tools ask for the type of an instance before they do anything with it. Every host is of the one type.
func TestInstanceTypes(t *testing.T) {
	w := newWorld(t)
	w.enroll(nil)
	client := ec2Client(w.root())
	instances, err := client.DescribeInstances(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	of := instances.Reservations[0].Instances[0].InstanceType
	for name, in := range map[string]*awsec2.DescribeInstanceTypesInput{
		"all":       {},
		"by name":   {InstanceTypes: []types.InstanceType{of}},
		"by filter": {Filters: filter("instance-type", "h*")},
	} {
		out, err := client.DescribeInstanceTypes(t.Context(), in)
		if err != nil || len(out.InstanceTypes) != 1 || out.InstanceTypes[0].InstanceType != of {
			t.Errorf("%s: %v, %+v", name, err, out)
		}
	}
	_, err = client.DescribeInstanceTypes(t.Context(), &awsec2.DescribeInstanceTypesInput{
		InstanceTypes: []types.InstanceType{"t3.micro"},
	})
	refused(t, err, 400, "InvalidInstanceType")
}
