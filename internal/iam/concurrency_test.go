package iam_test

import (
	"fmt"
	"sync"
	"testing"

	"github.com/sallyport/sallyport/internal/fault"
	"github.com/sallyport/sallyport/internal/iam"
)

// crowd runs fn in n goroutines at the same time and returns their errors.
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

// succeeded fails the test unless n of the errors are nil and the others are faults of the kind and resource.
func (w *world) succeeded(errs []error, n int, kind fault.Kind, resource string) {
	w.Helper()
	for _, err := range errs {
		if err == nil {
			n--
		} else if f := fault.Of(err); f.Kind != kind || f.Subject.String() != resource {
			w.Errorf("got %v (%v %q), want a %v fault about %q", err, f.Kind, f.Subject.String(), kind, resource)
		}
	}
	if n != 0 {
		w.Errorf("%d more than wanted succeeded", -n)
	}
}

// Of several callers who ask for the last free place at once, one gets it: quotas and names are checked in the
// transaction that takes the place.
func TestTheLastPlaceIsTakenOnce(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.user("mina") // with an access key
		p := w.policy("p", allowPush)
		for i := range 9 {
			w.ok(w.do(w.service.AttachPolicy, userNamed("mina"), w.policy(fmt.Sprint("p", i), allowPush).ARN))
			w.group(fmt.Sprint("g", i))
			w.ok(w.do(w.service.AddMember, fmt.Sprint("g", i), "mina"))
		}
		var late []string
		for i := range 8 {
			late = append(late, w.policy(fmt.Sprint("late", i), allowPush).ARN)
			w.group(fmt.Sprint("late", i))
			_, err := w.create(userNamed(fmt.Sprint("late", i)), "")
			w.ok(err)
		}
		names := []string{"bob", "Bob", "BOB", "bOB"}
		for _, place := range []struct {
			free     int
			kind     fault.Kind
			resource string
			take     func(i int) error
		}{
			{1, fault.Limit, "access-key", func(int) error { return w.do(w.service.CreateAccessKey, "mina") }},
			{1, fault.Exists, "user", func(i int) error {
				_, err := w.create(userNamed(names[i%len(names)]), "")
				return err
			}},
			{1, fault.Exists, "user", func(i int) error {
				if i%2 == 0 {
					return w.do(w.service.Update, userNamed(fmt.Sprint("late", i)), "zoe", "")
				}
				_, err := w.create(userNamed("Zoe"), "")
				return err
			}},
			{1, fault.Limit, "attachment", func(i int) error {
				return w.do(w.service.AttachPolicy, userNamed("mina"), late[i])
			}},
			{1, fault.Limit, "membership", func(i int) error {
				return w.do(w.service.AddMember, fmt.Sprint("late", i), "mina")
			}},
			{4, fault.Limit, "policy-version", func(int) error {
				return w.do(w.service.CreatePolicyVersion, p.ARN, allowPush, false)
			}},
			{2, fault.Limit, "policy-document", func(i int) error {
				return w.do(w.service.PutInlinePolicy, userNamed("mina"),
					iam.InlinePolicy{Name: fmt.Sprint("i", i), Document: padded(1000)})
			}},
		} {
			w.succeeded(crowd(8, place.take), place.free, place.kind, place.resource)
		}
		versions, err := w.service.PolicyVersions(w.ctx, w.pass(), p.ARN)
		w.ok(err)
		for i, v := range versions {
			if v.Number != int64(5-i) {
				t.Errorf("%d of the versions is %s", i, v.ID())
			}
		}
	})
}

// A caller who listed the versions of a policy while it was deleted was told that it had none, which no policy ever
// has.
func TestAPolicyThatComesAndGoesHasAVersion(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		gone := make(chan struct{})
		errs := crowd(4, func(i int) error {
			if i == 0 {
				defer close(gone)
				for range 100 {
					p := w.policy("p", allowPush)
					if err := w.do(w.service.DeletePolicy, p.ARN); err != nil {
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
				versions, err := w.service.PolicyVersions(w.ctx, w.pass(), "arn:aws:iam::111122223333:policy/p")
				if err == nil && len(versions) != 1 {
					return fmt.Errorf("it has %d versions", len(versions))
				}
				if err != nil && !fault.Is(err, fault.NotFound) {
					return err
				}
			}
		})
		w.succeeded(errs, len(errs), fault.Internal, "")
	})
}

// A user is given a policy, a group or a key while being deleted. None of it is left behind.
func TestNothingIsLeftOfADeletedUser(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.group("team")
		for round := range 10 {
			name := fmt.Sprint("u", round)
			_, err := w.create(userNamed(name), "")
			w.ok(err)
			errs := crowd(4, func(i int) error {
				switch i {
				case 0:
					return w.do(w.service.CreateAccessKey, name)
				case 1:
					return w.do(w.service.AddMember, "team", name)
				case 2:
					return w.do(w.service.AttachPolicy, userNamed(name), administrator)
				}
				return w.do(w.service.Delete, userNamed(name))
			})
			deleted := errs[3] == nil
			for i, err := range errs[:3] {
				if deleted && !fault.Is(err, fault.NotFound) || !deleted && err != nil {
					t.Errorf("deleted %v, and %d answered %v", deleted, i, err)
				}
			}
			if !deleted && !fault.Is(errs[3], fault.InUse) {
				t.Error(errs[3])
			}
		}
	})
}
