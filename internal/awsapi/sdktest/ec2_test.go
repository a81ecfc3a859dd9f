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

func TestDescribeInstances(t *testing.T) {
	w := newWorld(t)
	client := ec2Client(w.root())
	id := w.enroll(map[string]string{"Name": "web", "team": "a"})
	out, err := client.DescribeInstances(t.Context(), &awsec2.DescribeInstancesInput{InstanceIds: []string{id}})
	if err != nil {
		t.Fatal(err)
	}
	if len(out.Reservations) != 1 || len(out.Reservations[0].Instances) != 1 || aws.ToString(out.Reservations[0].OwnerId) != account {
		t.Fatalf("reservations: %+v", out.Reservations)
	}
	i := out.Reservations[0].Instances[0]
	got := []string{
		*i.InstanceId, string(i.State.Name), *i.Placement.AvailabilityZoneId, *i.PrivateIpAddress, *i.PublicIpAddress, *i.Ipv6Address,
		*i.PrivateDnsName, string(i.Architecture), *i.PlatformDetails, *i.Tags[0].Key, *i.Tags[0].Value, *i.Tags[1].Key,
	}
	expected := []string{id, "running", "on-prem-1-az1", "10.0.0.7", "198.51.100.7", "2001:db8::7", "web-1", "x86_64", "Linux/UNIX", "Name", "web", "team"}
	if !slices.Equal(got, expected) || *i.State.Code != 16 || time.Since(*i.LaunchTime) > time.Hour || i.LaunchTime.Nanosecond() != 0 || i.StateReason != nil {
		t.Errorf("got %v, %v, want %v", got, i.LaunchTime, expected)
	}
	if e := w.last(); e.Name != "DescribeInstances" || !e.ReadOnly || e.Identity.Type != "Root" || e.ErrorCode != "" {
		t.Errorf("the event is %+v", e)
	}

	waiter := awsec2.NewInstanceRunningWaiter(client)
	if err := waiter.Wait(t.Context(), &awsec2.DescribeInstancesInput{InstanceIds: []string{id}}, wait.Patience); err != nil {
		t.Errorf("the SDK's waiter: %v", err)
	}
	bare, err := client.DescribeInstances(t.Context(), &awsec2.DescribeInstancesInput{InstanceIds: []string{w.enroll(nil)}})
	if err != nil || bare.Reservations[0].Instances[0].Tags != nil {
		t.Errorf("an instance without tags: %+v, %v", bare, err)
	}
	w.Dismiss(t.Context(), id)
	out, err = client.DescribeInstances(t.Context(), &awsec2.DescribeInstancesInput{InstanceIds: []string{id}})
	if err != nil {
		t.Fatal(err)
	}
	if i = out.Reservations[0].Instances[0]; i.State.Name != types.InstanceStateNameStopped || i.StateReason == nil || !strings.Contains(*i.StateReason.Message, "not connected") && !strings.Contains(*i.StateReason.Message, "never been") {
		t.Errorf("unlinked: %+v, %+v", i.State, i.StateReason)
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
	state := []types.Filter{{Name: aws.String("instance-state-name"), Values: []string{"running"}}}
	refused(t, describe(awsec2.DescribeInstancesInput{InstanceIds: []string{"i-1"}}), 400, "InvalidInstanceID.Malformed")
	if says := refused(t, describe(awsec2.DescribeInstancesInput{InstanceIds: []string{id, none}}), 400, "InvalidInstanceID.NotFound"); says != "The instance ID '"+none+"' does not exist" {
		t.Errorf("it says %q", says)
	}
	filter := []types.Filter{{Name: aws.String("vpc-id"), Values: []string{"vpc-1"}}}
	if says := refused(t, describe(awsec2.DescribeInstancesInput{Filters: filter}), 400, "InvalidParameterValue"); says != "The filter 'vpc-id' is invalid" {
		t.Errorf("it says %q", says)
	}
	refused(t, describe(awsec2.DescribeInstancesInput{MaxResults: aws.Int32(5), InstanceIds: []string{id}}), 400, "InvalidParameterCombination")
	refused(t, describe(awsec2.DescribeInstancesInput{MaxResults: aws.Int32(4)}), 400, "InvalidParameterValue")
	refused(t, describe(awsec2.DescribeInstancesInput{MaxResults: aws.Int32(0)}), 400, "InvalidParameterValue")
	refused(t, describe(awsec2.DescribeInstancesInput{NextToken: aws.String("x")}), 400, "InvalidPaginationToken")
	refused(t, describe(awsec2.DescribeInstancesInput{Filters: slices.Repeat(state, 51)}), 400, "FilterLimitExceeded")
	refused(t, describe(awsec2.DescribeInstancesInput{InstanceIds: slices.Repeat([]string{id}, 1001)}), 400, "InvalidParameterValue")
	refused(t, describe(awsec2.DescribeInstancesInput{DryRun: aws.Bool(true)}), 412, "DryRunOperation")

	_, err := client.RunInstances(t.Context(), &awsec2.RunInstancesInput{MinCount: aws.Int32(1), MaxCount: aws.Int32(1)})
	refused(t, err, 400, "InvalidAction")
	_, err = client.TerminateInstances(t.Context(), &awsec2.TerminateInstancesInput{InstanceIds: []string{id}, SkipOsShutdown: aws.Bool(true)})
	if says := refused(t, err, 400, "UnsupportedOperation"); !strings.Contains(says, "SkipOsShutdown") {
		t.Errorf("it says %q", says)
	}

	ghost := w.root()
	ghost.Region = "us-east-1"
	_, err = ec2Client(ghost).DescribeRegions(t.Context(), &awsec2.DescribeRegionsInput{})
	if says := refused(t, err, 401, "AuthFailure"); !strings.Contains(says, region) {
		t.Errorf("it says %q", says)
	}
	bad := w.root()
	w.mu.Lock()
	clear(w.principals)
	w.mu.Unlock()
	_, err = ec2Client(bad).DescribeRegions(t.Context(), &awsec2.DescribeRegionsInput{})
	refused(t, err, 401, "AuthFailure")
}

// Policies written for EC2 decide by where a request goes and what an instance is.
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
		user := ec2Client(w.user("alice", `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"ec2:*","Resource":"*","Condition":{`+condition+`}}}`))
		_, err := user.TerminateInstances(t.Context(), &awsec2.TerminateInstancesInput{InstanceIds: []string{a}, DryRun: aws.Bool(true)})
		if allowed {
			refused(t, err, 412, "DryRunOperation")
		} else {
			refused(t, err, 403, "UnauthorizedOperation")
		}
	}
	elsewhere := w.user("carol", `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"ec2:*","Resource":"*",
		"Condition":{"StringEquals":{"ec2:AvailabilityZone":"on-prem-1a"}}}}`)
	elsewhere.Region = "on-prem-2"
	_, err := ec2Client(elsewhere).TerminateInstances(t.Context(), &awsec2.TerminateInstancesInput{InstanceIds: []string{a}})
	refused(t, err, 403, "UnauthorizedOperation") // another region's instance has no zone there
	here := ec2Client(w.user("bob", `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"ec2:Describe*","Resource":"*",
		"Condition":{"StringEquals":{"ec2:Region":"on-prem-1"},"Null":{"ec2:InstanceID":"true"}}}}`))
	if _, err := here.DescribeInstances(t.Context(), &awsec2.DescribeInstancesInput{}); err != nil {
		t.Errorf("a listing by region: %v", err)
	}
}

