package storetest

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/sallyport/sallyport/internal/access"
	"github.com/sallyport/sallyport/internal/compute"
	"github.com/sallyport/sallyport/internal/fault"
)

func computeTests() []test {
	return []test{
		{"HostTokens", hostTokens},
		{"PruneHostTokens", pruneHostTokens},
		{"EnrollHost", enrollHost},
		{"ReportHost", reportHost},
		{"TerminateInstances", terminateInstances},
		{"Instances", instances},
		{"Tags", tags},
		{"TagLimit", tagLimit},
	}
}

func sameAddress(a, b netip.Addr) bool { return a == b }

func (b *bench) token() compute.HostToken {
	n := b.number()
	return compute.HostToken{ID: fmt.Sprintf("ht-%d", n), Hash: []byte{0, byte(n)}, Region: "on-prem-1", Zone: "on-prem-1a",
		Tags: map[string]string{"Name": "gärtner"}, Created: b.reading(b.at(int(n))), Expires: b.at(int(n)).Add(time.Hour), Creator: "arn:mina"}
}

func (b *bench) instance(region string) compute.Instance {
	n := b.number()
	return compute.Instance{ID: fmt.Sprintf("i-%017x", n), Reservation: fmt.Sprintf("r-%017x", n), Region: region, Zone: region + "a",
		PublicKey: fmt.Appendf([]byte{0}, "key %d", n), Enrolled: b.at(int(n)), Tags: map[string]string{"Name": fmt.Sprint("host ", n), "empty": ""},
		Report: compute.Report{Hostname: "h", OS: "Debian GNU/Linux 12", Architecture: "x86_64", SSHPort: 22, Version: "1",
			Addresses: []netip.Addr{netip.MustParseAddr("10.0.0.7"), netip.MustParseAddr("fd00::7")},
			HostKeys:  []string{"ssh-ed25519 AAAA"}, Users: []string{"debian", "mina"}}}
}

// enroll makes an instance in the region.
func (b *bench) enroll(region string) compute.Instance {
	b.Helper()
	token, instance := b.token(), b.instance(region)
	b.ok(b.CreateHostToken(b.Context(), token, b.event("CreateHostToken")))
	b.ok(b.EnrollHost(b.Context(), token.ID, instance, b.event("EnrollHost")))
	return instance
}

func pruneHostTokens(b *bench) {
	ctx := b.Context()
	old, kept := b.token(), b.token()
	kept.Expires = old.Expires.Add(time.Hour)
	b.ok(b.CreateHostToken(ctx, old, b.event("CreateHostToken")))
	b.ok(b.CreateHostToken(ctx, kept, b.event("CreateHostToken")))
	b.ok(b.PruneHostTokens(ctx, old.Expires))
	_, err := b.HostToken(ctx, old.ID)
	b.ok(err)
	b.ok(b.PruneHostTokens(ctx, kept.Expires))
	_, err = b.HostToken(ctx, old.ID)
	b.fails(err, fault.NotFound, "host-token")
	_, err = b.HostToken(ctx, kept.ID)
	b.ok(err)
}

func hostTokens(b *bench) {
	ctx := b.Context()
	token := b.token()
	b.ok(b.CreateHostToken(ctx, token, b.event("CreateHostToken")))
	b.fails(b.CreateHostToken(ctx, token, b.event("Refused")), fault.Exists, "host-token")
	got, err := b.HostToken(ctx, token.ID)
	b.ok(err)
	b.same(got, token)
	bare := compute.HostToken{ID: "bare"}
	b.ok(b.CreateHostToken(ctx, bare, b.event("CreateHostToken")))
	got, err = b.HostToken(ctx, "bare")
	b.ok(err)
	b.same(got, bare)
	_, err = b.HostToken(ctx, "none")
	b.fails(err, fault.NotFound, "host-token")
	b.recorded("CreateHostToken", "CreateHostToken")
}

