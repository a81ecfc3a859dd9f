package storetest

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/sallyport/sallyport/internal/access"
	"github.com/sallyport/sallyport/internal/compute"
	"github.com/sallyport/sallyport/internal/fault"
	"github.com/sallyport/sallyport/internal/iam"
	"github.com/sallyport/sallyport/internal/trail"
)

func concurrencyTests() []test {
	return []test{
		{"TokenRedeemedOnce", tokenRedeemedOnce},
		{"ThirdAccessKey", thirdAccessKey},
		{"SameUserTwice", sameUserTwice},
		{"SixthVersion", sixthVersion},
		{"PolicyThatComesAndGoes", policyThatComesAndGoes},
		{"FiftyFirstTag", fiftyFirstTag},
		{"Grants", manyGrants},
		{"OneFailsOthersLive", oneFailsOthersLive},
		{"CancelledContext", cancelledContext},
	}
}

// crowd runs fn at the same time in n goroutines and returns what each answered.
func crowd(n int, fn func(i int) error) []error {
	errs := make([]error, n)
	gate := make(chan struct{})
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			<-gate
			errs[i] = fn(i)
		})
	}
	close(gate)
	all.Wait()
	return errs
}

// succeeded fails the test unless n of the errors are nil and the others are such faults.
func (b *bench) succeeded(errs []error, n int, kind fault.Kind, resource string) {
	b.Helper()
	for _, err := range errs {
		if err == nil {
			n--
		} else {
			b.fails(err, kind, resource)
		}
	}
	if n != 0 {
		b.Fatalf("%d more than wanted succeeded", -n)
	}
}

func tokenRedeemedOnce(b *bench) {
	ctx := b.Context()
	token := b.token()
	b.ok(b.CreateHostToken(ctx, token, b.event("CreateHostToken")))
	hosts := make([]compute.Instance, 20)
	for i := range hosts {
		hosts[i] = b.instance("on-prem-1")
	}
	errs := crowd(len(hosts), func(i int) error { return b.EnrollHost(ctx, token.ID, hosts[i], b.event("EnrollHost")) })
	b.succeeded(errs, 1, fault.NotFound, "host-token")
	found, err := b.Instances(ctx, "on-prem-1", time.Time{})
	b.ok(err)
	b.same(len(found), 1)
	b.recorded("CreateHostToken", "EnrollHost")
}

func thirdAccessKey(b *bench) {
	ctx := b.Context()
	b.addUser("mina")
	b.addKey("mina")
	errs := crowd(8, func(int) error { return b.CreateAccessKey(ctx, b.key("mina"), b.event("CreateAccessKey")) })
	b.succeeded(errs, 1, fault.Limit, "access-key")
	keys, err := b.AccessKeys(ctx, "mina")
	b.ok(err)
	b.same(len(keys), 2)
}

func sameUserTwice(b *bench) {
	ctx := b.Context()
	names := []string{"mina", "Mina", "MINA", "mINA"}
	errs := crowd(8, func(i int) error { return b.CreateUser(ctx, b.user(names[i%len(names)]), b.event("CreateUser")) })
	b.succeeded(errs, 1, fault.Exists, "user")
	b.recorded("CreateUser")
}

func sixthVersion(b *bench) {
	ctx := b.Context()
	p := b.addPolicy("p", "1")
	errs := crowd(10, func(int) error {
		_, err := b.CreatePolicyVersion(ctx, p.ARN, b.version("x"), false, func(iam.PolicyVersion) trail.Event { return b.event("e") })
		return err
	})
	b.succeeded(errs, 4, fault.Limit, "policy-version")
	versions, err := b.PolicyVersions(ctx, p.ARN)
	b.ok(err)
	for i, v := range versions {
		b.same(v.ID, fmt.Sprint("v", 5-i))
	}
}