func TestEC2Denials(t *testing.T) {
	w := newWorld(t)
	mine, other := w.enroll(map[string]string{"team": "a"}), w.enroll(map[string]string{"team": "b"})
	alice := ec2Client(w.user("alice", `{"Version":"2012-10-17","Statement":[
		{"Effect":"Allow","Action":"ec2:Describe*","Resource":"*"},
		{"Effect":"Allow","Action":["ec2:TerminateInstances"],"Resource":"*","Condition":{"StringEquals":{"aws:ResourceTag/team":"a"}}},
		{"Effect":"Allow","Action":"ec2:CreateTags","Resource":"*","Condition":{"StringEquals":{"aws:RequestTag/team":"a"},"ForAllValues:StringEquals":{"aws:TagKeys":["team","Name"]}}},
		{"Sid":"NoUntag","Effect":"Deny","Action":"ec2:DeleteTags","Resource":"*"}]}`))
	_, err := alice.TerminateInstances(t.Context(), &awsec2.TerminateInstancesInput{InstanceIds: []string{mine, other}})
	says := refused(t, err, 403, "UnauthorizedOperation")
	expected := "You are not authorized to perform this operation. User: arn:aws:iam::" + account + ":user/alice is not authorized to perform: ec2:TerminateInstances on resource: arn:aws:ec2:" + region + ":" + account + ":instance/" + other + " because no identity-based policy allows the ec2:TerminateInstances action"
	if says != expected {
		t.Errorf("it says\n%s, want\n%s", says, expected)
	}
	if e := w.last(); e.ErrorCode != "Client.UnauthorizedOperation" || e.Identity.UserName != "alice" || e.Response != nil {
		t.Errorf("the event is %+v", e)
	}
	if _, err = alice.TerminateInstances(t.Context(), &awsec2.TerminateInstancesInput{InstanceIds: []string{mine}, DryRun: aws.Bool(true)}); err != nil {
		refused(t, err, 412, "DryRunOperation")
	}
	_, err = alice.DeleteTags(t.Context(), &awsec2.DeleteTagsInput{Resources: []string{mine}})
	if says := refused(t, err, 403, "UnauthorizedOperation"); !strings.Contains(says, "explicit deny") || !strings.Contains(says, "NoUntag") {
		t.Errorf("it says %q", says)
	}
	tag := func(key, value string) error {
		_, err := alice.CreateTags(t.Context(), &awsec2.CreateTagsInput{Resources: []string{mine}, Tags: []types.Tag{{Key: aws.String("team"), Value: aws.String("a")}, {Key: &key, Value: &value}}})
		return err
	}
	refused(t, tag("other", ""), 403, "UnauthorizedOperation")
	refused(t, tag("Team", "b"), 403, "UnauthorizedOperation") // a second tag, by which the condition on the first does not hold
	refused(t, tag("team", "b"), 400, "InvalidParameterValue")
	if err := tag("Name", "x"); err != nil {
		t.Error(err)
	}
	_, err = ec2Client(w.user("bob", "")).DescribeInstances(t.Context(), &awsec2.DescribeInstancesInput{})
	refused(t, err, 403, "UnauthorizedOperation")
}