func enrollHost(b *bench) {
	ctx := b.Context()
	token := b.token()
	b.ok(b.CreateHostToken(ctx, token, b.event("CreateHostToken")))
	one, two := b.instance("on-prem-1"), b.instance("on-prem-1")
	b.ok(b.EnrollHost(ctx, token.ID, one, b.event("EnrollHost")))
	b.fails(b.EnrollHost(ctx, token.ID, two, b.event("Refused")), fault.NotFound, "host-token")
	_, err := b.HostToken(ctx, token.ID)
	b.fails(err, fault.NotFound, "host-token")
	_, err = b.Instance(ctx, two.ID)
	b.fails(err, fault.NotFound, "instance", fmt.Sprintf("The instance ID '%s' does not exist", two.ID))

	got, err := b.Instance(ctx, one.ID)
	b.ok(err)
	b.same(got, one)
	got, err = b.InstanceByKey(ctx, one.PublicKey)
	b.ok(err)
	b.same(got, one)
	_, err = b.InstanceByKey(ctx, two.PublicKey)
	b.fails(err, fault.NotFound, "instance")
	_, err = b.InstanceByKey(ctx, nil)
	b.fails(err, fault.NotFound, "instance")

	// The same agent again: refused as a whole, so that the token is still good.
	token = b.token()
	b.ok(b.CreateHostToken(ctx, token, b.event("CreateHostToken")))
	two.PublicKey = one.PublicKey
	b.fails(b.EnrollHost(ctx, token.ID, two, b.event("Refused")), fault.Exists, "instance")
	_, err = b.HostToken(ctx, token.ID)
	b.ok(err)
	b.ok(b.TerminateInstances(ctx, []string{one.ID}, b.at(99), b.event("TerminateInstances")))
	b.ok(b.EnrollHost(ctx, token.ID, two, b.event("EnrollHost")))
	got, err = b.InstanceByKey(ctx, one.PublicKey)
	b.ok(err)
	b.same(got.ID, two.ID)
	b.recorded("CreateHostToken", "EnrollHost", "CreateHostToken", "TerminateInstances", "EnrollHost")
}

func reportHost(b *bench) {
	ctx := b.Context()
	i := b.enroll("on-prem-1")
	other := b.enroll("on-prem-1")
	i.Report = compute.Report{Hostname: "renamed", SSHPort: 2222}
	i.LastSeen = b.at(77)
	b.ok(b.ReportHost(ctx, i.ID, i.Report, b.event("ReportHost")))
	b.ok(b.SeeHost(ctx, i.ID, i.LastSeen))
	got, err := b.Instance(ctx, i.ID)
	b.ok(err)
	b.same(got, i)
	got, err = b.Instance(ctx, other.ID)
	b.ok(err)
	b.same(got, other)
	b.fails(b.ReportHost(ctx, "i-0", i.Report, b.event("Refused")), fault.NotFound, "instance")
	b.fails(b.SeeHost(ctx, "i-0", i.LastSeen), fault.NotFound, "instance")
	b.recorded("CreateHostToken", "EnrollHost", "CreateHostToken", "EnrollHost", "ReportHost")
}

func terminateInstances(b *bench) {
	ctx := b.Context()
	one, two, three := b.enroll("on-prem-1"), b.enroll("on-prem-1"), b.enroll("on-prem-1")
	now := b.at(1000)
	for n, i := range []compute.Instance{one, two, three} {
		b.ok(b.PutGrant(ctx, access.Grant{RequestID: fmt.Sprint("grant ", n), InstanceID: i.ID, Issued: b.reading(now), Expires: now.Add(time.Minute)}, b.event("e")))
	}
	live := func(i compute.Instance, want int) {
		b.Helper()
		grants, err := b.LiveGrants(ctx, i.ID, boot, now.Add(time.Second))
		b.ok(err)
		b.same(len(grants), want)
	}
	b.fails(b.TerminateInstances(ctx, []string{one.ID, "i-b", two.ID, "i-a", "i-b"}, now, b.event("Refused")), fault.NotFound, "instance",
		"The instance IDs 'i-b, i-a' do not exist")
	b.fails(b.TerminateInstances(ctx, []string{one.ID, "i-b"}, now, b.event("Refused")), fault.NotFound, "instance", "The instance ID 'i-b' does not exist")
	live(one, 1)

	b.ok(b.TerminateInstances(ctx, []string{one.ID}, now.Add(time.Second), b.event("TerminateInstances")))
	b.ok(b.TerminateInstances(ctx, []string{two.ID, one.ID, two.ID}, now.Add(2*time.Second), b.event("TerminateInstances")))
	for _, c := range []struct {
		compute.Instance
		terminated time.Time
		live       int
	}{{one, now.Add(time.Second), 0}, {two, now.Add(2 * time.Second), 0}, {three, time.Time{}, 1}} {
		got, err := b.Instance(ctx, c.ID)
		b.ok(err)
		b.same(got.Terminated, c.terminated)
		live(c.Instance, c.live)
	}
	_, err := b.InstanceByKey(ctx, one.PublicKey)
	b.fails(err, fault.NotFound, "instance")
	b.fails(b.ReportHost(ctx, one.ID, one.Report, b.event("Refused")), fault.NotFound, "instance")

	// A grant that was on its way while the instance ended opens nothing.
	b.ok(b.PutGrant(ctx, access.Grant{RequestID: "late", InstanceID: one.ID, Issued: b.reading(now), Expires: now.Add(time.Minute)}, b.event("e")))
	live(one, 0)
}