// policyThatComesAndGoes: whoever lists the versions of a policy while it is deleted was told that it had none, which
// no policy ever has.
func policyThatComesAndGoes(b *bench) {
	ctx := b.Context()
	gone := make(chan struct{})
	errs := crowd(4, func(i int) error {
		if i == 0 {
			defer close(gone)
			for range 300 {
				p := b.policy("p")
				if err := b.CreatePolicy(ctx, p, b.version("1"), b.event("CreatePolicy")); err != nil {
					return err
				}
				if err := b.DeletePolicy(ctx, p.ARN, b.event("DeletePolicy")); err != nil {
					return err
				}
			}
			return nil
		}
		for {
			select {
			case <-gone:
				return nil
			default:
			}
			versions, err := b.PolicyVersions(ctx, b.policy("p").ARN)
			if err == nil && len(versions) != 1 {
				return fmt.Errorf("it has %d versions", len(versions))
			}
			if err != nil && !fault.Is(err, fault.NotFound) {
				return err
			}
		}
	})
	b.succeeded(errs, len(errs), fault.Internal, "")
}

func fiftyFirstTag(b *bench) {
	ctx := b.Context()
	i := b.enroll("on-prem-1") // which has two
	var most []compute.Tag
	for n := range 46 {
		most = append(most, compute.Tag{ResourceID: i.ID, ResourceType: "instance", Key: fmt.Sprint(n)})
	}
	b.ok(b.PutTags(ctx, most, b.event("CreateTags")))
	errs := crowd(6, func(n int) error {
		return b.PutTags(ctx, []compute.Tag{{ResourceID: i.ID, ResourceType: "instance", Key: fmt.Sprint("late ", n)}}, b.event("CreateTags"))
	})
	b.succeeded(errs, 2, fault.Limit, "tag")
}

func manyGrants(b *bench) {
	ctx := b.Context()
	i := b.enroll("on-prem-1")
	now := b.at(0)
	errs := crowd(64, func(int) error { return b.PutGrant(ctx, b.grant(i.ID, now), b.event("SendSSHPublicKey")) })
	b.succeeded(errs, len(errs), fault.Internal, "")
	live, err := b.LiveGrants(ctx, i.ID, boot, now)
	b.ok(err)
	b.same(len(live), 64)
	entries, err := b.Events(ctx, trail.Query{Attribute: "EventName", Value: "SendSSHPublicKey"})
	b.ok(err)
	b.same(len(entries), 64)
}

// oneFailsOthersLive: transactions that share a commit do not share their fate.
func oneFailsOthersLive(b *bench) {
	ctx := b.Context()
	i := b.enroll("on-prem-1")
	twice := b.grant(i.ID, b.at(0))
	b.ok(b.PutGrant(ctx, twice, b.event("SendSSHPublicKey")))
	errs := crowd(40, func(n int) error {
		if n%2 == 0 {
			return b.PutGrant(ctx, twice, b.event("Refused"))
		}
		return b.PutGrant(ctx, b.grant(i.ID, b.at(0)), b.event("SendSSHPublicKey"))
	})
	b.succeeded(errs, 20, fault.Internal, "")
	entries, err := b.Events(ctx, trail.Query{Attribute: "EventName", Value: "SendSSHPublicKey"})
	b.ok(err)
	b.same(len(entries), 21)
	entries, err = b.Events(ctx, trail.Query{Attribute: "EventName", Value: "Refused"})
	b.ok(err)
	b.same(len(entries), 0)
}

// cancelledContext: whatever the moment at which a caller goes, the answer tells whether the write was made.
func cancelledContext(b *bench) {
	i := b.enroll("on-prem-1")
	grants := make([]access.Grant, 60)
	for n := range grants {
		grants[n] = b.grant(i.ID, b.at(0))
	}
	errs := crowd(len(grants), func(n int) error {
		ctx, cancel := context.WithCancel(b.Context())
		defer cancel()
		timer := time.AfterFunc(time.Duration(n)*50*time.Microsecond, cancel)
		defer timer.Stop()
		return b.PutGrant(ctx, grants[n], b.event("SendSSHPublicKey"))
	})
	for n, err := range errs {
		_, absent := b.Grant(b.Context(), i.ID, grants[n].RequestID)
		if (err == nil) != (absent == nil) {
			b.Fatalf("grant %d: the write said %v, a read says %v", n, err, absent)
		}
	}
	ctx, cancel := context.WithCancel(b.Context())
	cancel()
	if err := b.PutGrant(ctx, b.grant(i.ID, b.at(0)), b.event("Refused")); err == nil {
		b.Fatal("a write began for a caller who had gone")
	}
}