func TestTerminateInstances(t *testing.T) {
	w := newWorld(t)
	client := ec2Client(w.root())
	a, b := w.enroll(nil), w.enroll(nil)
	_, err := client.TerminateInstances(t.Context(), &awsec2.TerminateInstancesInput{InstanceIds: []string{a, "i-00000000"}})
	refused(t, err, 400, "InvalidInstanceID.NotFound")
	_, err = client.TerminateInstances(t.Context(), &awsec2.TerminateInstancesInput{InstanceIds: []string{}})
	if says := refused(t, err, 400, "InvalidParameterCombination"); says != "No instances specified" {
		t.Errorf("it says %q", says)
	}
	if len(w.dismissed) != 0 {
		t.Fatal("one bad id, and something was done")
	}
	out, err := client.TerminateInstances(t.Context(), &awsec2.TerminateInstancesInput{InstanceIds: []string{a}})
	if err != nil {
		t.Fatal(err)
	}
	if c := out.TerminatingInstances[0]; *c.InstanceId != a || c.PreviousState.Name != "running" || c.CurrentState.Name != "terminated" || !slices.Equal(w.dismissed, []string{a}) {
		t.Errorf("changed %+v, dismissed %v", c, w.dismissed)
	}
	e := w.last()
	if items, _ := e.Response["instancesSet"].(map[string]any); items == nil || len(e.Resources) != 1 || e.Resources[0].Name() != a {
		t.Errorf("the event is %+v", e)
	}
	statuses, err := client.DescribeInstanceStatus(t.Context(), &awsec2.DescribeInstanceStatusInput{})
	if err != nil || len(statuses.InstanceStatuses) != 1 || *statuses.InstanceStatuses[0].InstanceId != b || statuses.InstanceStatuses[0].InstanceStatus.Status != "ok" {
		t.Errorf("statuses: %+v, %v", statuses, err)
	}
	statuses, err = client.DescribeInstanceStatus(t.Context(), &awsec2.DescribeInstanceStatusInput{IncludeAllInstances: aws.Bool(true), Filters: []types.Filter{{Name: aws.String("instance-state-name"), Values: []string{"terminated"}}}})
	if err != nil || len(statuses.InstanceStatuses) != 1 || *statuses.InstanceStatuses[0].InstanceId != a || statuses.InstanceStatuses[0].SystemStatus.Status != "not-applicable" {
		t.Errorf("statuses: %+v, %v", statuses, err)
	}
	waiter := awsec2.NewInstanceTerminatedWaiter(client)
	if err := waiter.Wait(t.Context(), &awsec2.DescribeInstancesInput{InstanceIds: []string{a}}, wait.Patience); err != nil {
		t.Errorf("the SDK's waiter: %v", err)
	}
}