func instances(b *bench) {
	ctx := b.Context()
	one, two := b.enroll("on-prem-1"), b.enroll("on-prem-1")
	far := b.enroll("on-prem-2")
	gone := b.at(500)
	two.Terminated = gone
	b.ok(b.TerminateInstances(ctx, []string{two.ID}, gone, b.event("e")))
	for _, c := range []struct {
		region string
		after  time.Time
		want   []compute.Instance
	}{
		{"on-prem-1", gone, []compute.Instance{one, two}},
		{"on-prem-1", gone.Add(time.Microsecond), []compute.Instance{one}},
		{"on-prem-1", time.Time{}, []compute.Instance{one, two}},
		{"on-prem-2", gone, []compute.Instance{far}},
		{"on-prem-3", gone, nil},
	} {
		got, err := b.Instances(ctx, c.region, c.after)
		b.ok(err)
		b.same(got, c.want)
	}
}

func tags(b *bench) {
	ctx := b.Context()
	one, two, far := b.enroll("on-prem-1"), b.enroll("on-prem-1"), b.enroll("on-prem-2")
	tag := func(id, key, value string) compute.Tag {
		return compute.Tag{ResourceID: id, ResourceType: "instance", Key: key, Value: value}
	}
	want := func(id string, want map[string]string) {
		b.Helper()
		got, err := b.ResourceTags(ctx, id)
		b.ok(err)
		b.same(got, want)
	}
	every := b.matches(one.ID, "", nil)
	b.ok(b.DeleteTags(ctx, append(every, b.matches(two.ID, "", nil)...), b.event("DeleteTags")))
	want(one.ID, map[string]string{})
	b.ok(b.PutTags(ctx, []compute.Tag{tag(two.ID, "a", "1"), tag(one.ID, "b", "2"), tag(one.ID, "A", "3"), tag(one.ID, "b", "4")}, b.event("CreateTags")))
	b.fails(b.PutTags(ctx, []compute.Tag{tag(one.ID, "never", ""), tag("i-none", "a", "")}, b.event("Refused")), fault.NotFound, "instance")
	want(one.ID, map[string]string{"A": "3", "b": "4"})
	all, err := b.Tags(ctx, "on-prem-1")
	b.ok(err)
	b.same(all, []compute.Tag{tag(one.ID, "A", "3"), tag(one.ID, "b", "4"), tag(two.ID, "a", "1")})
	got, err := b.Instance(ctx, one.ID)
	b.ok(err)
	b.same(got.Tags, map[string]string{"A": "3", "b": "4"})
	want(far.ID, far.Tags)
	want("i-none", map[string]string{})

	other, equal := "other", "4"
	b.ok(b.DeleteTags(ctx, b.matches(one.ID, "b", &other), b.event("DeleteTags")))
	want(one.ID, map[string]string{"A": "3", "b": "4"})
	b.ok(b.DeleteTags(ctx, append(b.matches(one.ID, "b", &equal), b.matches(one.ID, "missing", nil)...), b.event("DeleteTags")))
	want(one.ID, map[string]string{"A": "3"})
	b.ok(b.DeleteTags(ctx, b.matches(one.ID, "A", nil), b.event("DeleteTags")))
	want(one.ID, map[string]string{})
}

func (b *bench) matches(id, key string, value *string) []compute.TagMatch {
	return []compute.TagMatch{{ResourceID: id, Key: key, Value: value}}
}

func tagLimit(b *bench) {
	ctx := b.Context()
	i := b.enroll("on-prem-1") // which has two
	batch := func(from, to int) (tags []compute.Tag) {
		for n := from; n < to; n++ {
			tags = append(tags, compute.Tag{ResourceID: i.ID, ResourceType: "instance", Key: fmt.Sprint("k", n), Value: "v"})
		}
		return tags
	}
	b.fails(b.PutTags(ctx, batch(0, 49), b.event("Refused")), fault.Limit, "tag")
	b.ok(b.PutTags(ctx, batch(0, 48), b.event("CreateTags")))
	b.ok(b.PutTags(ctx, batch(0, 48), b.event("CreateTags")))
	b.fails(b.PutTags(ctx, batch(48, 49), b.event("Refused")), fault.Limit, "tag")
	got, err := b.ResourceTags(ctx, i.ID)
	b.ok(err)
	b.same(len(got), 50)
	b.recorded("CreateHostToken", "EnrollHost", "CreateTags", "CreateTags")
}
