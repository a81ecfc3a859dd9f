package access_test

import (
	"crypto/rand"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/internal/access"
	"github.com/sallyport/sallyport/internal/fault"
	"github.com/sallyport/sallyport/internal/resource"
	"github.com/sallyport/sallyport/internal/trail"
	"github.com/sallyport/sallyport/internal/uuid"
)

func (w *world) release(g access.Grant) access.Release {
	return access.Release{
		InstanceID: g.InstanceID, RequestID: g.RequestID,
		EventID: uuid.New(time.Now(), rand.Reader), OSUser: g.OSUser, At: w.now(),
	}
}

func TestReleased(t *testing.T) { each(t, testReleased) }

func testReleased(t *testing.T, w *world) {
	grant := w.granted()
	w.sleep(3 * time.Second)
	release := w.release(grant)
	release.Client = "[::ffff:192.0.2.7]:51000"
	for range 2 { // told again after a lost acknowledgement
		if err := w.released(release); err != nil {
			t.Fatal(err)
		}
	}
	events := w.events("EventName", "ReleaseSSHPublicKey")
	if len(events) != 1 {
		t.Fatalf("%d events of one release", len(events))
	}
	got := events[0]
	fingerprint, _ := got.ServiceDetails["publicKeyFingerprint"].(string)
	if !strings.HasPrefix(fingerprint, "SHA256:") {
		t.Errorf("the fingerprint is %q", fingerprint)
	}
	expected := trail.Event{
		Version: got.Version, Identity: caller, Time: w.now().Truncate(time.Second),
		Source: "ec2-instance-connect.amazonaws.com", Name: "ReleaseSSHPublicKey",
		Region: region, SourceIP: "192.0.2.7", RequestID: grant.RequestID,
		ID: release.EventID, ReadOnly: true, Type: trail.AwsServiceEvent, Management: true,
		Account: account, Category: "Management",
		ServiceDetails: map[string]any{
			"instanceId": w.host.ID, "instanceOSUser": "admin",
			"publicKeyFingerprint": fingerprint, "clientPort": float64(51000),
		},
		Resources: []trail.Resource{
			{ARN: resource.Instance.ARN(region, account, w.host.ID), AccountID: account, Type: resource.Instance.Type},
		},
	}
	if diff := cmp.Diff(expected, got); diff != "" {
		t.Error(diff)
	}
	// The push is found by the same id.
	if push := w.events("EventName", "SendSSHPublicKey")[0]; push.RequestID != got.RequestID || push.ID == got.ID {
		t.Errorf("the push is %+v", push)
	}
}

// A host reports where its ssh client is. The event has that address if it is one, or says that it is unknown. The use
// of the key is recorded in either case.
func TestReleaseByAClientOfAnyAddress(t *testing.T) { each(t, testReleaseByAClientOfAnyAddress) }

func testReleaseByAClientOfAnyAddress(t *testing.T, w *world) {
	grant := w.granted()
	for client, want := range map[string]string{
		"192.0.2.7:1":                       "192.0.2.7",
		"[2001:db8::7]:65535":               "2001:db8::7",
		"[::1]:22":                          "::1",
		"":                                  access.UnknownClient,
		"192.0.2.7":                         access.UnknownClient,
		"192.0.2.7:0":                       access.UnknownClient,
		"192.0.2.7:65536":                   access.UnknownClient,
		"0.0.0.0:1":                         access.UnknownClient,
		"[ff02::1]:1":                       access.UnknownClient,
		"[fe80::1%\x1b[31m]:1":              access.UnknownClient,
		"web-1:22":                          access.UnknownClient,
		strings.Repeat("1", 100_000) + ":1": access.UnknownClient,
	} {
		release := w.release(grant)
		release.Client = client
		if err := w.released(release); err != nil {
			t.Errorf("%.30q: %v", client, err)
			continue
		}
		event := w.events("EventId", release.EventID)[0]
		if _, port := event.ServiceDetails["clientPort"]; event.SourceIP != want || port == (want == access.UnknownClient) {
			t.Errorf("%.30q: the event has the address %q, %v", client, event.SourceIP, event.ServiceDetails)
		}
	}
}

// A host can report releases of its own grants only, at no time before the grant and none in the future.
func TestReleaseByAHostileHost(t *testing.T) { each(t, testReleaseByAHostileHost) }

func testReleaseByAHostileHost(t *testing.T, w *world) {
	grant := w.granted()
	other := w.enroll()
	tell := func(change func(*access.Release)) error {
		r := w.release(grant)
		change(&r)
		return w.released(r)
	}
	want(t, tell(func(r *access.Release) { r.InstanceID = other.ID }), fault.NotFound, "grant")
	want(t, tell(func(r *access.Release) { r.RequestID = uuid.New(time.Now(), rand.Reader) }), fault.NotFound, "grant")
	want(t, tell(func(r *access.Release) { r.OSUser = "root" }), fault.Invalid, "release")
	want(t, tell(func(r *access.Release) { r.EventID = "x" }), fault.Invalid, "release")
	want(t, tell(func(r *access.Release) { r.EventID += "\n" }), fault.Invalid, "release")
	if n := len(w.events("EventName", "ReleaseSSHPublicKey")); n != 0 {
		t.Fatalf("%d events of lies", n)
	}

	w.sleep(10 * time.Second)
	for at, recorded := range map[time.Time]time.Time{
		grant.Issued.Time.Add(-time.Hour): grant.Issued.Time,
		w.now().Add(time.Hour):            w.now(),
	} {
		var id string
		if err := tell(func(r *access.Release) { r.At, id = at, r.EventID }); err != nil {
			t.Fatal(err)
		}
		if event := w.events("EventId", id)[0]; !event.Time.Equal(recorded.Truncate(time.Second)) {
			t.Errorf("told of %v, recorded %v, want %v", at, event.Time, recorded)
		}
	}
	// An event id that is taken replaces no other event.
	push := w.events("EventName", "SendSSHPublicKey")[0]
	if err := tell(func(r *access.Release) { r.EventID = push.ID }); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(push, w.events("EventId", push.ID)[0]); diff != "" {
		t.Errorf("a host rewrote the trail:\n%s", diff)
	}
}

func TestReleasesAreBounded(t *testing.T) { each(t, testReleasesAreBounded) }

func testReleasesAreBounded(t *testing.T, w *world) {
	grant := w.granted()
	release := w.release(grant)
	for range 1000 {
		if err := w.released(release); err != nil {
			t.Fatal(err)
		}
	}
	want(t, w.released(release), fault.Limit, "release")
	w.sleep(23 * time.Hour) // a host that waits is refused for a day
	w.prune()
	want(t, w.released(release), fault.Limit, "release")
	if err := w.released(w.release(w.granted())); err != nil {
		t.Errorf("another grant: %v", err)
	}
}

// A host let somebody in, was cut off for 25 hours, and reported it when it was back. The grant was already deleted, so
// the release was acknowledged and never became an event. A grant is known as long as the trail would keep its release.
func TestReleaseToldLate(t *testing.T) { each(t, testReleaseToldLate) }

func testReleaseToldLate(t *testing.T, w *world) {
	grant := w.granted()
	tell := func() error {
		w.prune()
		return w.released(w.release(grant))
	}
	w.sleep(25 * time.Hour)
	if err := tell(); err != nil {
		t.Errorf("told a day late: %v", err)
	}
	w.sleep(trail.Retention - 26*time.Hour)
	if err := tell(); err != nil {
		t.Errorf("told on the last day: %v", err)
	}
	w.sleep(2 * time.Hour)
	want(t, tell(), fault.NotFound, "grant")
}