func TestTagsAndPlaces(t *testing.T) {
	w := newWorld(t)
	client := ec2Client(w.root())
	id := w.enroll(nil)
	if _, err := client.CreateTags(t.Context(), &awsec2.CreateTagsInput{Resources: []string{id}, Tags: []types.Tag{{Key: aws.String("a"), Value: aws.String("1")}, {Key: aws.String("b")}}}); err != nil {
		t.Fatal(err)
	}
	if _, err := client.DeleteTags(t.Context(), &awsec2.DeleteTagsInput{Resources: []string{id}, Tags: []types.Tag{{Key: aws.String("a"), Value: aws.String("2")}, {Key: aws.String("b"), Value: aws.String("")}}}); err != nil {
		t.Fatal(err)
	}
	tags, err := client.DescribeTags(t.Context(), &awsec2.DescribeTagsInput{Filters: []types.Filter{{Name: aws.String("resource-id"), Values: []string{id}}}})
	if err != nil || len(tags.Tags) != 1 || *tags.Tags[0].Key != "a" || tags.Tags[0].ResourceType != types.ResourceTypeInstance {
		t.Errorf("tags: %+v, %v", tags, err)
	}
	for _, bad := range []string{"vol-0123456789abcdef0", "web", "i-", "Name=web"} {
		_, err = client.CreateTags(t.Context(), &awsec2.CreateTagsInput{Resources: []string{id, bad}, Tags: []types.Tag{{Key: aws.String("a")}}})
		refused(t, err, 400, "InvalidID")
	}
	cases := []types.Tag{{Key: aws.String("Env"), Value: aws.String("1")}, {Key: aws.String("env"), Value: aws.String("2")}}
	if _, err := client.CreateTags(t.Context(), &awsec2.CreateTagsInput{Resources: []string{id}, Tags: cases}); err != nil {
		t.Errorf("keys of two spellings are two: %v", err)
	}
	if _, err := client.DeleteTags(t.Context(), &awsec2.DeleteTagsInput{Resources: []string{id}, Tags: cases[:1]}); err != nil {
		t.Error(err)
	}
	out, err := client.DescribeInstances(t.Context(), &awsec2.DescribeInstancesInput{InstanceIds: []string{id}})
	if err != nil || len(out.Reservations[0].Instances[0].Tags) != 2 || *out.Reservations[0].Instances[0].Tags[1].Key != "env" {
		t.Errorf("one of the spellings was deleted, left are %+v, %v", out, err)
	}
	crowd := slices.Repeat([]string{id}, 1001)
	_, err = client.CreateTags(t.Context(), &awsec2.CreateTagsInput{Resources: crowd, Tags: cases})
	refused(t, err, 400, "InvalidParameterValue")
	_, err = client.CreateTags(t.Context(), &awsec2.CreateTagsInput{Resources: []string{id}, Tags: []types.Tag{{Key: aws.String("aws:a")}}})
	refused(t, err, 400, "InvalidParameterValue")
	var many []types.Tag
	for c := range 51 {
		many = append(many, types.Tag{Key: aws.String(strings.Repeat("k", c+1))})
	}
	_, err = client.CreateTags(t.Context(), &awsec2.CreateTagsInput{Resources: []string{id}, Tags: many})
	refused(t, err, 400, "TagLimitExceeded")

	regions, err := client.DescribeRegions(t.Context(), &awsec2.DescribeRegionsInput{AllRegions: aws.Bool(true)})
	if err != nil || len(regions.Regions) != 2 || *regions.Regions[1].RegionName != "on-prem-2" || *regions.Regions[0].Endpoint != "sallyport.example:8443" {
		t.Errorf("regions: %+v, %v", regions, err)
	}
	zones, err := client.DescribeAvailabilityZones(t.Context(), &awsec2.DescribeAvailabilityZonesInput{ZoneIds: []string{"on-prem-1-az2"}})
	if err != nil || len(zones.AvailabilityZones) != 1 || *zones.AvailabilityZones[0].ZoneName != "on-prem-1b" || zones.AvailabilityZones[0].State != types.AvailabilityZoneStateAvailable {
		t.Errorf("zones: %+v, %v", zones, err)
	}
	_, err = client.DescribeAvailabilityZones(t.Context(), &awsec2.DescribeAvailabilityZonesInput{ZoneNames: []string{"us-east-1a"}})
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
		"by filter": {Filters: []types.Filter{{Name: aws.String("instance-type"), Values: []string{"h*"}}}},
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
