package store_test

import (
	"fmt"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/compute"
	"github.com/sallyport/sallyport/internal/iam"
	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/internal/trail"
)

// both runs a benchmark on both databases, in 64 goroutines, and reports the CPU time of this process, which for
// PostgreSQL leaves the server's out.
func both(b *testing.B, prepare func(*store.Store) error, op func(s *store.Store, n int64) error) {
	for _, database := range []struct {
		name string
		url  func(testing.TB) string
	}{{"SQLite", sqliteURL}, {"PostgreSQL", postgresURL}} {
		b.Run(database.name, func(b *testing.B) {
			s := open(b, database.url(b))
			if err := prepare(s); err != nil {
				b.Fatal(err)
			}
			var count atomic.Int64
			b.SetParallelism(64)
			before := cpuTime()
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if err := op(s, count.Add(1)); err != nil {
						b.Error(err)
						return
					}
				}
			})
			b.ReportMetric(float64((cpuTime()-before).Microseconds())/float64(b.N), "cpu-µs/op")
		})
	}
}

func cpuTime() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		panic(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

func nothing(*store.Store) error { return nil }

func BenchmarkPutGrant(b *testing.B) {
	ctx := b.Context()
	both(b, nothing, func(s *store.Store, n int64) error {
		id := fmt.Sprintf("%08x-%d", uint32(n)*2654435761, n) // spread as random ids are
		return s.PutGrant(ctx, sampleGrant(id), sampleEvent(id))
	})
}

func BenchmarkAppendEvent(b *testing.B) {
	ctx := b.Context()
	both(b, nothing, func(s *store.Store, n int64) error {
		return s.AppendEvent(ctx, sampleEvent(fmt.Sprintf("%08x-%d", uint32(n)*2654435761, n)))
	})
}

func BenchmarkCredential(b *testing.B) {
	ctx := b.Context()
	event := 0
	next := func() trail.Event { event++; return sampleEvent(fmt.Sprint(event)) }
	prepare := func(s *store.Store) error {
		user := iam.Owner{Kind: iam.OwnerUser, Name: "mina"}
		for _, step := range []func() error{
			func() error { return s.CreateUser(ctx, iam.User{ID: "AIDA", Name: "mina", Path: "/"}, next()) },
			func() error { return s.CreateGroup(ctx, iam.Group{ID: "AGPA", Name: "eng", Path: "/"}, next()) },
			func() error { return s.AddMember(ctx, "eng", "mina", next()) },
			func() error {
				return s.CreatePolicy(ctx, iam.ManagedPolicy{ID: "ANPA", Name: "push", ARN: "arn:push", Path: "/"}, iam.PolicyVersion{Document: `{"Version":"2012-10-17","Statement":[]}`}, next())
			},
			func() error {
				return s.AttachPolicy(ctx, iam.Owner{Kind: iam.OwnerGroup, Name: "eng"}, "arn:push", next())
			},
			func() error {
				return s.PutInlinePolicy(ctx, user, iam.InlinePolicy{Name: "own", Document: `{"Version":"2012-10-17","Statement":[]}`}, next())
			},
			func() error {
				return s.CreateAccessKey(ctx, iam.AccessKey{ID: "AKIA", UserName: "mina", Secret: []byte("s"), Active: true}, next())
			},
		} {
			if err := step(); err != nil {
				return err
			}
		}
		return nil
	}
	both(b, prepare, func(s *store.Store, _ int64) error {
		c, err := s.Credential(ctx, "AKIA")
		if err == nil && len(c.Policies) != 2 {
			err = fmt.Errorf("%d policies", len(c.Policies))
		}
		return err
	})
}

func enrolled(b *testing.B) func(*store.Store) error {
	ctx := b.Context()
	return func(s *store.Store) error {
		if err := s.CreateHostToken(ctx, compute.HostToken{ID: "t"}, sampleEvent("1")); err != nil {
			return err
		}
		return s.EnrollHost(ctx, "t", compute.Instance{ID: "i-1", Region: "r", Tags: map[string]string{"Name": "web", "team": "core"},
			Report: compute.Report{Hostname: "web", HostKeys: []string{"ssh-ed25519 AAAA", "ecdsa-sha2-nistp256 AAAA"}, Users: []string{"debian", "mina"}}}, sampleEvent("2"))
	}
}

func BenchmarkInstance(b *testing.B) {
	ctx := b.Context()
	both(b, enrolled(b), func(s *store.Store, _ int64) error {
		_, err := s.Instance(ctx, "i-1")
		return err
	})
}

func BenchmarkResourceTags(b *testing.B) {
	ctx := b.Context()
	both(b, enrolled(b), func(s *store.Store, _ int64) error {
		_, err := s.ResourceTags(ctx, "i-1")
		return err
	})
}
