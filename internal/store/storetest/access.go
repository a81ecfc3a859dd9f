package storetest

import (
	"fmt"
	"time"

	"github.com/sallyport/sallyport/internal/access"
	"github.com/sallyport/sallyport/internal/clock"
	"github.com/sallyport/sallyport/internal/fault"
	"github.com/sallyport/sallyport/internal/keyblob"
	"github.com/sallyport/sallyport/internal/trail"
)

func accessTests() []test {
	return []test{
		{"Grants", grants},
		{"PruneGrants", pruneGrants},
	}
}

// boot is the boot in which all things of these tests began.
const boot = "c1a2b3c4-0000-4000-8000-000000000001"

// reading is what the clocks showed at the time.
func (b *bench) reading(at time.Time) clock.Reading {
	return clock.Reading{Time: at, Boot: boot, Uptime: time.Hour + at.Sub(b.start)}
}

func (b *bench) grant(instanceID string, issued time.Time) access.Grant {
	n := b.number()
	return access.Grant{RequestID: fmt.Sprint("request ", n), InstanceID: instanceID, OSUser: "debian", PublicKey: "ssh-ed25519 AAAA",
		Caller: trail.Identity{Type: "IAMUser", PrincipalID: "AIDAX", ARN: "arn:mina", AccountID: "1", AccessKeyID: "AKIAX", UserName: "mina"},
		Issued: b.reading(issued), Expires: issued.Add(access.GrantLifetime),
		Blob: keyblob.Blob{Text: "#Timestamp=1\nssh-ed25519 AAAA\n", Signature: []byte{0, 1, 2}, Signer: []byte{0x30, 0}}}
}

func grants(b *bench) {
	ctx := b.Context()
	one, two := b.enroll("on-prem-1"), b.enroll("on-prem-1")
	now := b.at(1000)
	first, second, other := b.grant(one.ID, now), b.grant(one.ID, now.Add(time.Second)), b.grant(two.ID, now)
	for _, g := range []access.Grant{second, first, other} {
		b.ok(b.PutGrant(ctx, g, b.event("SendSSHPublicKey")))
	}
	if err := b.PutGrant(ctx, first, b.event("Refused")); err == nil {
		b.Fatal("one request granted twice")
	}
	got, err := b.Grant(ctx, one.ID, first.RequestID)
	b.ok(err)
	b.same(got, first)
	_, err = b.Grant(ctx, two.ID, first.RequestID)
	b.fails(err, fault.NotFound, "grant")
	_, err = b.Grant(ctx, first.RequestID, one.ID) // parameters bound by order of appearance would find this one
	b.fails(err, fault.NotFound, "grant")

	live := func(at time.Time, want ...access.Grant) {
		b.Helper()
		got, err := b.LiveGrants(ctx, one.ID, boot, at)
		b.ok(err)
		b.same(got, want)
	}
	live(now, first, second)
	live(first.Expires.Add(-time.Microsecond), first, second)
	live(first.Expires, second)
	live(second.Expires)
	if got, err := b.LiveGrants(ctx, one.ID, "another boot", now); err != nil || len(got) != 0 {
		b.Fatalf("live after a reboot: %v, %v", got, err)
	}
	b.ok(b.WithdrawGrant(ctx, first.RequestID))
	b.ok(b.WithdrawGrant(ctx, first.RequestID))
	live(now, second)
	b.fails(b.WithdrawGrant(ctx, "none"), fault.NotFound, "grant")
	got, err = b.Grant(ctx, one.ID, first.RequestID)
	b.ok(err)
	b.same(got, first)
	b.recorded("CreateHostToken", "EnrollHost", "CreateHostToken", "EnrollHost", "SendSSHPublicKey", "SendSSHPublicKey", "SendSSHPublicKey")
}

func pruneGrants(b *bench) {
	ctx := b.Context()
	i := b.enroll("on-prem-1")
	now := b.at(1000)
	old, kept := b.grant(i.ID, now), b.grant(i.ID, now.Add(time.Hour))
	b.ok(b.PutGrant(ctx, old, b.event("e")))
	b.ok(b.PutGrant(ctx, kept, b.event("e")))
	b.ok(b.PruneGrants(ctx, old.Expires))
	_, err := b.Grant(ctx, i.ID, old.RequestID)
	b.ok(err)
	b.ok(b.PruneGrants(ctx, old.Expires.Add(time.Microsecond)))
	_, err = b.Grant(ctx, i.ID, old.RequestID)
	b.fails(err, fault.NotFound, "grant")
	_, err = b.Grant(ctx, i.ID, kept.RequestID)
	b.ok(err)
}
